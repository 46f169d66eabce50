"""API keys: shown once, stored hashed, revoked for good, all of it in the audit log."""

import hashlib
from datetime import UTC, datetime

import pytest

from roadtwin.errors import ApiKeyError
from roadtwin.storage.keys import create_key, list_keys, revoke_key

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 6, tzinfo=UTC)


def test_a_key_is_stored_as_its_hash_only(db):
    key = create_key(db, "crew", "editor", now=NOW, actor="cli")

    row = db.execute("SELECT key_sha256, api_key::text FROM api_key").fetchone()
    assert row[0] == hashlib.sha256(key.encode()).digest()
    assert key not in row[1]


def test_every_key_is_another_one(db):
    assert create_key(db, "one", "viewer", now=NOW, actor="cli") != create_key(
        db, "two", "viewer", now=NOW, actor="cli"
    )


def test_a_name_is_never_given_twice_not_even_after_revocation(db):
    create_key(db, "crew", "editor", now=NOW, actor="cli")
    revoke_key(db, "crew", now=LATER, actor="cli")

    with pytest.raises(ApiKeyError, match="There is, or was, an API key named 'crew'"):
        create_key(db, "crew", "viewer", now=LATER, actor="cli")


def test_keys_are_listed_with_role_and_dates(db):
    create_key(db, "crew", "editor", now=NOW, actor="cli")
    revoke_key(db, "crew", now=LATER, actor="cli")

    (key,) = list_keys(db)
    assert (key.name, key.role, key.created_at, key.revoked_at) == ("crew", "editor", NOW, LATER)


def test_revoking_what_is_not_valid_is_refused(db):
    with pytest.raises(ApiKeyError, match="no valid API key named 'nobody'"):
        revoke_key(db, "nobody", now=NOW, actor="cli")


def test_making_and_revoking_are_in_the_audit_log_without_the_key(db):
    key = create_key(db, "crew", "editor", now=NOW, actor="cli")
    revoke_key(db, "crew", now=LATER, actor="cli")

    rows = db.execute("SELECT recorded_at, actor, action, subject, details FROM audit_log ORDER BY audit_id").fetchall()
    assert rows == [
        (NOW, "cli", "create_api_key", "crew", {"role": "editor"}),
        (LATER, "cli", "revoke_api_key", "crew", {}),
    ]
    assert key not in repr(rows)


def test_a_key_without_a_name_is_refused(db):
    with pytest.raises(ApiKeyError, match="needs a name"):
        create_key(db, " ", "viewer", now=NOW, actor="cli")
