"""What a format gives back: the envelope, and the values that a sensor profile has yet to name."""

from collections.abc import Mapping
from dataclasses import dataclass

from roadtwin.types import Message


@dataclass(frozen=True, slots=True)
class Parsed:
    """One message as its format says it.

    `decoded` are the fields that the network server's codec made, under the codec's own names; None where there are
    none or where they are no measurement. `normalized` are measurements in a vocabulary that the network server
    itself defines.
    """

    message: Message
    decoded: Mapping[str, object] | None = None
    normalized: tuple[Mapping[str, object], ...] = ()
