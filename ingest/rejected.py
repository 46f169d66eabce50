"""Rejected messages: what is kept of a message that cannot be decoded or stored."""

import hashlib
from datetime import datetime

from roadtwin.types import RejectedMessage

KEPT_BYTES = 65_536
"""Of a larger payload only the first bytes are kept; its size and its SHA-256 are those of the whole."""
MAX_REASON = 1000


def storable(text: str, limit: int) -> str:
    """Text that the database can hold: without U+0000 and lone surrogates, cut to `limit` characters."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")[:limit]


def reject(
    topic: str,
    payload: bytes,
    recorded_at: datetime,
    code: str,
    reason: str,
    *,
    kept: bytes | None = None,
) -> RejectedMessage:
    """A rejected message with its digests. `payload` is as received; `kept` (else `payload`) is what is stored."""
    topic = storable(topic, 65_535)
    return RejectedMessage(
        topic=topic,
        payload=(payload if kept is None else kept)[:KEPT_BYTES],
        recorded_at=recorded_at,
        code=code,
        reason=storable(reason, MAX_REASON),
        payload_bytes=len(payload),
        payload_sha256=hashlib.sha256(payload).digest(),
        digest=hashlib.sha256(topic.encode() + b"\x00" + payload).digest(),
    )
