"""What ChirpStack v4 publishes with `json=false`: the same events as protobuf, on the same topics.

Constant parts are encoded by protobuf itself, once a device and a gateway; the rest is put between them. Field numbers
and wire types are those of `ingest.formats.chirpstack_v4_protobuf`.
"""

import struct
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.formats.chirpstack_v4_protobuf import encode
from simulators.radio import byte_rows as rows
from simulators.radio.byte_rows import Column
from simulators.radio.chirpstack import (
    GPS_EPOCH_S,
    LEAP_S,
    LEAST_RSSI_DBM,
    REGION,
    REGION_NAME,
    ChirpStackNames,
    battery_pct,
    repeated,
    runs,
    table,
)
from simulators.radio.frames import Frames, GatewayClocks, event_times
from simulators.radio.lorawan import CHANNELS_HZ
from simulators.randomness import mixed

# Tags: field number << 3 | wire type.
_ID, _TIME, _DATA, _RX_INFO = 0x0A, 0x12, 0x52, 0x62
_RX_UPLINK_ID, _RX_GATEWAY_TIME, _RX_GPS, _RX_RSSI, _RX_SNR = 0x10, 0x1A, 0x22, 0x30, 0x3D
_RX_CHANNEL, _RX_CONTEXT, _RX_SERVER_TIME = 0x40, 0x6A, b"\x8a\x01"
_F_CNT = 0x38
_MARGIN, _BATTERY_LEVEL = 0x28, 0x45


class ChirpStackProtobuf:
    """Writes events as protobuf."""

    def __init__(self, names: ChirpStackNames, clocks: GatewayClocks) -> None:
        self._names, self._clocks = names, clocks
        world = names.world
        self._info = [encode("up", {"deviceInfo": names.device_info(d.number)}) for d in world.devices]
        self._data_opens = [
            encode("up", {"fPort": d.kind.f_port, "confirmed": confirmed}) + bytes([_DATA])
            for d, confirmed in zip(world.devices, names.schedule.is_confirmed.tolist(), strict=True)
        ]
        self._opens = lru_cache(maxsize=4 * len(world.devices) + 16)(self._open)
        numbers = range(len(world.gateways))
        self._gateway_ids = _same_width([_inner({"gatewayId": gateway.gateway_id}) for gateway in world.gateways])
        self._locations = _same_width([_inner({"location": names.location(number)}) for number in numbers])
        metadata = {"region_common_name": REGION_NAME, "region_config_id": REGION}
        self._metadata = _same_width([_inner({"metadata": metadata, "crcStatus": "CRC_OK"})])
        self._ends = table(
            [
                encode(
                    "up",
                    {
                        "txInfo": {
                            "frequency": hertz,
                            "modulation": {
                                "lora": {"bandwidth": 125_000, "spreadingFactor": factor, "codeRate": "CR_4_5"}
                            },
                        },
                        "regionConfigId": REGION,
                    },
                )
                for factor in range(13)
                for hertz in CHANNELS_HZ
            ]
        )
        self._rssi, self._rssi_lengths = _signed_column(_RX_RSSI, LEAST_RSSI_DBM, 10)

    def _open(self, number: int, session: int) -> bytes:
        data_rate = 12 - int(self._names.links.spreading_factor[number])
        address = self._names.dev_addr(number, session)
        return self._info[number] + encode("up", {"devAddr": address, "adr": True, "dr": data_rate})

    def uplinks(self, frames: Frames, payloads: list[bytes]) -> list[bytes]:
        """An event for each frame, with the bytes that the device sent."""
        numbers, sessions, lengths = runs(frames.device, frames.session)
        heads = self._heads(frames.ids, *event_times(frames, self._clocks))
        opens = repeated([self._opens(*pair) for pair in zip(numbers, sessions, strict=True)], lengths)
        counts = rows.joined(_number(_F_CNT, frames.counter), len(frames))
        data_opens = repeated([self._data_opens[number] for number in numbers], lengths)
        receptions = self._receptions(frames)
        factor = self._names.links.spreading_factor[frames.device]
        ends = self._ends[factor * len(CHANNELS_HZ) + frames.channel].tolist()
        join = b"".join
        return [
            join((head, opened, count, data_open, _SIZES[len(data)], data, received, end))
            for head, opened, count, data_open, data, received, end in zip(
                heads, opens, counts, data_opens, payloads, receptions, ends, strict=True
            )
        ]

    def _heads(self, ids: NDArray[np.uint64], time_us: NDArray[np.int64], nanos: NDArray[np.int64]) -> list[bytes]:
        head = rows.rows_like(bytes([_ID, 36]) + bytes(36), len(ids))
        rows.put_uuid(head, 2, rows.uuid_octets(ids))
        return rows.joined([(head, None), *_time(bytes([_TIME]), time_us, nanos)], len(ids))

    def _receptions(self, frames: Frames) -> list[bytes]:
        """The receptions of each frame, one after the other."""
        receptions, clocks = frames.receptions, self._clocks
        gateway, more, count = receptions.gateway, mixed(receptions.word), len(receptions.gateway)
        numbers = 10**9 + ((more >> np.uint64(32)) % np.uint64(2**32 - 10**9)).astype(np.int64)
        gps_us = frames.gps_us - (GPS_EPOCH_S - LEAP_S) * 1_000_000
        snr = np.empty((count, 5), np.uint8)
        snr[:, 0] = _RX_SNR
        snr[:, 1:] = (receptions.snr_quarters / 4).astype("<f4").view(np.uint8).reshape(-1, 4)
        channel = np.repeat(frames.channel, np.diff(frames.first))
        rssi = receptions.rssi_dbm - LEAST_RSSI_DBM
        context = rows.rows_like(bytes([_RX_CONTEXT, 4]) + bytes(4), count)
        context[:, 2:] = rows.octets_of(more[:, None])[:, 4:]
        columns: list[Column] = [
            (self._gateway_ids[gateway], None),
            *_number(_RX_UPLINK_ID, numbers),
            *_time(bytes([_RX_GATEWAY_TIME]), frames.gateway_us, frames.gateway_nanos, clocks.has_time[gateway]),
            *_time(bytes([_RX_GPS]), gps_us, frames.gateway_nanos, clocks.has_gnss[gateway]),
            (self._rssi[rssi], self._rssi_lengths[rssi]),
            (snr, np.where(receptions.snr_quarters == 0, 0, 5)),
            *_number(_RX_CHANNEL, channel),
            (self._locations[gateway], None),
            (context, None),
            (self._metadata, None),
            *_time(_RX_SERVER_TIME, frames.server_us, frames.server_nanos),
        ]
        sizes, size_lengths = rows.varints(rows.widths(columns, count))
        tags = rows.rows_like(bytes([_RX_INFO]), 1)
        flat, lengths = rows.flattened([(tags, None), (sizes, size_lengths), *columns], count)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        return rows.cut(flat, np.diff(ends[frames.first]))

    def statuses(self, frames: Frames, margins: list[int], levels: list[int]) -> list[bytes]:
        """What devices say of themselves with these frames: `levels` are 1 (empty) to 254 (full)."""
        heads = self._heads(frames.ids, *event_times(frames, self._clocks))
        texts, lengths = _signed_column(_MARGIN, -32, 32)
        return [
            head
            + self._info[number]
            + texts[margin + 32, : lengths[margin + 32]].tobytes()
            + struct.pack("<Bf", _BATTERY_LEVEL, float(battery_pct(level)))
            for head, number, margin, level in zip(heads, frames.device.tolist(), margins, levels, strict=True)
        ]

    def event(self, kind: str, members: dict[str, Any]) -> bytes:
        """Any other event from the members of its JSON."""
        return encode(kind, members)


def _inner(reception: dict[str, Any]) -> bytes:
    """Fields of a reception, without the tag and size of the reception itself."""
    return encode("up", {"rxInfo": [reception]})[2:]


def _same_width(fields: list[bytes]) -> rows.Bytes:
    """Rows of fields that are all as long."""
    return np.frombuffer(b"".join(fields), np.uint8).reshape(len(fields), -1)


def _number(tag: int, values: NDArray[np.int64]) -> list[Column]:
    """A field of unsigned numbers; zeros are left out."""
    octets, lengths = rows.varints(values)
    there = values != 0
    tags = np.full((len(values), 1), tag, np.uint8)
    return [(tags, there.astype(np.intp)), (octets, np.where(there, lengths, 0))]


def _time(
    tag: bytes, at_us: NDArray[np.int64], nanos: NDArray[np.int64], there: NDArray[np.bool_] | None = None
) -> list[Column]:
    """A Timestamp or a Duration, whose nanoseconds are not 0; left out where it is not `there`."""
    second, us = np.divmod(at_us, 1_000_000)
    seconds, second_lengths = rows.varints(second)
    fractions, fraction_lengths = rows.varints(us * 1000 + nanos)
    head = rows.rows_like(tag + b"\x00\x08", len(at_us))
    head[:, len(tag)] = 2 + second_lengths + fraction_lengths
    if there is None:
        return [(head, None), (seconds, second_lengths), (_NANOS, None), (fractions, fraction_lengths)]
    return [
        (head, there * head.shape[1]),
        (seconds, there * second_lengths),
        (np.broadcast_to(_NANOS, (len(at_us), 1)), there.astype(np.intp)),
        (fractions, there * fraction_lengths),
    ]


_NANOS = rows.rows_like(b"\x10", 1)
_SIZES = [rows.joined([rows.varints(size)], 1)[0] for size in range(256)]


@lru_cache(maxsize=8)
def _signed_column(tag: int, least: int, most: int) -> tuple[rows.Bytes, NDArray[np.intp]]:
    """A field of the numbers `least` to below `most`; negative ones take ten bytes, 0 is left out."""
    values = np.arange(least, most)
    octets, lengths = rows.varints(values.astype(np.int64).view(np.uint64))
    tags = np.full((len(values), 1), tag, np.uint8)
    return np.concatenate([tags, octets], axis=1), np.where(values == 0, 0, lengths + 1)
