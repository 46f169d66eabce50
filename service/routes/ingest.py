"""How the flow of messages is doing: accounts, rejected messages, devices."""

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query

from roadtwin.errors import DeviceNotFoundError
from roadtwin.storage import queries
from roadtwin.types import Flag
from service.paging import decode_token, encode_token
from service.parameters import PageToken
from service.problems import responses
from service.schemas_operations import (
    Batch,
    DeviceConfirmed,
    DeviceItem,
    DevicePage,
    DeviceValue,
    IngestStatus,
    OriginTotals,
    RejectedItem,
    RejectedPage,
)
from service.security import Operator, Reader, Role, write_audit
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


class _DevicePosition(msgspec.Struct, frozen=True):
    device_id: int


@router.get("/devices", responses=responses(400, 401))
async def list_devices(
    db: Db,
    now: Now,
    _reader: Reader,
    status: Annotated[str | None, Query(pattern="^(unconfirmed|confirmed|retired)$")] = None,
    limit: Limit = 100,
    page: PageToken = None,
) -> DevicePage:
    """Devices and how they are doing: silence, messages of the last day, radio, newest value of every series."""
    asked = {"status": status}
    after = decode_token(page, _DevicePosition, asked).device_id if page else 0
    parameters = {"status": status, "after_device_id": after, "now": now, "limit": limit + 1}
    rows = await (await db.execute(_SQL["list_devices"], parameters)).fetchall()
    more, rows = len(rows) > limit, rows[:limit]
    values = await _newest_values(db, [row["device_id"] for row in rows], now)
    devices = [
        DeviceItem(
            **row,
            silent_s=None if row["last_seen_at"] is None else round((now - row["last_seen_at"]).total_seconds(), 1),
            values=values.get(row["device_id"], []),
        )
        for row in rows
    ]
    token = encode_token(_DevicePosition(devices[-1].device_id), asked) if more else None
    return DevicePage(devices=devices, next_page=token)


async def _newest_values(db: Connection, device_ids: list[int], now: datetime) -> dict[int, list[DeviceValue]]:
    cursor = await db.execute(_SQL["read_newest_values"], {"device_ids": device_ids, "now": now})
    values: dict[int, list[DeviceValue]] = {}
    async for row in cursor:
        flags = [str(flag.name).lower() for flag in Flag(row["flags"])]
        fields = {name: row[name] for name in ("quantity", "channel", "depth_cm", "observed_at", "value")}
        values.setdefault(row["device_id"], []).append(DeviceValue(**fields, flags=flags))
    return values


@router.post("/devices/{device_id}/confirm", responses=responses(401, 403, 404))
async def confirm_device(
    device_id: Annotated[int, Path(ge=1, le=2**31 - 1)], db: Db, now: Now, operator: Operator
) -> DeviceConfirmed:
    """Let models use a device that was seen first on the wire. Done twice, it changes nothing."""
    async with db.transaction():
        before = await (await db.execute(_SQL["read_device_status"], {"device_id": device_id})).fetchone()
        if before is None:
            raise DeviceNotFoundError(f"There is no device with the id {device_id}.")
        row = await _one(db, "confirm_device", device_id=device_id)
        changed = before["status"] != row["status"]
        if changed:
            await write_audit(
                db,
                recorded_at=now,
                actor=operator.name,
                action="device_confirmed",
                subject=f"device/{device_id}",
                details={"status_before": before["status"]},
            )
    return DeviceConfirmed(**row, changed=changed)
