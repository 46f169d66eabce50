"""From topic and bytes to the canonical envelope: routing by topic, formats, sensor profiles, payload codecs."""

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec.structs import replace

from ingest import measure
from ingest import profile as profiles_module
from ingest.formats import chirpstack, chirpstack_v4, others, senml, sniff, tts_v3, vehicle
from ingest.formats.parsed import Parsed
from ingest.profile import ProfileLibrary
from ingest.pseudonyms import Pseudonyms, open_pseudonyms
from ingest.rejected import reject
from roadtwin.errors import MessageRejectedError
from roadtwin.settings import Settings
from roadtwin.types import DeviceKey, Message, RejectedMessage

Parse = Callable[[str, bytes, datetime], Parsed]

KNOWN_TOPICS: tuple[str, ...] = (
    chirpstack_v4.TOPIC_FILTER,
    tts_v3.TOPIC_FILTER,
    senml.TOPIC_FILTER,
    vehicle.TOPIC_FILTER,
)


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT topic filter takes this topic (MQTT 5.0 §4.7).

    Examples
    --------
    >>> topic_matches("v3/+/devices/+/#", "v3/app/devices/d/up"), topic_matches("a/+", "a/b/c")
    (True, False)
    """
    levels = topic.split("/")
    for number, level in enumerate(topic_filter.split("/")):
        if level == "#":
            return True
        if number >= len(levels) or level not in ("+", levels[number]):
            return False
    return len(levels) == len(topic_filter.split("/"))


class Decoder:
    """Decodes messages of every known format. Pure but for the profiles that it was given.

    `registered_profiles` gives the profile that an operator registered for a device; it may be replaced while running.
    """

    def __init__(
        self,
        profiles: ProfileLibrary,
        pseudonyms: Pseudonyms,
        *,
        max_payload_bytes: int,
        registered_profiles: Mapping[DeviceKey, str] | None = None,
    ) -> None:
        self.registered_profiles: Mapping[DeviceKey, str] = registered_profiles or {}
        self._profiles = profiles
        self._pseudonyms = pseudonyms
        self._max_payload_bytes = max_payload_bytes

    def reload_profiles(self) -> bool:
        """Take over sensor profiles whose files have changed; True if there were any."""
        return self._profiles.reload_if_changed()

    def decode(
        self, topic: str, payload: bytes, recorded_at: datetime, *, retained: bool = False, duplicate: bool = False
    ) -> Message:
        """The envelope with its observations. `duplicate` is the broker's DUP mark.

        Raises MessageRejectedError: `unknown_topic`, `payload_too_large`, `invalid_topic`, those of the formats, and
        those of `ingest.formats.others` for messages of servers and gateways that we do not read.
        """
        if len(payload) > self._max_payload_bytes:
            raise MessageRejectedError(
                "payload_too_large", f"Got {len(payload)} bytes, expected at most {self._max_payload_bytes}."
            )
        if "\x00" in topic or "\\x" in topic:  # the receiver writes bytes that are no UTF-8 as \xNN
            raise MessageRejectedError("invalid_topic", "Got a topic that is no UTF-8 text or holds U+0000.")
        try:
            parsed = self._route(topic, payload)(topic, payload, recorded_at)
        except MessageRejectedError:
            code = others.recognise(topic, payload)
            if code is None or vehicle.vehicle_in(topic) is not None:
                raise
            raise MessageRejectedError(code, others.reason(code)) from None
        message = measure.measure(parsed, self._profiles, self.registered_profiles)
        return replace(message, retained=retained, redelivered=duplicate) if retained or duplicate else message

    def rejected(self, topic: str, payload: bytes, recorded_at: datetime, code: str, reason: str) -> RejectedMessage:
        """What is kept of a message that cannot be decoded; its topic, payload and reason do not name a vehicle."""
        vehicle_id = vehicle.vehicle_in(topic)
        if vehicle_id is None:
            return reject(topic, payload, recorded_at, code, reason)
        pseudonym = self._pseudonyms.pseudonym(vehicle_id, recorded_at)
        told = vehicle.without_vehicle(reason.encode("utf-8", "replace"), vehicle_id, pseudonym)  # it may name a member
        return reject(
            vehicle.with_pseudonym(topic, pseudonym),
            payload,
            recorded_at,
            code,
            told.decode(),
            kept=vehicle.without_vehicle(payload, vehicle_id, pseudonym),
        )

    def _route(self, topic: str, payload: bytes) -> Parse:
        """The parser of a topic; of a topic that no format has, what its content tells (topics can be configured)."""
        levels = topic.split("/")
        count = len(levels)
        if levels[0] == "application":
            if count == 6 and levels[2] == "device" and levels[4] == "event":
                return chirpstack.parse
            if count == 5 and levels[2] == "device" and levels[4] in chirpstack.LEGACY_LEVELS:
                return chirpstack.parse
        elif levels[0] == "v3":
            if count >= 4 and levels[2] == "devices":
                return tts_v3.parse
        elif levels[0] == "roadtwin":
            if "" in levels:
                raise MessageRejectedError("invalid_topic", "Got a topic with an empty level, expected an id there.")
            if count == 5 and levels[1] == "v1" and levels[4] == "readings":
                if levels[2] == "vehicles":
                    return self._parse_vehicle
                if levels[2] == "sensors":
                    return senml.parse
        parse = None if levels[0] == "roadtwin" else sniff.parser_of(payload)
        if parse is None:
            raise MessageRejectedError(
                "unknown_topic", f"Got a topic of no known format, expected one of {', '.join(KNOWN_TOPICS)}."
            )
        return parse

    def _parse_vehicle(self, topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
        return vehicle.parse(topic, payload, recorded_at, self._pseudonyms)


def open_decoder(settings: Settings, registered_profiles: Mapping[DeviceKey, str] | None = None) -> Decoder:
    """The decoder that the settings describe.

    Raises InputFileError for a wrong profile and SettingsError for a key that cannot be used.
    """
    return Decoder(
        profiles_module.load_profiles(settings.device_profiles_dir),
        open_pseudonyms(settings),
        max_payload_bytes=settings.max_payload_bytes,
        registered_profiles=registered_profiles,
    )
