"""The proof that nothing was lost: publisher against tables, and the accounts of the batches against the rows."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import psycopg

from roadtwin.manifest import Manifest
from roadtwin.storage.messages import count_messages_without_bytes, count_rows, find_payloads, read_accounts
from roadtwin.storage.workers import find_workers
from roadtwin.types import BatchCounts

NAMED_DIGESTS = 5


@dataclass(frozen=True, slots=True)
class WitnessCount:
    """What became of the messages of a manifest: published = stored + duplicate + rejected + missing."""

    published: int
    stored: int
    duplicate: int
    rejected: int
    missing: int


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Accounts of all batches, rows of the tables, and every difference found, as sentences; none means: balanced.

    `journalled` and `in_process` are messages that the ingesters had by their last heartbeat and had not stored yet:
    received = stored + duplicate + rejected + journalled + in process.
    """

    accounts: BatchCounts
    journalled: int
    in_process: int
    message_rows: int
    rejected_rows: int
    repeated_ids: int
    witness: WitnessCount | None
    differences: tuple[str, ...]


def verify(conn: psycopg.Connection[Any], manifest: Manifest | None = None) -> VerifyReport:
    """Check that received = stored + duplicate + rejected, seen by the tables and by a witness. Reads one snapshot.

    Rows that a retention policy removed are missing here too: verify before it removes them.
    """
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with conn.transaction():
        accounts = read_accounts(conn)
        workers = find_workers(conn)
        message_rows, rejected_rows, repeated_ids = count_rows(conn)
        without_bytes = count_messages_without_bytes(conn)
        found = find_payloads(conn, sorted(set(manifest.payload_sha256))) if manifest else {}
    journalled = sum(worker.journalled for worker in workers)
    in_process = sum(worker.in_process for worker in workers if not worker.absent)  # the broker has them again
    differences = []
    if accounts.stored != message_rows:
        differences.append(f"The batches stored {accounts.stored} messages, the table holds {message_rows}.")
    if accounts.rejected != rejected_rows:
        differences.append(f"The batches rejected {accounts.rejected} messages, the table counts {rejected_rows}.")
    if without_bytes:
        differences.append(f"{without_bytes} messages have lost their raw bytes.")
    witness = None
    if manifest is not None:
        witness, problems = _check_witness(manifest, found)
        differences += problems
        if witness.missing and journalled + in_process:
            differences.append(
                f"{journalled} messages wait in journals and {in_process} are in process: verify again when they are "
                "stored."
            )
        if accounts.received < witness.published:
            differences.append(f"{witness.published} were published, all batches received {accounts.received}.")
    return VerifyReport(
        accounts, journalled, in_process, message_rows, rejected_rows, repeated_ids, witness, tuple(differences)
    )


def _check_witness(manifest: Manifest, found: dict[bytes, tuple[int, int]]) -> tuple[WitnessCount, list[str]]:
    published = Counter(manifest.payload_sha256)
    stored = rejected = missing = 0
    lost: list[str] = []
    twice: list[str] = []
    for digest, times in published.items():
        rows, rejections = found.get(digest, (0, 0))
        stored += min(rows, times)
        if rows > times:
            twice.append(digest.hex())
        if rows == 0 and rejections:
            rejected += times
        elif rows == 0:
            missing += times
            lost.append(digest.hex())
    total = len(manifest.payload_sha256)
    problems = []
    if lost:
        problems.append(f"{missing} published messages are nowhere: payload sha256 {_named(lost)}.")
    if twice:
        problems.append(f"{len(twice)} payloads are stored more often than published: sha256 {_named(twice)}.")
    return WitnessCount(total, stored, total - stored - rejected - missing, rejected, missing), problems


def _named(digests: list[str]) -> str:
    more = len(digests) - NAMED_DIGESTS
    return ", ".join(digests[:NAMED_DIGESTS]) + (f" and {more} more" if more > 0 else "")
