"""What a format module says of itself, for the reference pages that are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FormatAbout:
    """One wire format as a reader wants to know it.

    `name` is the one that envelopes and accounts carry; `time_rule`, `identity` and `message_id` are sentences;
    `reject_codes` gives the reason of each code of this format's own (those of JSON are the same everywhere).
    """

    name: str
    title: str
    network_source: str
    encoding: str
    topics: tuple[str, ...]
    event_kinds: tuple[str, ...]
    time_rule: str
    identity: str
    message_id: str
    measures: str
    reject_codes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
