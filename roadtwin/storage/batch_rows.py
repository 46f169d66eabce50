"""A batch as rows for COPY: what is pure in writing it, so that it can be done while the batch before is written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from roadtwin.storage import copyrows, measured, raw
from roadtwin.storage.devices import DeviceBook, KnownDevice, has_news
from roadtwin.types import DeviceKey, Flag, Message

MessageKey = tuple[int, bytes]
"""Microseconds of the time a message is stored under, and its id."""


def observed_at(message: Message) -> datetime:
    """The time a message is stored under: its own, else that of its arrival."""
    return message.event_at or message.recorded_at


def is_known_by_id_alone(message: Message) -> bool:
    """Whether it may be there under another time.

    Because it has none of its own; because its time is ahead of our clock: come sooner, it would not have been
    believed; or because it was sent before, when our clock may have been another one.
    """
    return message.event_at is None or message.redelivered or bool(message.flags & Flag.FUTURE)


def without_repeats(messages: Sequence[Message]) -> dict[MessageKey, Message]:
    """The first of equal messages of one batch, in the order of their keys: two writers must not meet crosswise."""
    by_key: dict[MessageKey, Message] = {}
    seen_ids: set[UUID] = set()
    for message in messages:
        if is_known_by_id_alone(message):
            if message.message_id in seen_ids:
                continue
            seen_ids.add(message.message_id)
        by_key.setdefault((copyrows.instant_us(observed_at(message)), message.message_id.bytes), message)
    return dict(sorted(by_key.items(), key=_key_of))


def _key_of(item: tuple[MessageKey, Message]) -> MessageKey:
    return item[0]


@dataclass(frozen=True, slots=True)
class Positioned:
    """Messages of a batch in the order of their keys, each with its place among the raw bytes."""

    positions: Sequence[int]
    keys: Sequence[MessageKey]
    messages: Sequence[Message]

    @classmethod
    def of(cls, fresh: dict[MessageKey, Message]) -> "Positioned":
        """All of them."""
        return cls(range(len(fresh)), list(fresh), list(fresh.values()))

    def only(self, positions: Collection[int]) -> "Positioned":
        """Those at these places."""
        kept = [n for n, position in enumerate(self.positions) if position in positions]
        return Positioned(
            [self.positions[n] for n in kept], [self.keys[n] for n in kept], [self.messages[n] for n in kept]
        )

    def without(self, known_ids: Collection[UUID]) -> "Positioned":
        """Those that are not known by their id alone."""
        if not known_ids:
            return self
        return self.only(
            {
                position
                for position, message in zip(self.positions, self.messages, strict=True)
                if not (is_known_by_id_alone(message) and message.message_id in known_ids)
            }
        )


@dataclass(frozen=True, slots=True)
class MessageRows:
    """The stream of a COPY into `message` with a hole for the batch's number, which only its transaction knows."""

    data: bytearray
    holes: NDArray[np.int64]

    def numbered(self, batch_id: int) -> bytearray:
        """The stream for this batch."""
        view = np.frombuffer(self.data, np.uint8)
        view[self.holes[:, None] + np.arange(8)] = np.frombuffer(batch_id.to_bytes(8), np.uint8)
        return self.data


def message_rows(found: Positioned, devices: Mapping[DeviceKey, KnownDevice], origin: str) -> MessageRows:
    """Rows of these messages; KeyError when a device is not known."""
    rows = [
        copyrows.message_row(
            m,
            key[0],
            copyrows.instant_us(m.recorded_at),
            0,
            position,
            origin,
            None if m.device is None else devices[m.device].device_id,
        )
        for position, key, m in zip(found.positions, found.keys, found.messages, strict=True)
    ]
    begins = np.cumsum([copyrows.HEADER_BYTES, *map(len, rows)][: len(rows)], dtype=np.int64)
    return MessageRows(bytearray(copyrows.framed(rows)), begins + copyrows.BATCH_ID_AT)


def raw_batch(found: Positioned, length: int) -> dict[str, Any]:
    """The row of `raw_batch` but for its number: bytes of these messages at their places among `length`."""
    payloads = [b""] * length
    for position, message in zip(found.positions, found.messages, strict=True):
        payloads[position] = message.payload
    return {
        "recorded_at": max(message.recorded_at for message in found.messages),
        "compression": raw.COMPRESSION,
        "payloads": raw.pack(payloads),
    }


def account_columns(stored: Sequence[Message]) -> dict[str, Any]:
    """What `ingest_batch` tells of its stored messages beside their number."""
    times = [observed_at(m) for m in stored] + [o.observed_at for m in stored for o in m.observations]
    return {
        "receptions": _sum_receptions(stored),
        "observed_from": min(times, default=None),
        "observed_until": max(times, default=None),
    }


def _sum_receptions(messages: Sequence[Message]) -> dict[str, list[float | None]]:
    """Gateway → receptions, newest one [Unix s], clock skews: count, sum and largest [s], best RSSI [dBm]."""
    sums: dict[str, list[Any]] = {}
    for message in messages:
        for reception in message.receptions:
            row = sums.get(reception.gateway_id)
            if row is None:
                row = sums[reception.gateway_id] = [0, message.recorded_at, 0, 0.0, 0.0, None]
            row[0] += 1
            if message.recorded_at > row[1]:
                row[1] = message.recorded_at
            if reception.clock_skew_s is not None:
                row[2] += 1
                row[3] += reception.clock_skew_s
                row[4] = max(row[4], abs(reception.clock_skew_s))
            if reception.rssi_dbm is not None and (row[5] is None or reception.rssi_dbm > row[5]):
                row[5] = reception.rssi_dbm
    return {gateway: [row[0], row[1].timestamp(), *row[2:]] for gateway, row in sums.items()}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that is ready to be copied straight into the tables. `news` are those whose devices learn from them."""

    found: Positioned
    news: Sequence[Message]
    messages: MessageRows
    measured: measured.Measured
    raw: Mapping[str, Any]
    accounts: Mapping[str, Any]


def prepare(messages: Sequence[Message], book: DeviceBook, origin: str) -> Prepared | None:
    """Make the rows of a batch that is new and whose devices and series are known; None where it is not.

    Raises what copyrows raises for values that no row can hold.
    """
    if not messages or any(map(is_known_by_id_alone, messages)):
        return None
    found = Positioned.of(without_repeats(messages))
    devices, series = book.devices, book.series
    try:
        return Prepared(
            found=found,
            news=[m for m in found.messages if m.device is not None and has_news(devices[m.device], m)],
            messages=message_rows(found, devices, origin),
            measured=measured.measured_rows(found.messages, devices, series, origin),
            raw=raw_batch(found, len(found.messages)),
            accounts=account_columns(found.messages),
        )
    except KeyError:
        return None
