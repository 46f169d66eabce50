"""Writing messages and what was measured with them: one batch, one transaction, every row by its natural key."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from roadtwin.storage import devices
from roadtwin.storage.queries import load
from roadtwin.types import BatchCounts, DeviceKey, Flag, Message, Observation, Origin, RejectedMessage

REDELIVERY_WINDOW = timedelta(days=14)
"""How long a broker may hold a message that we have stored but not acknowledged: the expiry of our session."""
LATEST_AHEAD = timedelta(days=1)
_LOCK_KEY = 0x726F6164_6D736773  # of the writers that look for messages by id alone

_MESSAGE_TYPES = (
    "uuid", "timestamptz", "timestamptz", "text", "text", "text", "text", "int4", "int8", "int4", "int2",
    "float4", "float4", "bool", "int2", "text", "bytea", "jsonb",
)  # fmt: skip
_OBSERVATION_TYPES = ("int4", "timestamptz", "timestamptz", "float8", "int2", "int2")
_READING_TYPES = (
    "uuid", "timestamptz", "timestamptz", "text", "text", "text", "float8", "float8", "float4", "float4", "float4",
    "text", "int2", "text", "text", "float4", "float4", "float4", "float4", "float4", "float4", "text", "int2",
)  # fmt: skip
_DETECTION_TYPES = (
    "uuid", "int2", "timestamptz", "timestamptz", "text", "float4", "float4[]", "int4", "int4", "float4", "float4",
    "float4", "float4", "text",
)  # fmt: skip

Connection = psycopg.Connection[Any]
MessageKey = tuple[datetime, UUID]
ObservationRow = tuple[int, datetime, datetime, float, int, int]


@dataclass(slots=True)
class _ObservationCounts:
    stored: int = 0
    duplicate: int = 0
    conflicts: int = 0


def write_batch(
    conn: Connection, messages: Sequence[Message], rejected: Sequence[RejectedMessage], *, worker: str, origin: Origin
) -> BatchCounts:
    """Write a batch in one transaction of its own and give its accounts, which are committed with it.

    `conn` must be idle. A message that is there already is a duplicate and changes nothing, nor do its observations.
    Written again after a lost COMMIT, a batch is all duplicates. Errors of psycopg pass through: nothing is written.
    """
    if conn.info.transaction_status != TransactionStatus.IDLE:
        raise ValueError("write_batch got a connection with an open transaction, expected an idle one.")
    received = len(messages) + len(rejected)
    if received == 0:
        return BatchCounts(0, 0, 0, 0)
    with conn.transaction():
        _prepare(conn)
        fresh = _without_known_ids(conn, _without_repeats(messages))
        device_ids = devices.resolve_devices(conn, fresh.values())
        stored = _write_messages(conn, fresh, device_ids, origin)
        counts = _write_observations(conn, stored, device_ids)
        _write_vehicle_readings(conn, stored, origin)
        _write_rejected(conn, rejected)
        batch = BatchCounts(
            received=received,
            stored=len(stored),
            duplicate=len(messages) - len(stored),
            rejected=len(rejected),
            observations_stored=counts.stored,
            observations_duplicate=counts.duplicate,
            observation_conflicts=counts.conflicts,
        )
        recorded_at = max([m.recorded_at for m in messages] + [r.recorded_at for r in rejected])
        conn.execute(
            load("messages")["insert_batch"],
            {
                "worker": worker,
                "origin": origin.value,
                "recorded_at": recorded_at,
                "received": batch.received,
                "stored": batch.stored,
                "duplicate": batch.duplicate,
                "rejected": batch.rejected,
                "observations_stored": batch.observations_stored,
                "observations_duplicate": batch.observations_duplicate,
                "observation_conflicts": batch.observation_conflicts,
            },
        )
    return batch


def _prepare(conn: Connection) -> None:
    """Temporary tables once a connection; a rolled-back first batch takes them along."""
    sql = load("messages")
    row = conn.execute(sql["temp_tables_are_there"]).fetchone()
    if row is None or not row[0]:
        conn.execute(sql["create_temp_tables"])


def observed_at(message: Message) -> datetime:
    """The time a message is stored under: its own, else that of its arrival."""
    return message.event_at or message.recorded_at


def _known_by_id_alone(message: Message) -> bool:
    """Without a time of its own; or ahead of our clock: redelivered sooner, its time would not have been believed."""
    return message.event_at is None or bool(message.flags & Flag.FUTURE)


def _without_repeats(messages: Sequence[Message]) -> dict[MessageKey, Message]:
    """The first of equal messages of one batch, in the order of their keys: two writers must not meet crosswise."""
    by_key: dict[MessageKey, Message] = {}
    seen_ids: set[UUID] = set()
    for message in messages:
        if _known_by_id_alone(message):
            if message.message_id in seen_ids:
                continue
            seen_ids.add(message.message_id)
        by_key.setdefault((observed_at(message), message.message_id), message)
    return dict(sorted(by_key.items(), key=lambda item: item[0]))


def _without_known_ids(conn: Connection, messages: dict[MessageKey, Message]) -> dict[MessageKey, Message]:
    doubtful = [message for message in messages.values() if _known_by_id_alone(message)]
    if not doubtful:
        return messages
    sql = load("messages")
    conn.execute(sql["lock_messages_known_by_id"], {"key": _LOCK_KEY})
    found = conn.execute(
        sql["find_message_ids"],
        {
            "message_ids": [message.message_id for message in doubtful],
            "after": min(message.recorded_at for message in doubtful) - REDELIVERY_WINDOW,
            "until": max(message.recorded_at for message in doubtful) + LATEST_AHEAD,
        },
    )
    known = {row[0] for row in found}
    doubtful_keys = {(observed_at(message), message.message_id) for message in doubtful}
    return {key: message for key, message in messages.items() if key not in doubtful_keys or key[1] not in known}


def _copy(conn: Connection, statement: LiteralString, types: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _write_messages(
    conn: Connection, messages: dict[MessageKey, Message], device_ids: dict[DeviceKey, int], origin: Origin
) -> dict[MessageKey, Message]:
    """Those that were not there yet."""
    sql = load("messages")
    _copy(
        conn,
        sql["copy_messages"],
        _MESSAGE_TYPES,
        (
            (
                m.message_id,
                at,
                m.recorded_at,
                m.clock.value,
                m.format,
                m.event_kind,
                origin.value,
                device_ids[m.device] if m.device else None,
                m.f_cnt,
                m.f_port,
                m.gateway_count,
                m.best_rssi_dbm,
                m.best_snr_db,
                m.retained,
                int(m.flags),
                m.topic,
                m.payload,
                Jsonb(m.details) if m.details else None,
            )
            for (at, _), m in messages.items()
        ),
    )
    stored = {(row[0], row[1]) for row in conn.execute(sql["insert_messages"])}
    return {key: message for key, message in messages.items() if key in stored}


def _write_observations(
    conn: Connection, messages: dict[MessageKey, Message], device_ids: dict[DeviceKey, int]
) -> _ObservationCounts:
    """Observations of new messages. Another value for the same instant is kept as a conflict; the first is in force."""
    found: list[tuple[int, Message, Observation]] = [
        (device_ids[m.device], m, observation) for m in messages.values() if m.device for observation in m.observations
    ]
    counts = _ObservationCounts()
    if not found:
        return counts
    series_ids = devices.resolve_series(conn, [(device_id, o) for device_id, _, o in found])
    rows: dict[tuple[int, datetime, int], ObservationRow] = {}
    conflicts: list[tuple[int, datetime, int, float, datetime]] = []
    for device_id, m, o in found:
        series_id = series_ids[device_id, o.channel, o.quantity, o.depth_cm]
        key = (series_id, o.observed_at, m.profile_version)
        row = (series_id, o.observed_at, m.recorded_at, o.value, int(o.flags), m.profile_version)
        first = rows.setdefault(key, row)
        if first is not row and first[3] != o.value:
            conflicts.append((*key, o.value, m.recorded_at))
    sql = load("messages")
    _copy(conn, sql["copy_observations"], _OBSERVATION_TYPES, rows.values())
    counts.stored = conn.execute(sql["insert_observations"]).rowcount
    if counts.stored < len(rows):
        conflicts += conn.execute(sql["find_observation_conflicts"]).fetchall()
    if conflicts:
        with conn.cursor() as cursor:
            cursor.executemany(sql["insert_observation_conflict"], sorted(conflicts))
    counts.conflicts = len(conflicts)
    counts.duplicate = len(found) - counts.stored - counts.conflicts
    return counts


def _write_vehicle_readings(conn: Connection, messages: dict[MessageKey, Message], origin: Origin) -> None:
    readings = [(m.recorded_at, m.vehicle_reading) for m in messages.values() if m.vehicle_reading is not None]
    if not readings:
        return
    sql = load("messages")
    _copy(
        conn,
        sql["copy_vehicle_readings"],
        _READING_TYPES,
        (
            (
                r.event_id,
                r.observed_at,
                recorded_at,
                origin.value,
                r.vehicle_pseudonym,
                r.calibration_id,
                r.position.lon,
                r.position.lat,
                r.position.accuracy_m,
                r.heading_deg,
                r.speed_mps,
                r.pass_id,
                r.lane,
                r.camera_model,
                r.camera_version,
                r.blur,
                r.wet,
                r.light,
                r.accel_rms_mps2,
                r.accel_peak_mps2,
                r.sample_rate_hz,
                r.image_ref,
                int(r.flags),
            )
            for recorded_at, r in readings
        ),
    )
    conn.execute(sql["insert_vehicle_readings"])
    if not any(r.detections for _, r in readings):
        return
    _copy(
        conn,
        sql["copy_detections"],
        _DETECTION_TYPES,
        (
            (
                r.event_id,
                d.detection_no,
                r.observed_at,
                recorded_at,
                d.class_code,
                d.confidence,
                list(d.bbox_px),
                d.image_width_px,
                d.image_height_px,
                d.width_m,
                d.length_m,
                d.depth_m,
                d.area_m2,
                d.track_id,
            )
            for recorded_at, r in readings
            for d in r.detections
        ),
    )
    conn.execute(sql["insert_detections"])


def _write_rejected(conn: Connection, rejected: Sequence[RejectedMessage]) -> None:
    rows: dict[bytes, dict[str, Any]] = {}
    for r in rejected:
        row = rows.setdefault(
            r.digest,
            {
                "digest": r.digest,
                "topic": r.topic,
                "payload": r.payload,
                "payload_bytes": r.payload_bytes,
                "payload_sha256": r.payload_sha256,
                "code": r.code,
                "reason": r.reason,
                "first_seen_at": r.recorded_at,
                "last_seen_at": r.recorded_at,
                "count": 0,
            },
        )
        row["count"] += 1
        row["first_seen_at"] = min(row["first_seen_at"], r.recorded_at)
        row["last_seen_at"] = max(row["last_seen_at"], r.recorded_at)
    if rows:
        with conn.cursor() as cursor:
            cursor.executemany(load("messages")["upsert_rejected_message"], [rows[digest] for digest in sorted(rows)])


def read_last_batch_id(conn: Connection) -> int:
    """Number of the newest batch, 0 if there is none."""
    row = conn.execute(load("messages")["read_last_batch_id"]).fetchone()
    return int(row[0]) if row else 0


def read_accounts(conn: Connection, *, after_batch_id: int = 0) -> BatchCounts:
    """Accounts of all batches after one of them."""
    row = conn.execute(load("messages")["read_accounts"], {"after_batch_id": after_batch_id}).fetchone()
    assert row is not None, "sums always give a row"
    return BatchCounts(*row)


def count_rows(conn: Connection) -> tuple[int, int, int]:
    """Messages stored; occurrences of rejected messages; message ids that were stored with two times of their own."""
    row = conn.execute(load("messages")["count_rows"]).fetchone()
    repeated = conn.execute(load("messages")["count_messages_stored_twice"]).fetchone()
    assert row is not None, "counts always give a row"
    assert repeated is not None, "counts always give a row"
    return int(row[0]), int(row[1]), int(repeated[0])


def find_payloads(conn: Connection, digests: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
    """SHA-256 of a payload → (rows in message, occurrences in rejected_message). Hashes every stored payload."""
    rows = conn.execute(load("messages")["find_payloads"], {"digests": list(digests)})
    return {bytes(digest): (stored, rejected) for digest, stored, rejected in rows}
