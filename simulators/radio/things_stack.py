"""What The Things Stack v3 publishes: `v3/{application}@{tenant}/devices/{device id}/{kind}`.

Source: lorawan-stack-docs, "MQTT" and "Data formats". Empty values are left out.
"""

from base64 import b64encode
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulators.devices.devices import TTS_APPLICATION
from simulators.radio import byte_rows as rows
from simulators.radio.chirpstack import LEAST_RSSI_DBM, LEAST_SNR_QUARTERS, dev_addr, repeated, runs, table
from simulators.radio.frames import Frames, GatewayClocks, nanos_of
from simulators.radio.lorawan import CHANNELS_HZ, MAC_BYTES, Links, air_time_us
from simulators.radio.sessions import Schedule
from simulators.randomness import mixed
from simulators.world import World

NETWORK_US, APPLICATION_US = 200_000, 45_000
"""From the first reception to the application server, and how much that scatters [µs]."""
_HEAD = bytes(26) + b'"],"received_at":"' + bytes(29) + b'Z","uplink_message":{'
_RECEIVED = b'},"received_at":"' + bytes(29) + b'Z",'
_TOKEN_BYTES = 12


class ThingsStack:
    """Writes messages of the application server."""

    def __init__(self, world: World, links: Links, schedule: Schedule, clocks: GatewayClocks) -> None:
        self._world, self._links, self._schedule, self._clocks = world, links, schedule, clocks
        self._opens = lru_cache(maxsize=4 * len(world.devices) + 16)(self._open)
        self._keys = lru_cache(maxsize=4 * len(world.devices) + 16)(self._session_open)
        self._gateway_opens = table(
            [
                _inner({"gateway_ids": {"gateway_id": f"eui-{g.gateway_id}", "eui": g.gateway_id.upper()}})
                for g in world.gateways
            ]
        )
        self._locations = table(
            [
                b',"location":%s,"uplink_token":"'
                % msgspec.json.encode(
                    {
                        "latitude": g.lat,
                        "longitude": g.lon,
                        "altitude": round(g.altitude_m),
                        "source": "SOURCE_REGISTRY",
                    }
                )
                for g in world.gateways
            ]
        )
        self._rssi = table(
            [b',"rssi":%d,"channel_rssi":%d' % (rssi, rssi) if rssi else b"" for rssi in range(LEAST_RSSI_DBM, 10)]
        )
        self._snr = table([b',"snr":%s' % f"{q / 4:g}".encode() if q else b"" for q in range(LEAST_SNR_QUARTERS, 60)])
        self._channels = table([b',"channel_index":%d' % c if c else b"" for c in range(len(CHANNELS_HZ))])
        self._settings = table(
            [
                b'],"settings":{"data_rate":{"lora":{"bandwidth":125000,"spreading_factor":%d,"coding_rate":"4/5"}},'
                b'"frequency":"%d","timestamp":' % (factor, hertz)
                for factor in range(13)
                for hertz in CHANNELS_HZ
            ]
        )
        self._versions = [self._end(device.number) for device in world.devices]

    def _open(self, number: int, session: int) -> bytes:
        ids = self.end_device_ids(number, session)
        return b'{"end_device_ids":%s,"correlation_ids":["gs:uplink:' % msgspec.json.encode(ids)

    def _session_open(self, number: int, session: int) -> bytes:
        key = self.session_key_id(number, session).encode()
        return b'"session_key_id":"%s","f_port":%d' % (key, self._world.devices[number].kind.f_port)

    def _end(self, number: int) -> bytes:
        """What follows the air time: versions and networks, the same for all messages of a device."""
        kind = self._world.devices[number].kind
        brand, _, model = kind.codec.partition("/")
        members = {
            "version_ids": {
                "brand_id": brand,
                "model_id": model,
                "hardware_version": "1.0",
                "firmware_version": "1.0",
                "band_id": "EU_863_870",
            },
            "network_ids": {"net_id": "000013", "tenant_id": "simulierte-stadt", "cluster_id": "eu1"},
        }
        return b'","' + msgspec.json.encode(members)[2:] + b"}"

    def end_device_ids(self, number: int, session: int) -> dict[str, Any]:
        """Who a device is, in one session."""
        device = self._world.devices[number]
        return {
            "device_id": device.device,
            "application_ids": {"application_id": TTS_APPLICATION},
            "dev_eui": (device.dev_eui or "").upper(),
            "join_eui": "0000000000000001",
            "dev_addr": dev_addr(self._world, number, session).upper(),
        }

    def session_key_id(self, number: int, session: int) -> str:
        """Name of the keys of a session, base64."""
        return b64encode(self._world.streams.uuid("session", number, session).bytes).decode()

    def topic(self, number: int, event: str) -> str:
        """Topic of a message."""
        device = self._world.devices[number]
        return f"v3/{device.application}/devices/{device.device}/{event}"

    def uplinks(self, frames: Frames, payloads: list[bytes]) -> tuple[list[bytes], NDArray[np.int64]]:
        """A message for each frame, and when the application server had it [µs]."""
        numbers, sessions, lengths = runs(frames.device, frames.session)
        pairs = list(zip(numbers, sessions, strict=True))
        opens = repeated([self._opens(*pair) for pair in pairs], lengths)
        keys = repeated([self._keys(*pair) for pair in pairs], lengths)
        ends = repeated([self._versions[number] for number in numbers], lengths)
        network_us = frames.first_heard_us
        scatter_us = ((frames.word >> np.uint64(12)) % np.uint64(APPLICATION_US)).astype(np.int64)
        application_us = network_us + NETWORK_US + scatter_us
        heads = rows.rows_like(_HEAD, len(frames))
        rows.put_ulid(heads, 0, network_us, frames.ids)
        rows.put_time(heads, _HEAD.index(b":") + 2, application_us, nanos_of(frames.word, 40))
        received = rows.rows_like(_RECEIVED, len(frames))
        rows.put_time(received, _RECEIVED.index(b":") + 2, network_us, frames.nanos)
        ticks = self._ticks(frames)
        receptions = frames.joined_receptions(self._receptions(frames, ticks), b",")
        factor = self._links.spreading_factor[frames.device]
        settings = self._settings[factor * len(CHANNELS_HZ) + frames.channel].tolist()
        confirmed = [b'"confirmed":true,' if c else b"" for c in self._schedule.is_confirmed[frames.device].tolist()]
        join = b"".join
        made = [
            join(
                (
                    opened, head, key, b',"f_cnt":%d' % count if count else b"", b',"frm_payload":"', b64encode(data),
                    b'","rx_metadata":[', heard, setting, b"%d" % tick, at, how, b'"consumed_airtime":"',
                    _air_time(len(data), sf), end,
                )
            )
            for opened, head, key, count, data, heard, setting, tick, at, how, sf, end in zip(
                opens, rows.texts(heads), keys, frames.counter.tolist(), payloads, receptions, settings,
                ticks[frames.first[:-1]].tolist(), rows.texts(received), confirmed, factor.tolist(), ends, strict=True,
            )
        ]  # fmt: skip
        return made, application_us

    def _ticks(self, frames: Frames) -> NDArray[np.int64]:
        """The 32-bit counter of microseconds in each reception's concentrator, which has run since some time."""
        gateway = frames.receptions.gateway.astype(np.int64)
        at_us = np.repeat(frames.received_us, np.diff(frames.first))
        return (at_us + gateway * 987_654_321) % 2**32

    def _receptions(self, frames: Frames, ticks: NDArray[np.int64]) -> list[bytes]:
        receptions, clocks = frames.receptions, self._clocks
        gateway, more, nanos = receptions.gateway, mixed(receptions.word), frames.gateway_nanos
        times, gps_times = np.empty(len(gateway), object), np.empty(len(gateway), object)
        times[:], gps_times[:] = b"", b""
        for member, texts, clock_us, there in (
            (b'"time":"', times, np.where(clocks.has_gnss[gateway], frames.gps_us, frames.gateway_us), clocks.has_time),
            (b'"gps_time":"', gps_times, frames.gps_us, clocks.has_gnss),
        ):
            some = np.flatnonzero(there[gateway])
            made = rows.rows_like(b"," + member + bytes(29) + b'Z"', len(some))
            rows.put_time(made, 1 + len(member), clock_us[some], nanos[some])
            texts[some] = table(rows.texts(made))
        tokens = rows.rows_like(bytes(16) + b'"', len(gateway))
        rows.put_base64(tokens, 0, rows.octets_of(np.stack([more, receptions.word], axis=1))[:, :_TOKEN_BYTES])
        received = rows.rows_like(b',"received_at":"' + bytes(29) + b'Z"}', len(gateway))
        rows.put_time(received, len(b',"received_at":"'), frames.server_us, frames.server_nanos)
        parts = zip(
            self._gateway_opens[gateway].tolist(),
            times.tolist(),
            ticks.tolist(),
            self._rssi[receptions.rssi_dbm - LEAST_RSSI_DBM].tolist(),
            self._snr[receptions.snr_quarters - LEAST_SNR_QUARTERS].tolist(),
            self._locations[gateway].tolist(),
            rows.texts(tokens),
            self._channels[np.repeat(frames.channel, np.diff(frames.first))].tolist(),
            gps_times.tolist(),
            rows.texts(received),
            strict=True,
        )
        join = b"".join
        return [
            join((opened, time, b',"timestamp":%d' % tick if tick else b"", *rest))
            for opened, time, tick, *rest in parts
        ]

    def join(self, number: int, session: int, at_us: int, word: NDArray[np.uint64]) -> bytes:
        """A join-accept message; `word` (1, 2) are random bits."""
        head = rows.rows_like(bytes(26), 1)
        rows.put_ulid(head, 0, np.array([at_us]), word)
        made = rows.rows_like(bytes(2 * 29), 1)
        for place, delay_us in enumerate((300_000, 90_000)):
            rows.put_time(made, 29 * place, np.array([at_us + delay_us]), nanos_of(word[:, place], 0))
        outer, inner = (made[0, :29].tobytes().decode(), made[0, 29:].tobytes().decode())
        return msgspec.json.encode(
            {
                "end_device_ids": self.end_device_ids(number, session),
                "correlation_ids": [f"gs:uplink:{head[0].tobytes().decode()}"],
                "received_at": f"{outer}Z",
                "join_accept": {"session_key_id": self.session_key_id(number, session), "received_at": f"{inner}Z"},
            }
        )


@lru_cache(maxsize=4096)
def _air_time(size: int, factor: int) -> bytes:
    return b"%.6fs" % (air_time_us(size + MAC_BYTES, factor) / 1e6)


def _inner(members: dict[str, Any]) -> bytes:
    """An object whose end is still open."""
    return msgspec.json.encode(members)[:-1]
