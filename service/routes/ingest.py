"""How the flow of messages is doing: accounts, rejected messages."""

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query

from roadtwin.storage import queries
from service.paging import decode_token, encode_token
from service.parameters import PageToken
from service.problems import responses
from service.schemas_operations import (
    Batch,
    IngestStatus,
    OriginTotals,
    RejectedItem,
    RejectedPage,
)
from service.security import Reader, Role
from service.state import Connection, Db, Now, Row

router = APIRouter(tags=["ingest"])
_SQL = queries.load("api_operations")

LAST_BATCHES = 20
Limit = Annotated[int, Query(ge=1, le=500, description="Most entries of one page.")]


@router.get("/ingest/status", responses=responses(401))
async def read_ingest_status(db: Db, now: Now, _reader: Reader) -> IngestStatus:
    """Rates, totals (received = stored + duplicate + rejected), age of the newest message, last batches."""
    origins = [OriginTotals.model_validate(row) for row in await (await db.execute(_SQL["read_totals"])).fetchall()]
    rate = await _one(db, "read_rate", now=now)
    rejected = await _one(db, "count_rejected")
    newest = await (await db.execute(_SQL["read_newest_message"], {"now": now})).fetchone()
    batches = await (await db.execute(_SQL["read_batches"], {"limit": LAST_BATCHES})).fetchall()
    devices = {r["status"]: r["count"] for r in await (await db.execute(_SQL["count_devices"])).fetchall()}
    newest_at = newest["recorded_at"] if newest else None
    return IngestStatus(
        now=now,
        messages_per_min_1=rate["received_1min"],
        messages_per_min_5=rate["received_5min"] / 5,
        messages_per_min_60=rate["received_60min"] / 60,
        rejected_60_min=rate["rejected_60min"],
        newest_message_at=newest_at,
        newest_message_age_s=None if newest_at is None else round((now - newest_at).total_seconds(), 1),
        received=sum(o.received for o in origins),
        stored=sum(o.stored for o in origins),
        duplicate=sum(o.duplicate for o in origins),
        rejected=sum(o.rejected for o in origins),
        by_origin=origins,
        rejected_kinds=rejected["kinds"],
        devices=devices,
        devices_unconfirmed=devices.get("unconfirmed", 0),
        batches=[Batch.model_validate(row) for row in batches],
    )


async def _one(db: Connection, name: str, **parameters: object) -> Row:
    row = await (await db.execute(_SQL[name], parameters)).fetchone()
    assert row is not None  # an aggregate always has a row
    return row


class _RejectedPosition(msgspec.Struct, frozen=True):
    last_seen_at: datetime
    digest: str


@router.get("/rejected", responses=responses(400, 401))
async def list_rejected(
    db: Db,
    reader: Reader,
    code: Annotated[str | None, Query(description="Only this reason code.", max_length=100)] = None,
    limit: Limit = 50,
    page: PageToken = None,
) -> RejectedPage:
    """Messages that could not be decoded, newest first, each with its reason; topics and bytes for operators only."""
    asked = {"code": code}
    after = decode_token(page, _RejectedPosition, asked) if page else None
    parameters = {
        "code": code,
        "before_at": after.last_seen_at if after else None,
        "before_digest": after.digest if after else None,
        "limit": limit + 1,
    }
    rows = await (await db.execute(_SQL["list_rejected"], parameters)).fetchall()
    more, rows = len(rows) > limit, rows[:limit]
    shown = reader.role >= Role.operator
    items = [
        RejectedItem(
            **row
            | {
                "topic": row["topic"] if shown else None,
                "payload_head": bytes(row["payload_head"]).decode("utf-8", "backslashreplace") if shown else None,
            }
        )
        for row in rows
    ]
    token = encode_token(_RejectedPosition(items[-1].last_seen_at, items[-1].digest), asked) if more else None
    return RejectedPage(rejected=items, next_page=token)
