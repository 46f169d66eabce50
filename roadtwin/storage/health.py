"""Health of devices, gateways and series: what a digest reads and writes, as arrays; see `ingest.digest`.

Instants are integers, microseconds since 1970 UTC, and `NEVER` for none; numbers that are not known are NaN.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray

from roadtwin.storage import queries, raw
from roadtwin.storage.columns import copy_columns
from roadtwin.storage.compressed import narrow_update
from roadtwin.storage.sensor_days import touch_days

Connection = psycopg.Connection[Any]
Columns = dict[str, NDArray[Any]]

NEVER = int(np.iinfo(np.int64).min)
_LOCK_KEY = int.from_bytes(b"rt-digst")
_SQL = queries.load("health")
_EPOCH_US = 946_684_800_000_000  # 2000-01-01, from which PostgreSQL counts, since 1970
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_WIRE = {"int2": ">i2", "int4": ">i4", "int8": ">i8", "float4": ">f4", "float8": ">f8", "bool": "u1", "uuid": "V16"}
_ARRAY_TYPE = {"int8[]": 20, "timestamptz[]": 1184}  # object ids of the elements: fixed in every PostgreSQL

MESSAGES = (
    ("batch_id", "int8"), ("message_id", "uuid"), ("device_id", "int4"), ("observed_at", "timestamptz"),
    ("recorded_at", "timestamptz"), ("f_cnt", "int8"), ("kind", "int2"), ("flags", "int2"), ("gateway_count", "int2"),
    ("best_rssi_dbm", "float4"), ("clock_skew_s", "float4"),
)  # fmt: skip
UP, JOIN, READINGS = 1, 2, 3
"""Kinds of messages in `MESSAGES`; 0 are all others."""
OBSERVATIONS = (
    ("series_id", "int4"), ("observed_at", "timestamptz"), ("recorded_at", "timestamptz"), ("value", "float8"),
    ("flags", "int2"), ("profile_version", "int2"),
)  # fmt: skip
_SERIES_STATE = (
    ("last_at", "timestamptz"), ("last_value", "float8"), ("unchanged_since", "timestamptz"),
    ("unchanged_count", "int8"), ("stuck", "bool"), ("sound_at", "timestamptz"), ("sound_value", "float8"),
)  # fmt: skip
SERIES = (("series_id", "int4"), ("device_id", "int4"), ("quantity_no", "int4"), *_SERIES_STATE)
DEVICES = (
    ("device_id", "int4"), ("messages", "int8"), ("uplinks", "int8"), ("last_message_at", "timestamptz"),
    ("interval_s", "float4"), ("interval_count", "int8"), ("frames_missing", "int8"), ("counter_falls", "int8"),
    ("rejoins", "int8"), ("last_reset_at", "timestamptz"), ("repeated_counters", "int8"), ("retransmissions", "int8"),
    ("recent_frames", "float4"), ("recent_missing", "float4"), ("first_frame_at", "timestamptz"),
    ("first_f_cnt", "int8"), ("clock_skew_s", "float4"), ("clock_skew_weight", "float4"), ("clock_skew_count", "int8"),
    ("last_clock_skew_s", "float4"), ("rssi_dbm", "float4"), ("rssi_weight", "float4"), ("gateways", "float4"),
    ("gateways_weight", "float4"), ("battery_v", "float4"), ("highest_battery_v", "float4"), ("battery_pct", "float4"),
    ("battery_at", "timestamptz"), ("battery_low", "bool"),
)  # fmt: skip
_DEVICE_ARRAYS = (
    ("recent_frames_at", "timestamptz[]"), ("recent_f_cnts", "int8[]"), ("recent_joins_at", "timestamptz[]"),
    ("digested_at", "timestamptz"),
)  # fmt: skip
FRAMES = (("device_id", "int4"), ("at", "timestamptz"), ("f_cnt", "int8"))
JOINS = (("device_id", "int4"), ("at", "timestamptz"))
PAGES = (("device_id", "int4"), ("page", "int4"), ("received", "int8"))
FLAGGED_OBSERVATIONS = (
    ("series_id", "int4"), ("observed_at", "timestamptz"), ("profile_version", "int2"), ("flags", "int2"),
)  # fmt: skip
FLAGGED_MESSAGES = (("message_id", "uuid"), ("observed_at", "timestamptz"), ("flags", "int2"))
FLAGGED_FRAMES = (
    ("device_id", "int4"), ("observed_at", "timestamptz"), ("f_cnt", "int8"), ("to_set", "int2"), ("to_clear", "int2"),
)  # fmt: skip


def try_lock(conn: Connection) -> bool:
    """Whether this transaction is the one that digests; others go on with something else."""
    row = conn.execute(_SQL["try_lock"], {"key": _LOCK_KEY}).fetchone()
    assert row is not None, "a function always gives a row"
    return bool(row[0])


class Undigested(NamedTuple):
    """A batch that waits: what it stored, receptions by gateway, and the range of its times where that is known."""

    batch_id: int
    stored: int
    observations_stored: int
    receptions: Mapping[str, Sequence[Any]] | None
    observed_from: datetime | None
    observed_until: datetime | None


def read_undigested(conn: Connection, limit: int) -> list[Undigested]:
    """The oldest batches that are not digested."""
    return [Undigested(*row) for row in conn.execute(_SQL["read_undigested"], {"limit": limit})]


def _range(observed_from: datetime | None, observed_until: datetime | None) -> dict[str, object]:
    """Bounds for times: the database then looks into the chunks between them alone."""
    return {"observed_from": observed_from or "-infinity", "observed_until": observed_until or "infinity"}


def _range_of(batches: Sequence[Undigested]) -> dict[str, object]:
    begins = [batch.observed_from for batch in batches if batch.stored]
    ends = [batch.observed_until for batch in batches if batch.stored]
    known_begins, known_ends = [b for b in begins if b], [e for e in ends if e]
    return _range(
        min(known_begins) if len(known_begins) == len(begins) else None,
        max(known_ends) if len(known_ends) == len(ends) else None,
    )


def count_undigested(conn: Connection) -> tuple[int, datetime | None]:
    """How many batches wait, and when the oldest of them was recorded."""
    row = conn.execute(_SQL["count_undigested"]).fetchone()
    assert row is not None, "a count always gives a row"
    return int(row[0]), row[1]


def _read(conn: Connection, name: str, columns: Sequence[tuple[str, str]], parameters: Mapping[str, object]) -> Columns:
    """Columns of a named COPY: instants as integers, other integers as int64, numbers as float64."""
    found = copy_columns(conn, _SQL[name], columns, parameters)
    for column, kind in columns:
        values = found[column]
        if kind == "timestamptz":
            # NaT, which stands for ±infinity, is NEVER as an integer.
            found[column] = values.astype("datetime64[us]").astype(np.int64)
        elif kind.startswith("int"):
            found[column] = values.astype(np.int64)
        elif kind.startswith("float"):
            found[column] = values.astype(np.float64)
    return found


def read_messages(conn: Connection, batches: Sequence[Undigested]) -> Columns:
    """Messages of these batches that name a device, columns `MESSAGES`."""
    batch_ids = [batch.batch_id for batch in batches]
    parameters = {"first": min(batch_ids), "last": max(batch_ids)} | _range_of(batches)
    found = _read(conn, "read_messages", MESSAGES, parameters)
    ours = np.isin(found["batch_id"], np.asarray(batch_ids))
    return found if ours.all() else {name: values[ours] for name, values in found.items()}


def read_observations(
    conn: Connection, batches: Sequence[Undigested], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> Columns:
    """What was recorded in these windows, which must not overlap; columns `OBSERVATIONS`."""
    windows = {"begins": _instants(begins), "ends": _instants(ends)} | _range_of(batches)
    return _read(conn, "read_observations", OBSERVATIONS, windows)


def _instants(at_us: NDArray[np.int64]) -> list[datetime]:
    utc = at_us.astype("datetime64[us]").tolist()
    return [at.replace(tzinfo=UTC) for at in utc]


def read_series(conn: Connection, series_ids: NDArray[np.int64], quantities: Sequence[str]) -> Columns:
    """Series by id with their state, columns `SERIES`; `quantity_no` counts in `quantities`, −1: none of them."""
    parameters = {"series_ids": series_ids.tolist(), "quantities": list(quantities)}
    return _read(conn, "read_series", SERIES, parameters)


def read_devices(conn: Connection, device_ids: NDArray[np.int64]) -> tuple[Columns, Columns, Columns]:
    """Health of devices by id (`DEVICES`), their newest frames (`FRAMES`) and joins (`JOINS`)."""
    parameters = {"device_ids": device_ids.tolist()}
    return (
        _read(conn, "read_devices", DEVICES, parameters),
        _read(conn, "read_recent_frames", FRAMES, parameters),
        _read(conn, "read_recent_joins", JOINS, parameters),
    )


def read_frame_pages(conn: Connection, device_ids: NDArray[np.int64], pages: NDArray[np.int64]) -> Columns:
    """Which counters of these pages came, columns `PAGES`; pages that nothing came of are left out."""
    return _read(conn, "read_frame_pages", PAGES, {"device_ids": device_ids.tolist(), "pages": pages.tolist()})


def read_raw_frames(
    conn: Connection, device_ids: NDArray[np.int64], at_us: NDArray[np.int64], f_cnts: NDArray[np.int64]
) -> list[list[tuple[str, str, bytes, datetime]]]:
    """The kept messages behind frames: format, topic, raw bytes, arrival. A frame may have none, or several."""
    found: list[list[tuple[str, str, bytes, datetime]]] = [[] for _ in range(len(at_us))]
    parameters = {
        "places": list(range(len(at_us))),
        "device_ids": device_ids.tolist(),
        "ats": _instants(at_us),
        "f_cnts": f_cnts.tolist(),
    }
    batches: dict[int, list[bytes]] = {}
    for row in conn.execute(_SQL["find_raw_frames"], parameters).fetchall():
        place, name, topic, recorded_at, batch_id, raw_no, payload = row
        if payload is None:
            if batch_id not in batches:
                batches.clear()  # one at a time: a batch may be large
                packed = conn.execute(_SQL["read_raw_batch"], {"batch_id": batch_id}).fetchone()
                batches[batch_id] = raw.unpack(packed[0]) if packed else []
            if raw_no is None or raw_no >= len(batches[batch_id]):
                continue  # raw bytes are kept for a time only
            payload = batches[batch_id][raw_no]
        found[place].append((name, topic, bytes(payload), recorded_at))
    return found


def read_gateways(conn: Connection, gateway_ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Gateway → receptions, last seen, mean interval [s], mean clock skew [s] and its weight."""
    rows = conn.execute(_SQL["read_gateways"], {"gateway_ids": list(gateway_ids)})
    return {row[0]: row[1:] for row in rows}


def write_gateways(conn: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Add receptions to gateways; means are written as given."""
    with conn.cursor() as cursor:
        cursor.executemany(_SQL["upsert_gateway"], rows)


def make_temporary_tables(conn: Connection) -> None:
    """The tables through which everything is written in bulk; once a connection."""
    conn.execute(_SQL["create_temp_tables"])


def write_devices(conn: Connection, devices: Columns) -> None:
    """Health of devices, columns `DEVICES`, the three arrays padded with `NEVER` and −1, and `digested_at`."""
    _write(conn, "copy_devices", (*DEVICES, *_DEVICE_ARRAYS), devices, "upsert_devices")


def write_frame_pages(conn: Connection, pages: Columns) -> None:
    """Pages of received counters, columns `PAGES`."""
    _write(conn, "copy_frame_pages", PAGES, pages, "upsert_frame_pages")


def write_series(conn: Connection, series: Columns) -> None:
    """States of series: `series_id` and the columns of their state."""
    _write(conn, "copy_series", (("series_id", "int4"), *_SERIES_STATE), series, "upsert_series")


def flag_observations(conn: Connection, flagged: Columns) -> int:
    """Add flags to observations (`FLAGGED_OBSERVATIONS`). Gives how many changed."""
    if not len(flagged["series_id"]):
        return 0
    narrow = narrow_update(conn, flagged["series_id"].tolist())
    return _write(conn, "copy_flagged_observations", FLAGGED_OBSERVATIONS, flagged, "flag_observations", narrow)


def touch_sensor_days(conn: Connection, series_ids: NDArray[np.int64], at_us: NDArray[np.int64]) -> None:
    """What these series measured at these instants was added or flagged; see `roadtwin.storage.sensor_days`."""
    if len(series_ids):
        touch_days(conn, series_ids.tolist(), _instants(at_us))


def flag_messages(conn: Connection, flagged: Columns) -> int:
    """Add flags to messages (`FLAGGED_MESSAGES`). Gives how many changed."""
    return _write(conn, "copy_flagged_messages", FLAGGED_MESSAGES, flagged, "flag_messages")


def flag_frames(conn: Connection, flagged: Columns) -> int:
    """Set and clear flags of uplinks by device, time and counter (`FLAGGED_FRAMES`). Gives how many changed."""
    return _write(conn, "copy_flagged_frames", FLAGGED_FRAMES, flagged, "flag_frames")


def mark_digested(conn: Connection, batch_ids: Sequence[int], now: datetime) -> None:
    """These batches need no more work."""
    conn.execute(_SQL["mark_digested"], {"batch_ids": list(batch_ids), "now": now})


def _write(
    conn: Connection,
    copy: str,
    columns: Sequence[tuple[str, str]],
    values: Columns,
    then: str,
    parameters: Mapping[str, object] = MappingProxyType({}),
) -> int:
    """Copy rows into a temporary table and write them on from there, with parameters beside the bounds of times."""
    if not len(values[columns[0][0]]):
        return 0
    with conn.cursor() as cursor:
        with cursor.copy(_SQL[copy]) as stream:
            stream.write(_rows(columns, values))
        bounds: dict[str, object] = {}
        if "observed_at" in values:
            begin, end = _instants(np.array([values["observed_at"].min(), values["observed_at"].max()]))
            bounds = _range(begin, end)
        # A general plan would look everywhere.
        return cursor.execute(_SQL[then], {**bounds, **parameters}, prepare=False).rowcount


def _rows(columns: Sequence[tuple[str, str]], values: Columns) -> bytes:
    """A stream in PostgreSQL's binary COPY format, all rows of one size."""
    fields: list[Any] = [("fields", ">i2")]
    for name, kind in columns:
        fields += [(f"{name} length", ">i4"), (name, _element(kind, values[name]))]
    rows = np.zeros(len(values[columns[0][0]]), np.dtype(fields))
    rows["fields"] = len(columns)
    for name, kind in columns:
        rows[f"{name} length"] = rows.dtype[name].itemsize
        if kind in _ARRAY_TYPE:
            cell = rows[name]
            cell["dimensions"], cell["type"], cell["size"], cell["lower"] = (
                1,
                _ARRAY_TYPE[kind],
                values[name].shape[1],
                1,
            )
            cell["elements"]["length"] = 8
            cell["elements"]["value"] = _wire(kind.removesuffix("[]"), values[name])
        else:
            rows[name] = _wire(kind, values[name])
    return b"".join((_HEADER, rows.tobytes(), _TRAILER))


def _element(kind: str, values: NDArray[Any]) -> Any:
    if kind not in _ARRAY_TYPE:
        return ">i8" if kind == "timestamptz" else _WIRE[kind]
    element = np.dtype([("length", ">i4"), ("value", ">i8")])
    head: list[Any] = [(name, ">i4") for name in ("dimensions", "nulls", "type", "size", "lower")]
    return np.dtype([*head, ("elements", element, (values.shape[1],))])


def _wire(kind: str, values: NDArray[Any]) -> NDArray[Any]:
    if kind == "timestamptz":  # NEVER is −infinity on the wire
        return np.where(values == NEVER, NEVER, values - np.where(values == NEVER, 0, _EPOCH_US))
    return values
