"""API keys: made once, shown once, stored as SHA-256 only."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.types.json import Jsonb

from roadtwin.errors import ApiKeyError
from roadtwin.storage import queries

_SQL = queries.load("access")

KeyRole = Literal["viewer", "editor", "operator"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known about a key; not the key."""

    name: str
    role: KeyRole
    created_at: datetime
    revoked_at: datetime | None


def hash_key(key: str) -> bytes:
    """SHA-256 of a key. A slow hash would add nothing: keys are 256 random bits, not passwords."""
    return hashlib.sha256(key.encode()).digest()


def create_key(conn: psycopg.Connection[Any], name: str, role: KeyRole, *, now: datetime, actor: str) -> str:
    """Make a key and note it in the audit log; the return value is the only copy of it. The caller commits.

    Raises ApiKeyError if the name is taken, also by a revoked key: audit log entries name their actor by it.
    """
    if not name.strip():
        raise ApiKeyError("A key needs a name: who or what will use it?")
    key = f"rt_{secrets.token_urlsafe(32)}"
    inserted = conn.execute(
        _SQL["insert_key"], {"name": name, "key_sha256": hash_key(key), "role": role, "now": now}
    ).rowcount
    if inserted == 0:
        raise ApiKeyError(f"There is, or was, an API key named {name!r}: choose another name.")
    _audit(conn, now=now, actor=actor, action="create_api_key", subject=name, details={"role": role})
    return key


def list_keys(conn: psycopg.Connection[Any]) -> list[ApiKey]:
    """All keys by name, revoked ones too."""
    return [ApiKey(*row) for row in conn.execute(_SQL["list_keys"])]


def is_valid_key(conn: psycopg.Connection[Any], key: str) -> bool:
    """Whether this database knows the key and it was not revoked."""
    return conn.execute(_SQL["find_valid_key"], {"key_sha256": hash_key(key)}).fetchone() is not None


def revoke_key(conn: psycopg.Connection[Any], name: str, *, now: datetime, actor: str) -> None:
    """Make a key useless from now on and note it in the audit log. The caller commits.

    Raises ApiKeyError if no valid key has this name.
    """
    if conn.execute(_SQL["revoke_key"], {"name": name, "now": now}).rowcount == 0:
        raise ApiKeyError(f"There is no valid API key named {name!r}.")
    _audit(conn, now=now, actor=actor, action="revoke_api_key", subject=name, details={})


def _audit(
    conn: psycopg.Connection[Any], *, now: datetime, actor: str, action: str, subject: str, details: dict[str, str]
) -> None:
    conn.execute(
        _SQL["insert_audit"],
        {"now": now, "actor": actor, "action": action, "subject": subject, "details": Jsonb(details)},
    )
