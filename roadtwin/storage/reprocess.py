"""What a reprocessing run reads and writes: arrivals of devices, their messages, and what was measured with them.

The unit is an *arrival*: the messages of one device with one `recorded_at`. An observation does not name its message;
device and arrival tell it, also when it was measured anew (`message_recorded_at`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from roadtwin.errors import ReprocessError
from roadtwin.storage import raw
from roadtwin.storage.compressed import narrow_update
from roadtwin.storage.messages import read_last_batch_id
from roadtwin.storage.queries import load
from roadtwin.storage.sensor_days import touch_days
from roadtwin.types import Origin, RejectedMessage

Connection = psycopg.Connection[Any]

_LOCK_KEY = 0x726F6164_72657072
_RAW_BATCHES_AT_ONCE = 16


class Arrival(NamedTuple):
    """Messages of one device that arrived at one instant."""

    recorded_at: datetime
    device_id: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which kept messages: `since` ≤ observed_at < `until`; None does not select. Names of profiles are any of them."""

    device_ids: tuple[int, ...] | None = None
    profile_names: tuple[str, ...] | None = None
    message_format: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """A stored message as its parser needs it; `payload` is None when its raw bytes are gone."""

    arrival: Arrival
    topic: str
    message_format: str
    retained: bool
    payload: bytes | None


@dataclass(slots=True)
class ObservationRow:
    """A row of `observation`: what is compared with today's decoding."""

    series_id: int
    observed_at: datetime
    value: float
    flags: int
    profile_version: int
    in_force: bool
    arrival: Arrival


class Place(NamedTuple):
    """What can hold one value in force."""

    series_id: int
    observed_at: datetime


@contextmanager
def only_run(conn: Connection) -> Iterator[None]:
    """Be the only run on this database. Raises ReprocessError when there is one."""
    sql = load("reprocess")
    row = conn.execute(sql["try_lock"], {"key": _LOCK_KEY}).fetchone()
    conn.commit()
    if row is None or not row[0]:
        raise ReprocessError("Another `roadtwin reprocess` works on this database: wait until it has ended.")
    try:
        yield
    finally:
        if not conn.broken:
            conn.rollback()
            conn.execute(sql["unlock"], {"key": _LOCK_KEY})
            conn.commit()


def find_device(conn: Connection, name: str) -> int:
    """The device of this id, EUI, or `network source/application/id`. Raises ReprocessError unless it is one."""
    rows = conn.execute(load("reprocess")["find_devices"], {"key": name}).fetchall()
    if not rows:
        raise ReprocessError(
            f"Got device {name!r}, expected a device id, its EUI or network_source/application/device of a device that "
            "was seen or registered: GET /v1/devices lists them."
        )
    if len(rows) > 1:
        keys = ", ".join("/".join(row[1:]) for row in rows)
        raise ReprocessError(f"Got device {name!r}, which is more than one: say which of {keys}.")
    return int(rows[0][0])


def check_device_id(conn: Connection, device_id: int) -> int:
    """The same number. Raises ReprocessError when no device has it."""
    if conn.execute(load("reprocess")["find_device_by_id"], {"device_id": device_id}).fetchone() is None:
        raise ReprocessError(f"Got device id {device_id}, expected the number of a device in this database.")
    return device_id


class SelectedArrivals:
    """The arrivals that a selection names, page by page, without those that come after the run began."""

    def __init__(self, conn: Connection, selection: Selection) -> None:
        self._conn = conn
        self._parameters: dict[str, object] = {
            "last_batch_id": read_last_batch_id(conn),
            "device_ids": None if selection.device_ids is None else list(selection.device_ids),
            "profile_names": None if selection.profile_names is None else list(selection.profile_names),
            "format": selection.message_format,
            "since": selection.since,
            "until": selection.until,
        }

    def count_messages(self) -> int:
        """Messages that are selected."""
        row = self._conn.execute(load("reprocess")["count_messages"], self._parameters).fetchone()
        assert row is not None, "counts always give a row"
        return int(row[0])

    def pages(self, size: int) -> Iterator[list[Arrival]]:
        """Arrivals in the order of time, at most `size` at once. Leaves no transaction open."""
        after: tuple[datetime | str, int] = ("-infinity", 0)
        while True:
            given = self._parameters | {"after_at": after[0], "after_device_id": after[1], "limit": size}
            page = [Arrival(*row) for row in self._conn.execute(load("reprocess")["read_arrivals"], given)]
            self._conn.rollback()
            if not page:
                return
            yield page
            after = page[-1]


def find_arrivals(conn: Connection, message_ids: Sequence[UUID]) -> list[Arrival]:
    """The arrivals of these messages."""
    rows = conn.execute(load("reprocess")["find_arrivals"], {"message_ids": list(message_ids)})
    return [Arrival(*row) for row in rows]


def _window(arrivals: Sequence[Arrival]) -> dict[str, object]:
    return {
        "device_ids": [arrival.device_id for arrival in arrivals],
        "arrivals": [arrival.recorded_at for arrival in arrivals],
        "first": min(arrival.recorded_at for arrival in arrivals),
        "last": max(arrival.recorded_at for arrival in arrivals),
    }


def read_messages(conn: Connection, arrivals: Sequence[Arrival]) -> list[KeptMessage]:
    """All messages of these arrivals with their bytes."""
    rows = conn.execute(load("reprocess")["read_messages"], _window(arrivals)).fetchall()
    payloads = _read_payloads(conn, {(row[5], row[6]) for row in rows if row[6] is not None})
    return [
        KeptMessage(
            Arrival(recorded_at, device_id),
            topic,
            message_format,
            retained,
            # No accepted message is empty: an empty payload stands for one that is not there.
            (payload if raw_no is None else payloads.get((batch_id, raw_no))) or None,
        )
        for device_id, recorded_at, topic, message_format, retained, batch_id, raw_no, payload in rows
    ]


def _read_payloads(conn: Connection, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """(batch, place) → bytes; what is gone is missing. A few batches at a time are in memory."""
    places: dict[int, list[int]] = {}
    for batch_id, raw_no in wanted:
        places.setdefault(batch_id, []).append(raw_no)
    batch_ids, found = sorted(places), {}
    for begin in range(0, len(batch_ids), _RAW_BATCHES_AT_ONCE):
        given = {"batch_ids": batch_ids[begin : begin + _RAW_BATCHES_AT_ONCE]}
        for batch_id, packed in conn.execute(load("reprocess")["read_raw_batches"], given):
            payloads = raw.unpack(packed)
            found.update({(batch_id, no): payloads[no] for no in places[batch_id] if no < len(payloads)})
    return found


def read_observations_of(conn: Connection, arrivals: Sequence[Arrival]) -> list[ObservationRow]:
    """What is in force of what arrived then."""
    wanted = set(arrivals)
    given = _window(arrivals) | {"device_ids": sorted({arrival.device_id for arrival in arrivals})}
    rows = map(_row, conn.execute(load("reprocess")["read_observations_of"], given))
    return [row for row in rows if row.arrival in wanted]


def read_observations_at(conn: Connection, places: Sequence[Place]) -> list[ObservationRow]:
    """Every version at these places, in force or not."""
    if not places:
        return []
    given = _places(places)
    return [_row(row) for row in conn.execute(load("reprocess")["read_observations_at"], given)]


def _row(row: tuple[Any, ...]) -> ObservationRow:
    series_id, observed_at, value, flags, version, superseded_at, device_id, arrived_at = row
    arrival = Arrival(arrived_at, device_id)
    return ObservationRow(series_id, observed_at, value, flags, version, superseded_at is None, arrival)


def _places(places: Sequence[Place | ObservationRow]) -> dict[str, object]:
    return {
        "series_ids": [place.series_id for place in places],
        "instants": [place.observed_at for place in places],
        "first": min(place.observed_at for place in places),
        "last": max(place.observed_at for place in places),
    }


def supersede_observations(conn: Connection, rows: Sequence[ObservationRow], now: datetime) -> int:
    """End these rows in a transaction of the caller's: from `now` on they are not in force. Gives how many were."""
    if not rows:
        return 0
    given = _places(rows) | {"versions": [row.profile_version for row in rows], "now": now}
    given |= narrow_update(conn, (row.series_id for row in rows))
    touch_days(conn, [row.series_id for row in rows], [row.observed_at for row in rows])
    # A general plan would not know the series, nor the chunks.
    return conn.execute(load("reprocess")["supersede_observations"], given, prepare=False).rowcount


def insert_observations(conn: Connection, rows: Sequence[ObservationRow], now: datetime) -> int:
    """Write rows, known since `now`. Gives how many were not there."""
    if not rows:
        return 0
    given = _places(rows) | {
        "values": [row.value for row in rows],
        "flags": [row.flags for row in rows],
        "versions": [row.profile_version for row in rows],
        "arrivals": [row.arrival.recorded_at for row in rows],
        "now": now,
    }
    touch_days(conn, [row.series_id for row in rows], [row.observed_at for row in rows])
    return conn.execute(load("reprocess")["insert_observations"], given).rowcount


def insert_conflicts(conn: Connection, rows: Sequence[ObservationRow], now: datetime) -> None:
    """Record values for which the place is taken by another message's."""
    if rows:
        with conn.cursor() as cursor:
            cursor.executemany(
                load("messages")["insert_observation_conflict"],
                [(row.series_id, row.observed_at, row.profile_version, row.value, now) for row in rows],
            )


def write_accounts(
    conn: Connection, worker: str, *, stored: int, duplicate: int, conflicts: int, now: datetime
) -> None:
    """A batch without messages: what a run measured anew with those that are there."""
    given = {"worker": worker, "origin": Origin.REPROCESSED.value, "now": now}
    counts = {"stored": stored, "duplicate": duplicate, "conflicts": conflicts}
    conn.execute(load("reprocess")["insert_accounts"], given | counts)


@dataclass(frozen=True, slots=True)
class RejectedSelection:
    """Which rejected messages: `since` ≤ first seen < `until`, of one code; None does not select."""

    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def count_rejected(conn: Connection, selection: RejectedSelection) -> int:
    """Rejected messages that no run has taken yet."""
    row = conn.execute(load("reprocess")["count_rejected"], _rejected(selection)).fetchone()
    assert row is not None, "counts always give a row"
    return int(row[0])


def rejected_pages(conn: Connection, selection: RejectedSelection, size: int) -> Iterator[list[RejectedMessage]]:
    """Rejected messages that no run has taken yet, as first seen. Leaves no transaction open."""
    after = b""
    while True:
        given = _rejected(selection) | {"after": after, "limit": size}
        page = [
            RejectedMessage(topic, payload, first_seen_at, "", "", payload_bytes, sha256, digest)
            for digest, topic, payload, payload_bytes, sha256, first_seen_at in conn.execute(
                load("reprocess")["read_rejected"], given
            )
        ]
        conn.rollback()
        if not page:
            return
        yield page
        after = page[-1].digest


def _rejected(selection: RejectedSelection) -> dict[str, object]:
    return {"code": selection.code, "since": selection.since, "until": selection.until}


def mark_reprocessed(conn: Connection, digests: Sequence[bytes], now: datetime) -> None:
    """Rejected messages that are stored now."""
    if digests:
        conn.execute(load("reprocess")["mark_reprocessed"], {"digests": list(digests), "now": now})
