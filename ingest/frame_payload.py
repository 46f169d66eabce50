"""The payload of a frame inside the kept bytes of its message, to tell a frame that was sent twice from another one."""

from datetime import datetime

from ingest.formats import chirpstack, tts_v3
from roadtwin.errors import MessageRejectedError


def frame_payload(name: str, topic: str, payload: bytes, recorded_at: datetime) -> bytes | None:
    """What the device sent in a message of the format `name`; None where that is not known.

    Frames on port 0 carry commands of the network alone, and no payload: of them the counter says all.
    """
    parse = tts_v3.parse if name.startswith("tts-") else chirpstack.parse if name.startswith("chirpstack-") else None
    if parse is None:
        return None
    try:
        parsed = parse(topic, payload, recorded_at)
    except MessageRejectedError:  # kept by an earlier release that read more leniently
        return None
    return parsed.frame if parsed.frame or parsed.message.f_port == 0 else None
