"""How far the uplinks that a network server keeps have been fetched, by application, and who fetches them.

The mark of an application is a row of `ingest_batch` without messages, whose worker names the application: what was
kept there up to its `observed_until`, less what was written there with delay, is stored here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from roadtwin.storage.queries import load
from roadtwin.types import Message, Origin

Connection = psycopg.Connection[Any]

_LOCK_KEY = 0x726F6164_6261636B
_ORIGIN = Origin.BACKFILLED.value
_CAME_IN = [Origin.MQTT.value, _ORIGIN]


def try_lock(conn: Connection) -> bool:
    """Become the only one that fetches, until `unlock` or the end of the connection; False if another one is."""
    row = conn.execute(load("backfill")["try_lock"], {"key": _LOCK_KEY}).fetchone()
    conn.commit()
    return bool(row and row[0])


def unlock(conn: Connection) -> None:
    """Let another one fetch."""
    conn.execute(load("backfill")["unlock"], {"key": _LOCK_KEY})
    conn.commit()


def _worker(application: str) -> str:
    return f"backfill {application}"


def read_complete_until(conn: Connection, application: str, *, after: datetime) -> datetime | None:
    """Until when the application's uplinks have been fetched, if a fetch ended after this time."""
    given = {"worker": _worker(application), "origin": _ORIGIN, "after": after}
    row = conn.execute(load("backfill")["read_complete_until"], given).fetchone()
    conn.commit()
    return row[0] if row else None


def write_complete_until(
    conn: Connection, application: str, *, since: datetime, until: datetime, now: datetime
) -> None:
    """Note that everything of this time has been fetched; commits."""
    given = {"worker": _worker(application), "origin": _ORIGIN, "since": since, "until": until, "now": now}
    conn.execute(load("backfill")["write_complete_until"], given)
    conn.commit()


def find_newest(
    conn: Connection, network_source: str, application: str, *, after: datetime, before: datetime
) -> datetime | None:
    """The newest message of an application between these times that was here before the second."""
    given = {
        "network_source": network_source,
        "application": application,
        "after": after,
        "before": before,
        "origins": _CAME_IN,
    }
    row = conn.execute(load("backfill")["find_newest"], given).fetchone()
    conn.commit()
    return row[0] if row else None


def count_known(conn: Connection, messages: Sequence[Message]) -> int:
    """How many of these are stored; those without a time of their own are not looked for."""
    times = [message.event_at for message in messages if message.event_at is not None]
    if not times:
        return 0
    ids = [message.message_id for message in messages if message.event_at is not None]
    given = {"message_ids": ids, "first": min(times), "last": max(times)}
    row = conn.execute(load("backfill")["count_known"], given).fetchone()
    conn.commit()
    return int(row[0]) if row else 0
