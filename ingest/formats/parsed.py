"""What a format gives back: the envelope, and the values that a sensor profile has yet to name."""

from collections.abc import Mapping

import msgspec

from roadtwin.types import Message


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """One message as its format says it.

    `decoded` are the fields that the network server's codec made, under the codec's own names; None where there are
    none or where they are no measurement. `normalized` are measurements in a vocabulary that the network server
    itself defines. `frame` is the decrypted application payload for a codec of ours (the port is `message.f_port`);
    empty where there is none, where it is still encrypted, and where it is no measurement.
    """

    message: Message
    decoded: Mapping[str, object] | None = None
    normalized: tuple[Mapping[str, object], ...] = ()
    frame: bytes = b""
