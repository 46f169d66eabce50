"""Writing messages and what was measured with them: one batch, one transaction, every row by its natural key."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from roadtwin.storage import batch_rows, raw
from roadtwin.storage.batch_rows import Positioned, Prepared, is_known_by_id_alone
from roadtwin.storage.devices import DeviceBook
from roadtwin.storage.measured import Measured, measured_rows, series_keys
from roadtwin.storage.queries import load
from roadtwin.types import BatchCounts, Message, Origin, RejectedMessage

REDELIVERY_WINDOW = timedelta(days=14)
"""How long a broker may hold a message that we have stored but not acknowledged: the expiry of our session."""
STAGED_AFTER_CONFLICT = 20
"""Batches written by way of staging tables after one that met rows that were there already: they come in runs."""
_LOCK_KEY = 0x726F6164_6D736773  # of the writers that look for messages by id alone

Connection = psycopg.Connection[Any]


@dataclass(slots=True)
class _Accounts:
    """What a transaction finds out about its batch while it writes."""

    stored: int = 0
    observations_stored: int = 0
    observations_duplicate: int = 0
    conflicts: int = 0


class BatchWriter:
    """Writes batches on one connection, which must be idle between them.

    Most batches hold nothing that the tables hold. So a batch is first copied straight into them; only when a row is
    there already, the transaction is undone and the batch goes through temporary tables and ON CONFLICT DO NOTHING,
    which tells new rows from known ones and costs twice as much. Redeliveries and messages without a time of their own
    go that way at once.
    """

    def __init__(self, conn: Connection, *, worker: str, origin: Origin) -> None:
        self._conn = conn
        self._worker = worker
        self._origin = origin
        self._book = DeviceBook()
        self._staged_left = 0

    def prepare(self, messages: Sequence[Message]) -> Prepared | None:
        """Make the rows of a batch ahead of `write`, in any thread; None where only its transaction can make them."""
        return batch_rows.prepare(messages, self._book, self._origin.value) if self._staged_left == 0 else None

    def write(
        self, messages: Sequence[Message], rejected: Sequence[RejectedMessage], prepared: Prepared | None = None
    ) -> BatchCounts:
        """Write a batch in one transaction of its own and give its accounts, which are committed with it.

        `prepared` are the rows of these very messages. A message that is there already is a duplicate and changes
        nothing, nor do its observations. Written again after a lost COMMIT, a batch is all duplicates. Errors of
        psycopg pass through, and `struct.error`, `OverflowError` and `UnicodeError` for values that no row can hold:
        nothing is written then.
        """
        conn = self._conn
        if conn.info.transaction_status != TransactionStatus.IDLE:
            raise ValueError("write got a connection with an open transaction, expected an idle one.")
        if not messages and not rejected:
            return BatchCounts(0, 0, 0, 0)
        staged = self._staged_left > 0 or any(map(is_known_by_id_alone, messages))
        try:
            if not staged:
                try:
                    return self._copy_straight(messages, rejected, prepared)
                except (psycopg.errors.UniqueViolation, psycopg.errors.ForeignKeyViolation):
                    self._book.forget()
            try:
                counts = self._copy_staged(messages, rejected)
            except psycopg.errors.ForeignKeyViolation:  # somebody deleted a device that we know: no fault of a row
                self._book = DeviceBook()
                counts = self._copy_staged(messages, rejected)
        except BaseException:
            self._book.forget()  # devices and series that it made are undone
            raise
        known = counts.duplicate or counts.observations_duplicate or counts.observation_conflicts
        self._staged_left = STAGED_AFTER_CONFLICT if known else max(self._staged_left - 1, 0)
        return counts

    def _copy_straight(
        self, messages: Sequence[Message], rejected: Sequence[RejectedMessage], prepared: Prepared | None
    ) -> BatchCounts:
        conn, sql = self._conn, load("messages")
        with conn.transaction():
            batch_id = _next_batch_id(conn)
            if prepared is None:
                prepared = self._prepare_here(messages)
            else:
                self._book.meet(conn, prepared.news)
            observations = prepared.measured.observations
            if prepared.found.messages:
                _copy(conn, sql["copy_messages"], prepared.messages.numbered(batch_id))
                if observations.count:
                    _copy(conn, sql["copy_observations"], observations.framed)
                _write_vehicle_readings(conn, prepared.measured, staged=False)
                _write_conflicts(conn, observations.conflicts)
                conn.execute(load("raw")["insert_raw_batch"], {"batch_id": batch_id, **prepared.raw})
            _write_rejected(conn, rejected)
            accounts = _Accounts(
                stored=len(prepared.found.messages),
                observations_stored=observations.count,
                observations_duplicate=observations.given - observations.count - len(observations.conflicts),
                conflicts=len(observations.conflicts),
            )
            counts = self._write_accounts(batch_id, accounts, prepared.accounts, messages, rejected)
        self._book.keep()
        return counts

    def _prepare_here(self, messages: Sequence[Message]) -> Prepared:
        """In the transaction, which makes the devices and series that are new."""
        found = Positioned.of(batch_rows.without_repeats(messages))
        devices = self._book.meet(self._conn, found.messages)
        series = self._book.meet_series(self._conn, series_keys(found.messages, devices))
        origin = self._origin.value
        return Prepared(
            found=found,
            news=(),
            messages=batch_rows.message_rows(found, devices, origin),
            measured=measured_rows(found.messages, devices, series, origin),
            raw=batch_rows.raw_batch(found, len(found.messages)) if messages else {},
            accounts=batch_rows.account_columns(found.messages),
        )

    def _copy_staged(self, messages: Sequence[Message], rejected: Sequence[RejectedMessage]) -> BatchCounts:
        conn, sql, origin, accounts = self._conn, load("messages"), self._origin.value, _Accounts()
        with conn.transaction():
            batch_id = _next_batch_id(conn)
            _make_temporary_tables(conn)
            every = Positioned.of(batch_rows.without_repeats(messages))
            found = every.without(_known_ids(conn, every))
            devices = self._book.meet(conn, found.messages)
            rows = batch_rows.message_rows(found, devices, origin)
            _copy(conn, sql["copy_incoming_messages"], rows.numbered(batch_id))
            found = found.only({int(row[0]) for row in conn.execute(sql["insert_messages"])})
            accounts.stored = len(found.messages)
            series = self._book.meet_series(conn, series_keys(found.messages, devices))
            measured = measured_rows(found.messages, devices, series, origin)
            self._stage_observations(measured, accounts)
            _write_vehicle_readings(conn, measured, staged=True)
            if found.messages:
                row = batch_rows.raw_batch(found, len(every.messages))
                conn.execute(load("raw")["insert_raw_batch"], {"batch_id": batch_id, **row})
            _write_rejected(conn, rejected)
            told = batch_rows.account_columns(found.messages)
            counts = self._write_accounts(batch_id, accounts, told, messages, rejected)
        self._book.keep()
        return counts

    def _stage_observations(self, measured: Measured, accounts: _Accounts) -> None:
        """Of two values for one instant the first is in force, the other a conflict."""
        rows = measured.observations
        if not rows.count:
            return
        conn, sql, conflicts = self._conn, load("messages"), list(rows.conflicts)
        _copy(conn, sql["copy_incoming_observations"], rows.framed)
        accounts.observations_stored = conn.execute(sql["insert_observations"]).rowcount
        if accounts.observations_stored < rows.count:
            conflicts += conn.execute(sql["find_observation_conflicts"]).fetchall()
        _write_conflicts(conn, conflicts)
        accounts.conflicts = len(conflicts)
        accounts.observations_duplicate = rows.given - accounts.observations_stored - accounts.conflicts

    def _write_accounts(
        self,
        batch_id: int,
        accounts: _Accounts,
        told: Any,
        messages: Sequence[Message],
        rejected: Sequence[RejectedMessage],
    ) -> BatchCounts:
        counts = BatchCounts(
            received=len(messages) + len(rejected),
            stored=accounts.stored,
            duplicate=len(messages) - accounts.stored,
            rejected=len(rejected),
            observations_stored=accounts.observations_stored,
            observations_duplicate=accounts.observations_duplicate,
            observation_conflicts=accounts.conflicts,
        )
        self._conn.execute(
            load("messages")["insert_batch"],
            {
                "batch_id": batch_id,
                "worker": self._worker,
                "origin": self._origin.value,
                "recorded_at": max([m.recorded_at for m in messages] + [r.recorded_at for r in rejected]),
                "received": counts.received,
                "stored": counts.stored,
                "duplicate": counts.duplicate,
                "rejected": counts.rejected,
                "observations_stored": counts.observations_stored,
                "observations_duplicate": counts.observations_duplicate,
                "observation_conflicts": counts.observation_conflicts,
                "receptions": Jsonb(told["receptions"]) if told["receptions"] else None,
                "observed_from": told["observed_from"],
                "observed_until": told["observed_until"],
            },
        )
        return counts


def write_batch(
    conn: Connection, messages: Sequence[Message], rejected: Sequence[RejectedMessage], *, worker: str, origin: Origin
) -> BatchCounts:
    """Write one batch with a writer of its own; see `BatchWriter.write`."""
    return BatchWriter(conn, worker=worker, origin=origin).write(messages, rejected)


def _known_ids(conn: Connection, found: Positioned) -> set[UUID]:
    """Ids of messages that may be there under another time, and are."""
    doubtful = [message for message in found.messages if is_known_by_id_alone(message)]
    if not doubtful:
        return set()
    sql = load("messages")
    conn.execute(sql["lock_messages_known_by_id"], {"key": _LOCK_KEY})
    rows = conn.execute(
        sql["find_message_ids"],
        {
            "message_ids": [message.message_id for message in doubtful],
            "after": min(message.recorded_at for message in doubtful) - REDELIVERY_WINDOW,
        },
    )
    return {row[0] for row in rows}


def _next_batch_id(conn: Connection) -> int:
    row = conn.execute(load("messages")["next_batch_id"]).fetchone()
    assert row is not None, "a sequence always gives a number"
    return int(row[0])


def _make_temporary_tables(conn: Connection) -> None:
    """Temporary tables once a connection; a rolled-back first batch takes them along."""
    sql = load("messages")
    row = conn.execute(sql["temp_tables_are_there"]).fetchone()
    if row is None or not row[0]:
        conn.execute(sql["create_temp_tables"])


def _copy(conn: Connection, statement: LiteralString, data: bytes | bytearray) -> None:
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(data)


def _write_vehicle_readings(conn: Connection, measured: Measured, *, staged: bool) -> None:
    """Vehicle readings and their detections; `staged` keeps those that are there already as they are."""
    sql = load("messages")
    for what, rows in (("vehicle_readings", measured.readings), ("detections", measured.detections)):
        if rows:
            _copy(conn, sql[f"copy_incoming_{what}" if staged else f"copy_{what}"], rows)
            if staged:
                conn.execute(sql[f"insert_{what}"])


def _write_conflicts(conn: Connection, conflicts: Collection[tuple[Any, ...]]) -> None:
    if conflicts:
        with conn.cursor() as cursor:
            cursor.executemany(load("messages")["insert_observation_conflict"], sorted(conflicts))


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


def count_messages_without_bytes(conn: Connection) -> int:
    """Messages whose raw batch is gone."""
    row = conn.execute(load("messages")["count_messages_without_bytes"]).fetchone()
    assert row is not None, "counts always give a row"
    return int(row[0])


def find_payloads(conn: Connection, digests: Collection[bytes]) -> dict[bytes, tuple[int, int]]:
    """SHA-256 of a payload → (stored messages, occurrences in rejected_message). Reads and hashes all stored payloads.

    A digest that is nowhere has (0, 0).
    """
    stored, rejected = dict.fromkeys(digests, 0), dict.fromkeys(digests, 0)
    with conn.transaction():
        for payload in raw.read_payloads(conn):
            digest = sha256(payload).digest()
            if digest in stored:
                stored[digest] += 1
        rows = conn.execute(load("messages")["find_rejected_payloads"], {"digests": list(rejected)})
        rejected |= {bytes(digest): int(count) for digest, count in rows}
    return {digest: (stored[digest], rejected[digest]) for digest in stored}
