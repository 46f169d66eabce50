"""Who asks: API keys, their roles, and the audit log."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any

from fastapi import Depends, Request
from psycopg.types.json import Jsonb

from roadtwin.errors import ApiKeyRequiredError, RoleRequiredError
from roadtwin.storage import queries
from service.state import Connection, Db, service_of

_SQL = queries.load("api_access")


class Role(IntEnum):
    """What a key may do; each role may also do what the ones before it may."""

    viewer = 1
    editor = 2
    operator = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """The name of the key that asks, and its role."""

    name: str
    role: Role


ANONYMOUS = Principal("anonymous", Role.viewer)


def _given_key(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("x-api-key") or None


async def _identify(request: Request, db: Db) -> Principal | None:
    key = _given_key(request)
    if key is None:
        return None
    cursor = await db.execute(_SQL["find_api_key"], {"key_sha256": hashlib.sha256(key.encode()).digest()})
    row = await cursor.fetchone()
    if row is None:  # said loudly also where reading is open: a mistyped key must not look like a good one
        raise ApiKeyRequiredError("The API key is unknown or was revoked.")
    return Principal(row["name"], Role[row["role"]])


async def reader(request: Request, db: Db) -> Principal:
    """Whoever may read: any key, or nobody in particular where the operator opened reading."""
    principal = await _identify(request, db)
    if principal is None and not service_of(request).settings.open_read:
        raise ApiKeyRequiredError
    return principal or ANONYMOUS


async def editor(request: Request, db: Db) -> Principal:
    """A key that may write records and decisions."""
    return await _at_least(Role.editor, request, db)


async def operator(request: Request, db: Db) -> Principal:
    """A key that may run the system."""
    return await _at_least(Role.operator, request, db)


async def _at_least(role: Role, request: Request, db: Connection) -> Principal:
    principal = await _identify(request, db)
    if principal is None:
        raise ApiKeyRequiredError
    if principal.role < role:
        raise RoleRequiredError(
            f"The key {principal.name!r} has the role {principal.role.name}; this needs {role.name}."
        )
    return principal


Reader = Annotated[Principal, Depends(reader)]
Editor = Annotated[Principal, Depends(editor)]
Operator = Annotated[Principal, Depends(operator)]


async def write_audit(
    db: Connection,
    *,
    recorded_at: datetime,
    actor: str,
    action: str,
    subject: str,
    details: dict[str, Any] | None = None,
) -> None:
    """Note who did what; call it inside the transaction of the write itself."""
    await db.execute(
        _SQL["write_audit"],
        {
            "recorded_at": recorded_at,
            "actor": actor,
            "action": action,
            "subject": subject,
            "details": Jsonb(details) if details is not None else None,
        },
    )
