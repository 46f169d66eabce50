"""ChirpStack on one topic in five shapes: v3 and v4, each as JSON and as protobuf, v3 also as "JSON v3".

JSON begins with `{`, which no protobuf message of ChirpStack does. In protobuf, every v4 event but txack begins with
a text or a message (0x0a); a v4 txack begins with a number (0x08), and so do all of v3, which are told by their EUI.
"""

from datetime import datetime

from ingest import strictjson
from ingest.formats import chirpstack_v3, chirpstack_v4, chirpstack_v4_protobuf
from ingest.formats.parsed import Parsed
from roadtwin.errors import MessageRejectedError

LEGACY_LEVELS = frozenset({"rx", "join", "ack", "error", "status", "location", "txack", "integration"})
"""Last levels of the four-part topics of v3 before it had `event` in them."""
FIRST_BYTES = frozenset(b"\x08\x0a\x12\x1a")
"""Tags of the fields 1 to 3: a protobuf message begins with its first field that is not zero."""


def parse(topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    """One event of either version.

    Raises MessageRejectedError: those of `chirpstack_v3`, `chirpstack_v4`, `chirpstack_v4_protobuf` and
    `ingest.strictjson.read`.
    """
    if payload[:1] == b"{" or _is_spaced_json(payload):
        members = strictjson.read(payload)
        if chirpstack_v3.is_v3(members):
            return chirpstack_v3.parse_members(members, topic, payload, recorded_at)
        return chirpstack_v4.parse_members(members, topic, payload, recorded_at)
    first = payload[0]
    if first not in FIRST_BYTES:
        raise MessageRejectedError(
            "invalid_json", f"Got first byte 0x{first:02x}, expected '{{' of JSON or a protobuf message."
        )
    if chirpstack_v3.is_v3_protobuf(payload) and not chirpstack_v4_protobuf.is_txack(payload):
        return chirpstack_v3.parse_protobuf(topic, payload, recorded_at)
    return chirpstack_v4_protobuf.parse(topic, payload, recorded_at)


def _is_spaced_json(payload: bytes) -> bool:
    """Whether this is JSON after white space, or nothing at all. Protobuf may begin with a line feed and a brace."""
    text = payload.strip()
    return not text or (text[:1] == b"{" and text[-1:] == b"}")
