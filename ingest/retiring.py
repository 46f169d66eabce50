"""Ending a worker for good: its session and its journal are drained before the session is ended and forgotten.

Every step may be done again: a process that is killed in between is followed by another one that begins anew.
"""

import os
import re
import socket
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import unquote

from ingest.consumer import open_patiently, run_ingest
from ingest.journal import journal_directory
from ingest.leaving import end_session
from ingest.membership import HEARTBEAT_S
from ingest.mqtt import BrokerAddress, Session, parse_mqtt_url
from ingest.receiver import Receiver
from roadtwin.errors import SettingsError, WorkerAliveError, WorkerNotRetiredError
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from roadtwin.storage.migrate import check_schema
from roadtwin.storage.workers import WorkerRow, find_workers, retire_worker
from roadtwin.telemetry import get_logger

log = get_logger(__name__)

GONE_AFTER_S = 2.5 * HEARTBEAT_S
"""A worker of another machine that is not heard of for this long does not run [s]."""
POLL_S = 0.5


def worker_names(client_id: str, workers: int) -> list[str]:
    """Client ids of an ingester's workers.

    Examples
    --------
    >>> worker_names("essen", 1), worker_names("essen", 3)
    (['essen'], ['essen-1', 'essen-2', 'essen-3'])
    """
    return [client_id] if workers == 1 else [f"{client_id}-{number}" for number in range(1, workers + 1)]


def find_superfluous(settings: Settings, database_url: str, keep: Sequence[str]) -> list[str]:
    """Workers of this client id that have a session and are not among `keep`.

    Also of those that left a journal here and never reached the database; an ingester of its own that only has such a
    name is known by its group. Raises DatabaseUnavailableError and MigrationError.
    """
    base = settings.mqtt_client_id
    with connect(database_url, application_name=f"roadtwin ingest {base} start") as conn:
        check_schema(conn)
        rows = find_workers(conn, retired=True)
    known = {row.worker for row in rows}
    found = [row.worker for row in rows if row.share_group == base and row.retired_at is None]
    found += [name for name in _names_with_journal(settings) if name not in known]
    return [name for name in found if name not in keep]


def _names_with_journal(settings: Settings) -> list[str]:
    parent = journal_directory(settings).parent
    pattern = re.compile(re.escape(settings.mqtt_client_id) + r"(-[1-9]\d*)?")
    names = [unquote(entry.name) for entry in parent.iterdir()] if parent.is_dir() else []
    return sorted(name for name in names if pattern.fullmatch(name))


def hold_subscriptions(settings: Settings, mqtt_url: str, names: Sequence[str], stop: threading.Event) -> None:
    """Make sure that the broker keeps messages for these workers, before others that had them are retired.

    A worker is subscribed and left again: what the broker sends it meanwhile comes again when it starts. Waits for a
    broker that is away. Raises BrokerRefusedError.
    """
    for name in names:
        session = Session(name, settings.mqtt_session_expiry_s, 1, settings.mqtt_keepalive_s, manual_ack=True)
        receiver = Receiver(
            _address(settings, mqtt_url),
            session,
            settings.mqtt_topics,
            clock=lambda: datetime.now(UTC),
            share_group=_share_group(name, settings.mqtt_client_id),
        )
        open_patiently(receiver, stop)
        receiver.close()


def retire(
    settings: Settings,
    database_url: str,
    mqtt_url: str,
    name: str,
    stop: threading.Event,
    *,
    replaced: bool = False,
) -> None:
    """Store what the broker and the journal keep for a worker, end its session, and note it as retired.

    `replaced` says that the broker keeps messages for others by now, whom the database need not know yet.

    Raises WorkerAliveError when it runs, WorkerNotRetiredError when `stop` is set before the end, SettingsError for a
    client id that is none of ours, DatabaseUnavailableError, and what `run_ingest` raises.
    """
    row, others = _look(settings, database_url, name)
    base = row.share_group if row is not None else _group_of(settings, name)
    if row is not None:
        _wait_until_gone(database_url, row, stop)
        if row.journalled and row.host != socket.gethostname():
            log.warning(
                "the journal of this worker is on the disk of its machine: only what the broker keeps is stored here",
                action="journal_elsewhere",
                worker=name,
                host=row.host,
                messages=row.journalled,
                remedy=f"run the command there, or bring its folder here, to {journal_directory(_own(settings, name))}",
            )
    if not others and not replaced:
        log.warning(
            "nobody else of this ingester is known: the broker will keep no new messages for it",
            action="worker_last",
            worker=name,
        )
    log.info("retiring a worker: draining what was kept for it", action="worker_retiring", worker=name)
    own = _own(settings, name)
    session = Session(name, settings.mqtt_session_expiry_s, 1, settings.mqtt_keepalive_s, manual_ack=True)
    while True:
        run_ingest(own, database_url, mqtt_url, stop, share_group=_share_group(name, base), leave=True)
        if stop.is_set():
            raise WorkerNotRetiredError(
                f"Worker {name} is not retired: stopped before its session was drained. Nothing is lost; do it again."
            )
        if end_session(_address(settings, mqtt_url), session):
            break
        log.warning("the broker kept more for this worker, once more", action="worker_not_drained", worker=name)
    with connect(database_url, application_name=f"roadtwin ingest {name} retire") as conn:
        retire_worker(conn, name)
    log.info("a worker is retired: its session is drained and ended", action="worker_retired", worker=name)


def _look(settings: Settings, database_url: str, name: str) -> tuple[WorkerRow | None, list[str]]:
    """The worker, if it is known, and the other members of its group."""
    with connect(database_url, application_name=f"roadtwin ingest {name} retire") as conn:
        check_schema(conn)
        rows = find_workers(conn, worker=name, retired=True)
        row = rows[0] if rows else None
        group = row.share_group if row is not None else _group_of(settings, name)
        others = [other.worker for other in find_workers(conn, share_group=group) if other.worker != name]
    return row, others


def _group_of(settings: Settings, name: str) -> str:
    base = settings.mqtt_client_id
    if not re.fullmatch(re.escape(base) + r"(-[1-9]\d*)?", name):
        raise SettingsError(
            f"Got {name!r} to retire, expected a worker that the database knows (see `roadtwin status`), or {base!r} "
            f"or {base + '-<number>'!r} of ROADTWIN_MQTT_CLIENT_ID."
        )
    return base


def _share_group(name: str, base: str) -> str | None:
    """A worker that is called like its ingester works alone, with a subscription of its own."""
    return None if name == base else base


def _own(settings: Settings, name: str) -> Settings:
    """Settings of this worker. Its journal is drained also if journals were turned off since."""
    own = settings.model_copy(update={"mqtt_client_id": name})
    if own.journal_max_mib == 0 and journal_directory(own).is_dir():
        own = own.model_copy(update={"journal_max_mib": 1})
    return own


def _address(settings: Settings, mqtt_url: str) -> BrokerAddress:
    return parse_mqtt_url(mqtt_url, ca_file=settings.mqtt_ca_file)


def _wait_until_gone(database_url: str, row: WorkerRow, stop: threading.Event) -> None:
    """Return when nothing speaks for the worker being alive; raise WorkerAliveError as soon as something does.

    One that was stopped said so. One that was killed did not: on this machine its process is gone, from another one its
    heartbeats stay away.
    """
    first = row
    deadline_s = time.monotonic() + max(0.0, GONE_AFTER_S - row.unseen_s)
    while row.connected and not _process_is_gone(row) and time.monotonic() < deadline_s:
        if stop.wait(POLL_S):
            return
        with connect(database_url, application_name=f"roadtwin ingest {row.worker} retire") as conn:
            row = find_workers(conn, worker=row.worker, retired=True)[0]
        if row.connected and row.seen_at > first.seen_at:
            raise WorkerAliveError(
                f"Worker {row.worker} runs on {row.host} (process {row.pid}). Stop it first: two processes with one "
                "client id take the session from each other."
            )


def _process_is_gone(row: WorkerRow) -> bool:
    if row.host != socket.gethostname():
        return False
    try:
        os.kill(row.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
