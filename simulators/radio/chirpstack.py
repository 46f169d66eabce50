"""What ChirpStack v4 publishes, as JSON: `application/{application id}/device/{devEui}/event/{kind}`.

Source: chirpstack-docs, integrations/events. The JSON is that of protobuf: the server writes the zeros of an event, but
none of nested messages; members that it does not know are left out.
"""

from base64 import b64encode
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulators.devices.devices import CHIRPSTACK_TENANT_NAME
from simulators.radio import byte_rows as rows
from simulators.radio.frames import Frames, GatewayClocks, event_times
from simulators.radio.lorawan import CHANNELS_HZ, Links
from simulators.radio.sessions import Schedule
from simulators.randomness import mixed
from simulators.world import World

GPS_EPOCH_S, LEAP_S = 315_964_800, 18
REGION, REGION_NAME = "eu868", "EU868"
LEAST_RSSI_DBM, LEAST_SNR_QUARTERS = -150, -100
_MOST_RSSI_DBM, _MOST_SNR_QUARTERS = 10, 60
_UUID_OPEN, _TIME_OPEN = b'{"deduplicationId":"', b'","time":"'
_HEAD = _UUID_OPEN + bytes(36) + _TIME_OPEN + bytes(29) + b'+00:00","deviceInfo":'
_TAIL = (
    bytes(8) + b'","metadata":{"region_common_name":"EU868","region_config_id":"eu868"},"crcStatus":"CRC_OK"}'
)  # the context stands in front


class ChirpStackNames:
    """What the server knows its devices and gateways by; constant texts of both encodings come from here."""

    def __init__(self, world: World, links: Links, schedule: Schedule) -> None:
        self.world, self.links, self.schedule = world, links, schedule
        self._tenant = str(world.streams.uuid("tenant"))
        self._profiles = {
            device.kind.profile_name: str(world.streams.uuid("profile", device.kind.profile_name))
            for device in world.devices
        }

    def device_info(self, number: int) -> dict[str, Any]:
        """The deviceInfo of an event."""
        device = self.world.devices[number]
        return {
            "tenantId": self._tenant,
            "tenantName": CHIRPSTACK_TENANT_NAME,
            "applicationId": device.application,
            "applicationName": "strassenzustand",
            "deviceProfileId": self._profiles[device.kind.profile_name],
            "deviceProfileName": device.kind.profile_name,
            "deviceName": device.name,
            "devEui": device.device,
            "deviceClassEnabled": "CLASS_A",
            "tags": {"simulated": "true"},
        }

    def dev_addr(self, number: int, session: int) -> str:
        """Address given at the join that began a session."""
        return dev_addr(self.world, number, session)

    def topic(self, number: int, event: str) -> str:
        """Topic of an event."""
        device = self.world.devices[number]
        return f"application/{device.application}/device/{device.device}/event/{event}"

    def location(self, number: int) -> dict[str, float]:
        """Where a gateway stands."""
        gateway = self.world.gateways[number]
        return {"latitude": gateway.lat, "longitude": gateway.lon, "altitude": gateway.altitude_m}


def dev_addr(world: World, number: int, session: int) -> str:
    """Address of a device in one session, eight hexadecimal digits."""
    return f"{0x26000000 | world.streams.uuid('dev-addr', number, session).int & 0x01FFFFFF:08x}"


def table(values: list[bytes]) -> NDArray[np.object_]:
    """Texts to be taken by number, many at once."""
    result = np.empty(len(values), object)
    result[:] = values
    return result


def runs(device: NDArray[np.int32], session: NDArray[np.int64]) -> tuple[list[int], list[int], NDArray[np.intp]]:
    """Device and session of each run of frames that share both, and the lengths of the runs."""
    new = np.ones(len(device), bool)
    new[1:] = (device[1:] != device[:-1]) | (session[1:] != session[:-1])
    starts = np.flatnonzero(new)
    return device[starts].tolist(), session[starts].tolist(), np.diff([*starts.tolist(), len(device)])


def repeated(texts: list[bytes], lengths: NDArray[np.intp]) -> list[bytes]:
    """Each text as often as its run is long."""
    result: list[bytes] = np.repeat(table(texts), lengths).tolist()
    return result


class ChirpStackJson:
    """Writes events as JSON."""

    def __init__(self, names: ChirpStackNames, clocks: GatewayClocks) -> None:
        self._names, self._clocks = names, clocks
        world, schedule = names.world, names.schedule
        self._info = [_inner(names.device_info(d.number)) for d in world.devices]
        self._data_opens = [
            b',"fPort":%d,"confirmed":%s,"data":"' % (d.kind.f_port, b"true" if confirmed else b"false")
            for d, confirmed in zip(world.devices, schedule.is_confirmed.tolist(), strict=True)
        ]
        self._opens = lru_cache(maxsize=4 * len(world.devices) + 16)(self._open)
        self._gateway_opens = table([b'{"gatewayId":"%s","uplinkId":' % g.gateway_id.encode() for g in world.gateways])
        self._locations = table(
            [b',"location":%s,"context":"' % _inner(names.location(n)) for n in range(len(world.gateways))]
        )
        self._rssi = table([b',"rssi":%d' % rssi if rssi else b"" for rssi in range(LEAST_RSSI_DBM, _MOST_RSSI_DBM)])
        self._snr = table(
            [
                (b',"snr":%s' % repr(q / 4).encode() if q else b"") + (b',"channel":%d' % channel if channel else b"")
                for q in range(LEAST_SNR_QUARTERS, _MOST_SNR_QUARTERS)
                for channel in range(len(CHANNELS_HZ))
            ]
        )
        self._ends = table(
            [
                b'],"txInfo":{"frequency":%d,"modulation":{"lora":{"bandwidth":125000,"spreadingFactor":%d,'
                b'"codeRate":"CR_4_5"}}},"regionConfigId":"eu868"}' % (hertz, factor)
                for factor in range(13)
                for hertz in CHANNELS_HZ
            ]
        )

    def _open(self, number: int, session: int) -> bytes:
        data_rate = 12 - int(self._names.links.spreading_factor[number])
        address = self._names.dev_addr(number, session).encode()
        return self._info[number] + b',"devAddr":"%s","adr":true,"dr":%d,"fCnt":' % (address, data_rate)

    def uplinks(self, frames: Frames, payloads: list[bytes]) -> list[bytes]:
        """An event for each frame, with the bytes that the device sent."""
        numbers, sessions, lengths = runs(frames.device, frames.session)
        heads = self._heads(frames.ids, *event_times(frames, self._clocks))
        opens = repeated([self._opens(*pair) for pair in zip(numbers, sessions, strict=True)], lengths)
        data_opens = repeated([self._data_opens[number] for number in numbers], lengths)
        receptions = frames.joined_receptions(self._receptions(frames), b",")
        factor = self._names.links.spreading_factor[frames.device]
        ends = self._ends[factor * len(CHANNELS_HZ) + frames.channel].tolist()
        join = b"".join
        return [
            join((head, opened, b"%d" % count, data_open, b64encode(data), b'","rxInfo":[', received, end))
            for head, opened, count, data_open, data, received, end in zip(
                heads, opens, frames.counter.tolist(), data_opens, payloads, receptions, ends, strict=True
            )
        ]

    def _heads(self, ids: NDArray[np.uint64], time_us: NDArray[np.int64], nanos: NDArray[np.int64]) -> list[bytes]:
        head = rows.rows_like(_HEAD, len(ids))
        rows.put_uuid(head, len(_UUID_OPEN), rows.uuid_octets(ids))
        rows.put_time(head, len(_UUID_OPEN) + 36 + len(_TIME_OPEN), time_us, nanos)
        return rows.texts(head)

    def _receptions(self, frames: Frames) -> list[bytes]:
        receptions, clocks = frames.receptions, self._clocks
        gateway, more = receptions.gateway, mixed(receptions.word)
        numbers = 10**9 + ((more >> np.uint64(32)) % np.uint64(2**32 - 10**9)).astype(np.int64)
        middles = np.empty(len(gateway), object)
        kinds = clocks.has_time.astype(np.int64) + clocks.has_gnss
        for kind in range(3):
            some = np.flatnonzero(kinds[gateway] == kind)
            if len(some):
                middles[some] = table(self._times(frames, some, numbers[some], kind))
        tail = rows.rows_like(_TAIL, len(gateway))
        context = rows.octets_of(more[:, None])[:, 4:]
        rows.put_base64(tail, 0, context)
        signal = (receptions.snr_quarters - LEAST_SNR_QUARTERS) * len(CHANNELS_HZ) + np.repeat(
            frames.channel, np.diff(frames.first)
        )
        parts = zip(
            self._gateway_opens[gateway].tolist(),
            middles.tolist(),
            self._rssi[receptions.rssi_dbm - LEAST_RSSI_DBM].tolist(),
            self._snr[signal].tolist(),
            self._locations[gateway].tolist(),
            rows.texts(tail),
            strict=True,
        )
        return list(map(b"".join, parts))

    def _times(self, frames: Frames, some: NDArray[np.intp], numbers: NDArray[np.int64], kind: int) -> list[bytes]:
        """The uplinkId and the times of some receptions, whose gateways have no clock (0), NTP (1) or GNSS (2)."""
        template = bytes(10) + (b',"gwTime":"' + bytes(29) + b'+00:00"' if kind else b"")
        server_at = len(template) + len(b',"nsTime":"')
        template += b',"nsTime":"' + bytes(29) + b'+00:00"'
        gps_at = len(template) + len(b',"timeSinceGpsEpoch":"')
        if kind == 2:
            template += b',"timeSinceGpsEpoch":"' + bytes(10) + b"." + bytes(9) + b's"'
        made = rows.rows_like(template, len(some))
        rows.put_ten(made, 0, numbers)
        gateway_nanos = frames.gateway_nanos[some]
        if kind:
            rows.put_time(made, 10 + len(b',"gwTime":"'), frames.gateway_us[some], gateway_nanos)
        rows.put_time(made, server_at, frames.server_us[some], frames.server_nanos[some])
        if kind == 2:
            second, us = np.divmod(frames.gps_us[some] - (GPS_EPOCH_S - LEAP_S) * 1_000_000, 1_000_000)
            rows.put_ten(made, gps_at, second)
            for place, digits in enumerate((us // 1000, us % 1000, gateway_nanos)):
                rows.put_three(made, gps_at + 11 + 3 * place, digits)
        return rows.texts(made)

    def statuses(self, frames: Frames, margins: list[int], levels: list[int]) -> list[bytes]:
        """What devices say of themselves with these frames: `levels` are 1 (empty) to 254 (full)."""
        heads = self._heads(frames.ids, *event_times(frames, self._clocks))
        return [
            head
            + self._info[number]
            + b',"margin":%d,"externalPowerSource":false,"batteryLevelUnavailable":false,"batteryLevel":%s}'
            % (margin, battery_pct(level).encode())
            for head, number, margin, level in zip(heads, frames.device.tolist(), margins, levels, strict=True)
        ]

    def event(self, kind: str, members: dict[str, Any]) -> bytes:
        """Any other event from its members."""
        del kind  # the members say it
        return msgspec.json.encode(members)


@lru_cache(maxsize=256)
def battery_pct(level: int) -> str:
    """A battery level of LoRaWAN (1 to 254) in per cent, as a 32-bit number's shortest decimal."""
    return str(np.float32(level) / np.float32(254) * np.float32(100))


def _inner(value: object) -> bytes:
    return msgspec.json.encode(value)
