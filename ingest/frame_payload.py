"""The payload of a frame inside the kept bytes of its message, to tell a frame that was sent twice from another one."""

import msgspec


class _Uplink(msgspec.Struct, frozen=True):
    frm_payload: str = ""


class _Members(msgspec.Struct, frozen=True):
    data: str = ""  # ChirpStack
    uplink_message: _Uplink | None = None  # The Things Stack


_DECODER = msgspec.json.Decoder(_Members)


def frame_payload(name: str, payload: bytes) -> str | None:
    """Base64 of the frame's payload in a message of the format `name`; None where that is not known.

    Examples
    --------
    >>> frame_payload("chirpstack-v4-json", b'{"fCnt": 1, "data": "AQID"}')
    'AQID'
    """
    if name not in ("chirpstack-v4-json", "chirpstack-v3-json", "tts-v3-json"):
        return None
    try:
        members = _DECODER.decode(payload)
    except msgspec.MsgspecError:
        return None
    return members.uplink_message.frm_payload if members.uplink_message else members.data
