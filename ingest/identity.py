"""Message ids: UUIDv5 over the content of a message, so that the same message has the same id whenever it comes."""

import json
from uuid import UUID, uuid5

# Fixed for ever: another namespace would give every stored message another id.
NAMESPACE = UUID("6d5e1f7a-0f0e-5b0c-9d6b-2f1f3f0c5a10")


def message_id(*parts: str | int | bytes | None) -> UUID:
    """The id of the message that these parts identify. Parts are told apart whatever they contain.

    Examples
    --------
    >>> message_id("a", "bc") == message_id("ab", "c")
    False
    """
    return uuid5(NAMESPACE, json.dumps([p.hex() if isinstance(p, bytes) else p for p in parts], separators=(",", ":")))


def canonical(value: object) -> str:
    """JSON text that is the same for equal values, whatever the order of their members."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
