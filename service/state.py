"""What the service holds while it runs, and how routes get at it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import psycopg
from fastapi import Depends, Request
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from roadtwin.settings import Settings
from service.cache import AnswerCache
from service.explaining import Explainer

Connection = psycopg.AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

ACQUIRE_TIMEOUT_S = 4.0  # how long a request waits for a connection before it says that the database is away
STATEMENT_TIMEOUT_MS = 20_000


def utc_now() -> datetime:
    """The present instant, UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Service:
    """Settings, database, clock and caches of one running service."""

    settings: Settings
    database_url: str
    pool: Pool
    clock: Callable[[], datetime] = utc_now
    answers: AnswerCache = field(default_factory=AnswerCache)
    explainer: Explainer = field(default_factory=Explainer)
    schema_is_checked: bool = False

    @property
    def timezone(self) -> ZoneInfo:
        """The city's time zone: every day of an answer is its local day."""
        return self.settings.timezone


def make_pool(database_url: str) -> Pool:
    """A pool that is not open yet. Its connections commit each statement unless a transaction is begun."""
    return AsyncConnectionPool(
        database_url,
        connection_class=psycopg.AsyncConnection[DictRow],
        kwargs={
            "autocommit": True,
            "row_factory": dict_row,
            "application_name": "roadtwin-service",
            "options": f"-c timezone=UTC -c synchronous_commit=on -c statement_timeout={STATEMENT_TIMEOUT_MS}",
            "connect_timeout": 5,
        },
        min_size=1,
        max_size=8,
        timeout=ACQUIRE_TIMEOUT_S,
        check=AsyncConnectionPool.check_connection,  # a restarted database leaves dead connections behind
        open=False,
        name="service",
    )


def service_of(request: Request) -> Service:
    """The running service that a request came to."""
    service: Service = request.app.state.service
    return service


async def _connection(request: Request) -> AsyncIterator[Connection]:
    async with service_of(request).pool.connection() as connection:
        yield connection


def _now(request: Request) -> datetime:
    return service_of(request).clock()


Running = Annotated[Service, Depends(service_of)]
# Given back before the answer is sent: a slow client must not hold a connection.
Db = Annotated[Connection, Depends(_connection, scope="function")]
Now = Annotated[datetime, Depends(_now)]
Row = dict[str, Any]
