"""Scoring that was asked for over the API and is to be done by whoever scores next."""

from datetime import datetime
from typing import Any

import psycopg

from roadtwin.storage import queries

_SQL = queries.load("score_requests")


def read_newest_open_request(conn: psycopg.Connection[Any]) -> int | None:
    """Number of the newest request that no scoring has answered; None: there is none."""
    row = conn.execute(_SQL["read_newest_open_request"]).fetchone()
    return row[0] if row else None


def answer_score_requests(conn: psycopg.Connection[Any], score_request_id: int, *, as_of: datetime) -> None:
    """Note that the scores as of a time answer all requests up to this one. Part of the caller's transaction."""
    conn.execute(_SQL["answer_score_requests"], {"score_request_id": score_request_id, "as_of": as_of})
