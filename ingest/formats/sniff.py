"""Which network server's message this is, by its content: for topics that an operator configured."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from ingest.formats import chirpstack, chirpstack_v3, chirpstack_v4_protobuf, tts_v3
from ingest.formats.parsed import Parsed

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parser_of(payload: bytes) -> Callable[[str, bytes, datetime], Parsed] | None:
    """The parser of a message on a topic that says nothing; None when the content is none of a network server's.

    SenML and vehicle readings are not told by content: their topics name the device and the vehicle.
    """
    first = payload.lstrip()[:1]
    if first == b"{":
        try:
            members = _MEMBERS.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if "end_device_ids" in members or ("result" in members and b'"end_device_ids"' in bytes(members["result"])):
            return tts_v3.parse
        if "deviceInfo" in members or {"applicationID", "devEUI"} <= members.keys():
            return chirpstack.parse
        return None
    if not payload or payload[0] not in chirpstack.FIRST_BYTES:
        return None
    is_event = chirpstack_v3.is_v3_protobuf(payload) or chirpstack_v4_protobuf.is_event(payload)
    return chirpstack.parse if is_event else None
