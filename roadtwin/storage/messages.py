"""Writing messages and what was measured with them: one batch, one transaction, every row by its natural key."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb

from roadtwin.storage import copyrows, raw
from roadtwin.storage.devices import DeviceBook
from roadtwin.storage.measured import observation_rows, write_vehicle_readings
from roadtwin.storage.queries import load
from roadtwin.types import BatchCounts, Flag, Message, Origin, RejectedMessage

REDELIVERY_WINDOW = timedelta(days=14)
"""How long a broker may hold a message that we have stored but not acknowledged: the expiry of our session."""
STAGED_AFTER_CONFLICT = 20
"""Batches written by way of staging tables after one that met rows that were there already: they come in runs."""
_LOCK_KEY = 0x726F6164_6D736773  # of the writers that look for messages by id alone

Connection = psycopg.Connection[Any]
MessageKey = tuple[int, bytes]


@dataclass(slots=True)
class _Accounts:
    """What a transaction finds out about its batch while it writes."""

    batch_id: int = 0
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

    def write(self, messages: Sequence[Message], rejected: Sequence[RejectedMessage]) -> BatchCounts:
        """Write a batch in one transaction of its own and give its accounts, which are committed with it.

        A message that is there already is a duplicate and changes nothing, nor do its observations. Written again after
        a lost COMMIT, a batch is all duplicates. Errors of psycopg pass through, and `struct.error`, `OverflowError`
        and `UnicodeError` for values that no row can hold: nothing is written then.
        """
        conn = self._conn
        if conn.info.transaction_status != TransactionStatus.IDLE:
            raise ValueError("write got a connection with an open transaction, expected an idle one.")
        if not messages and not rejected:
            return BatchCounts(0, 0, 0, 0)
        fresh = _without_repeats(messages)
        staged = self._staged_left > 0 or any(map(_known_by_id_alone, fresh.values()))
        try:
            if not staged:
                try:
                    return self._transaction(fresh, len(messages), rejected, staged=False)
                except psycopg.errors.UniqueViolation:
                    self._book.forget()
            counts = self._transaction(fresh, len(messages), rejected, staged=True)
        except BaseException:
            self._book.forget()  # devices and series that it made are undone
            raise
        known = counts.duplicate or counts.observations_duplicate or counts.observation_conflicts
        self._staged_left = STAGED_AFTER_CONFLICT if known else max(self._staged_left - 1, 0)
        return counts

    def _transaction(
        self, fresh: dict[MessageKey, Message], received: int, rejected: Sequence[RejectedMessage], *, staged: bool
    ) -> BatchCounts:
        conn = self._conn
        with conn.transaction():
            accounts = _Accounts(batch_id=_next_batch_id(conn))
            messages = _Positioned.of(fresh)
            if staged:
                _make_temporary_tables(conn)
                messages = messages.without(_known_ids(conn, messages))
            self._book.meet(conn, messages.messages)
            messages = self._write_messages(messages, accounts, staged=staged)
            self._write_observations(messages, accounts, staged=staged)
            write_vehicle_readings(conn, messages.messages, self._origin.value, staged=staged)
            if messages.messages:
                conn.execute(load("raw")["insert_raw_batch"], _raw_batch(accounts.batch_id, messages, len(fresh)))
            _write_rejected(conn, rejected)
            counts = BatchCounts(
                received=received + len(rejected),
                stored=accounts.stored,
                duplicate=received - accounts.stored,
                rejected=len(rejected),
                observations_stored=accounts.observations_stored,
                observations_duplicate=accounts.observations_duplicate,
                observation_conflicts=accounts.conflicts,
            )
            self._write_accounts(accounts.batch_id, counts, fresh.values(), messages.messages, rejected)
        return counts

    def _write_messages(self, found: "_Positioned", accounts: _Accounts, *, staged: bool) -> "_Positioned":
        """Those that were not there yet."""
        devices, origin, batch_id = self._book.devices, self._origin.value, accounts.batch_id
        rows = [
            copyrows.message_row(
                m,
                key[0],
                copyrows.instant_us(m.recorded_at),
                batch_id,
                position,
                origin,
                None if m.device is None else devices[m.device].device_id,
            )
            for position, key, m in zip(found.positions, found.keys, found.messages, strict=True)
        ]
        sql = load("messages")
        if not staged:
            _copy(self._conn, sql["copy_messages"], copyrows.framed(rows))
            accounts.stored = len(rows)
            return found
        _copy(self._conn, sql["copy_incoming_messages"], copyrows.framed(rows))
        stored = {int(row[0]) for row in self._conn.execute(sql["insert_messages"])}
        accounts.stored = len(stored)
        return found.only(stored)

    def _write_observations(self, messages: "_Positioned", accounts: _Accounts, *, staged: bool) -> None:
        """Observations of new messages. Of two values for one instant the first is in force, the other a conflict."""
        rows = observation_rows(self._conn, messages.messages, self._book)
        if rows is None:
            return
        conn, sql, conflicts = self._conn, load("messages"), rows.conflicts
        if not staged:
            _copy(conn, sql["copy_observations"], rows.framed)
            accounts.observations_stored = rows.count
        else:
            _copy(conn, sql["copy_incoming_observations"], rows.framed)
            accounts.observations_stored = conn.execute(sql["insert_observations"]).rowcount
            if accounts.observations_stored < rows.count:
                conflicts = conflicts + conn.execute(sql["find_observation_conflicts"]).fetchall()
        if conflicts:
            with conn.cursor() as cursor:
                cursor.executemany(sql["insert_observation_conflict"], sorted(conflicts))
        accounts.conflicts = len(conflicts)
        accounts.observations_duplicate = rows.given - accounts.observations_stored - accounts.conflicts

    def _write_accounts(
        self,
        batch_id: int,
        counts: BatchCounts,
        messages: Collection[Message],
        stored: Sequence[Message],
        rejected: Sequence[RejectedMessage],
    ) -> None:
        receptions = _sum_receptions(stored)
        times = [observed_at(m) for m in stored] + [o.observed_at for m in stored for o in m.observations]
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
                "receptions": Jsonb(receptions) if receptions else None,
                "observed_from": min(times, default=None),
                "observed_until": max(times, default=None),
            },
        )


def write_batch(
    conn: Connection, messages: Sequence[Message], rejected: Sequence[RejectedMessage], *, worker: str, origin: Origin
) -> BatchCounts:
    """Write one batch with a writer of its own; see `BatchWriter.write`."""
    return BatchWriter(conn, worker=worker, origin=origin).write(messages, rejected)


@dataclass(frozen=True, slots=True)
class _Positioned:
    """Messages of a batch in the order of their keys, each with its place among the raw bytes."""

    positions: Sequence[int]
    keys: Sequence[MessageKey]
    messages: Sequence[Message]

    @classmethod
    def of(cls, fresh: dict[MessageKey, Message]) -> "_Positioned":
        return cls(range(len(fresh)), list(fresh), list(fresh.values()))

    def only(self, positions: Collection[int]) -> "_Positioned":
        kept = [n for n, position in enumerate(self.positions) if position in positions]
        return _Positioned(
            [self.positions[n] for n in kept], [self.keys[n] for n in kept], [self.messages[n] for n in kept]
        )

    def without(self, known_ids: Collection[UUID]) -> "_Positioned":
        if not known_ids:
            return self
        return self.only(
            {
                position
                for position, message in zip(self.positions, self.messages, strict=True)
                if not (_known_by_id_alone(message) and message.message_id in known_ids)
            }
        )


def observed_at(message: Message) -> datetime:
    """The time a message is stored under: its own, else that of its arrival."""
    return message.event_at or message.recorded_at


def _known_by_id_alone(message: Message) -> bool:
    """Whether it may be there under another time.

    Because it has none of its own; because its time is ahead of our clock: come sooner, it would not have been
    believed; or because it was sent before, when our clock may have been another one.
    """
    return message.event_at is None or message.redelivered or bool(message.flags & Flag.FUTURE)


def _without_repeats(messages: Sequence[Message]) -> dict[MessageKey, Message]:
    """The first of equal messages of one batch, in the order of their keys: two writers must not meet crosswise."""
    by_key: dict[MessageKey, Message] = {}
    seen_ids: set[UUID] = set()
    for message in messages:
        if _known_by_id_alone(message):
            if message.message_id in seen_ids:
                continue
            seen_ids.add(message.message_id)
        by_key.setdefault((copyrows.instant_us(observed_at(message)), message.message_id.bytes), message)
    return dict(sorted(by_key.items(), key=_key_of))


def _key_of(item: tuple[MessageKey, Message]) -> MessageKey:
    return item[0]


def _known_ids(conn: Connection, found: _Positioned) -> set[UUID]:
    """Ids of messages that may be there under another time, and are."""
    doubtful = [message for message in found.messages if _known_by_id_alone(message)]
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


def _copy(conn: Connection, statement: LiteralString, data: bytes) -> None:
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(data)


def _raw_batch(batch_id: int, found: _Positioned, length: int) -> dict[str, object]:
    payloads = [b""] * length
    for position, message in zip(found.positions, found.messages, strict=True):
        payloads[position] = message.payload
    return {
        "batch_id": batch_id,
        "recorded_at": max(message.recorded_at for message in found.messages),
        "compression": raw.COMPRESSION,
        "payloads": raw.pack(payloads),
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
