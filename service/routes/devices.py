"""Devices and gateways, and how they are doing."""

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query

from roadtwin.errors import DeviceNotFoundError
from roadtwin.storage import queries
from roadtwin.storage.device_states import LIMITS
from roadtwin.types import Flag
from service.paging import decode_token, encode_token
from service.parameters import PageToken
from service.problems import responses
from service.schemas_devices import (
    DeviceConfirmed,
    DeviceDetail,
    DeviceHealth,
    DeviceItem,
    DevicePage,
    DeviceState,
    DeviceValue,
    GatewayItem,
    GatewayPage,
    GatewayState,
    SeriesHealth,
)
from service.security import Operator, Reader, write_audit
from service.state import Connection, Db, Now, Row

router = APIRouter(tags=["devices"])
_SQL = queries.load("api_operations")
_STATES = queries.load("device_states")

Limit = Annotated[int, Query(ge=1, le=500, description="Most entries of one page.")]
DeviceId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class _DevicePosition(msgspec.Struct, frozen=True):
    device_id: int


@router.get("/devices", responses=responses(400, 401))
async def list_devices(
    db: Db,
    now: Now,
    _reader: Reader,
    status: Annotated[str | None, Query(pattern="^(unconfirmed|confirmed|retired)$")] = None,
    state: Annotated[DeviceState | None, Query(description="Only devices in this state, among others.")] = None,
    limit: Limit = 100,
    page: PageToken = None,
) -> DevicePage:
    """Devices and how they are doing: states, health, messages of the last day, radio, newest value of every series."""
    asked = {"status": status, "state": state}
    after = decode_token(page, _DevicePosition, asked).device_id if page else 0
    where = {"device_id": None, "after_device_id": after, "limit": limit + 1}
    found = await (await db.execute(_STATES["find_device_states"], {**LIMITS, **asked, **where, "now": now})).fetchall()
    devices = await _describe(db, found[:limit], now)
    token = encode_token(_DevicePosition(devices[-1].device_id), asked) if len(found) > limit else None
    return DevicePage(devices=devices, next_page=token)


@router.get("/devices/{device_id}", responses=responses(401, 404))
async def read_device(device_id: DeviceId, db: Db, now: Now, _reader: Reader) -> DeviceDetail:
    """One device: how it is doing, and since when each of its series is the same."""
    where = {"device_id": device_id, "after_device_id": 0, "status": None, "state": None, "limit": 1}
    found = await (await db.execute(_STATES["find_device_states"], {**LIMITS, **where, "now": now})).fetchall()
    if not found:
        raise DeviceNotFoundError(f"There is no device with the id {device_id}.")
    (device,) = await _describe(db, found, now)
    series = await (await db.execute(_STATES["read_series_states"], {"device_id": device_id})).fetchall()
    return DeviceDetail(**dict(device), series=[SeriesHealth.model_validate(row) for row in series])


async def _describe(db: Connection, found: list[Row], now: datetime) -> list[DeviceItem]:
    states = {row["device_id"]: row for row in found}
    ids = list(states)
    rows = await (await db.execute(_SQL["read_devices"], {"device_ids": ids, "now": now})).fetchall()
    healths = await (await db.execute(_STATES["read_device_health"], {"device_ids": ids})).fetchall()
    health = {row["device_id"]: DeviceHealth.model_validate(row) for row in healths}
    values = await _newest_values(db, ids, now)
    return [
        DeviceItem(
            **row | states[row["device_id"]],
            silent_s=None if row["last_seen_at"] is None else round((now - row["last_seen_at"]).total_seconds(), 1),
            health=health.get(row["device_id"]),
            values=values.get(row["device_id"], []),
        )
        for row in rows
    ]


async def _newest_values(db: Connection, device_ids: list[int], now: datetime) -> dict[int, list[DeviceValue]]:
    cursor = await db.execute(_SQL["read_newest_values"], {"device_ids": device_ids, "now": now})
    values: dict[int, list[DeviceValue]] = {}
    async for row in cursor:
        flags = [str(flag.name).lower() for flag in Flag(row["flags"])]
        fields = {name: row[name] for name in ("quantity", "channel", "depth_cm", "observed_at", "value")}
        values.setdefault(row["device_id"], []).append(DeviceValue(**fields, flags=flags))
    return values


@router.post("/devices/{device_id}/confirm", responses=responses(401, 403, 404))
async def confirm_device(device_id: DeviceId, db: Db, now: Now, operator: Operator) -> DeviceConfirmed:
    """Let models use a device that was seen first on the wire. Done twice, it changes nothing."""
    async with db.transaction():
        before = await (await db.execute(_SQL["read_device_status"], {"device_id": device_id})).fetchone()
        if before is None:
            raise DeviceNotFoundError(f"There is no device with the id {device_id}.")
        row = await (await db.execute(_SQL["confirm_device"], {"device_id": device_id})).fetchone()
        assert row is not None  # it is locked
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


class _GatewayPosition(msgspec.Struct, frozen=True):
    gateway_id: str


@router.get("/gateways", responses=responses(400, 401))
async def list_gateways(
    db: Db,
    now: Now,
    _reader: Reader,
    state: Annotated[GatewayState | None, Query(description="Only gateways in this state, among others.")] = None,
    limit: Limit = 100,
    page: PageToken = None,
) -> GatewayPage:
    """Gateways that heard our devices, and how they are doing."""
    asked = {"state": state}
    after = decode_token(page, _GatewayPosition, asked).gateway_id if page else ""
    where = {"after_gateway_id": after, "limit": limit + 1}
    found = await (await db.execute(_STATES["find_gateways"], {**LIMITS, **asked, **where, "now": now})).fetchall()
    gateways = [
        GatewayItem(**row, silent_s=round((now - row["last_seen_at"]).total_seconds(), 1)) for row in found[:limit]
    ]
    token = encode_token(_GatewayPosition(gateways[-1].gateway_id), asked) if len(found) > limit else None
    return GatewayPage(gateways=gateways, next_page=token)
