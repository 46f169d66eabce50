"""From topic and bytes to the canonical envelope: routing by topic, formats, sensor profiles."""

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec.structs import replace

from ingest import profile as profiles_module
from ingest.formats import chirpstack_v4, senml, tts_v3, vehicle
from ingest.formats.parsed import Parsed
from ingest.profile import Profile, ProfileLibrary
from ingest.pseudonyms import Pseudonyms, open_pseudonyms
from ingest.rejected import reject
from ingest.times import parse_time, time_flags, usable
from roadtwin.errors import MessageRejectedError
from roadtwin.settings import Settings
from roadtwin.types import DeviceKey, Flag, Message, Observation, RejectedMessage

Parse = Callable[[str, bytes, datetime], Parsed]

TTS_NORMALIZED = "tts-normalized"

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
        self._routes: tuple[tuple[str, Parse], ...] = (
            (chirpstack_v4.TOPIC_FILTER, chirpstack_v4.parse),
            (tts_v3.TOPIC_FILTER, tts_v3.parse),
            (senml.TOPIC_FILTER, senml.parse),
            (vehicle.TOPIC_FILTER, self._parse_vehicle),
        )

    def decode(self, topic: str, payload: bytes, recorded_at: datetime, *, retained: bool = False) -> Message:
        """The envelope with its observations.

        Raises MessageRejectedError: `unknown_topic`, `payload_too_large`, `invalid_topic`, and those of the formats.
        """
        if len(payload) > self._max_payload_bytes:
            raise MessageRejectedError(
                "payload_too_large", f"Got {len(payload)} bytes, expected at most {self._max_payload_bytes}."
            )
        if "\x00" in topic or "\\x" in topic:  # the receiver writes bytes that are no UTF-8 as \xNN
            raise MessageRejectedError("invalid_topic", "Got a topic that is no UTF-8 text or holds U+0000.")
        if topic.startswith("roadtwin/") and "//" in topic:  # "+" also takes an empty level
            raise MessageRejectedError("invalid_topic", "Got a topic with an empty level, expected an id there.")
        parse = next((parse for topic_filter, parse in self._routes if topic_matches(topic_filter, topic)), None)
        if parse is None:
            raise MessageRejectedError(
                "unknown_topic", f"Got a topic of no known format, expected one of {', '.join(KNOWN_TOPICS)}."
            )
        message = self._measure(parse(topic, payload, recorded_at))
        return replace(message, retained=True) if retained else message

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

    def _parse_vehicle(self, topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
        return vehicle.parse(topic, payload, recorded_at, self._pseudonyms)

    def _measure(self, parsed: Parsed) -> Message:
        """Add what the sensor profile makes of the decoded fields. Without a profile nothing is guessed."""
        message = parsed.message
        if parsed.decoded is None and not parsed.normalized:
            return message
        registered = self.registered_profiles.get(message.device) if message.device else None
        name = registered or message.profile_name
        profile = self._profiles.find(name)
        if parsed.normalized and not (registered and profile and parsed.decoded):
            return self._measure_normalized(message, parsed.normalized)
        if profile is None:
            known = f"no sensor profile is called {name!r}" if name else "the device has no sensor profile"
            return replace(message, details={**message.details, "not_measured": known})
        if parsed.decoded is None:
            return message
        at = message.event_at or message.recorded_at
        observations, problems = profiles_module.apply(profile, parsed.decoded, at, message.flags)
        return _with(message, profile, observations, problems)

    def _measure_normalized(self, message: Message, elements: tuple[Mapping[str, object], ...]) -> Message:
        profile = self._profiles.find(TTS_NORMALIZED)
        assert profile is not None, "built in"
        observations: dict[tuple[object, ...], Observation] = {}
        problems: dict[str, str] = {}
        for number, element in enumerate(elements):
            at, flags = message.event_at or message.recorded_at, message.flags
            own = parse_time(element.get("time"))  # a history carries the time of each measurement
            if own is not None and usable(own, message.recorded_at):
                at, flags = own, time_flags(own, message.recorded_at)
            found, why = profiles_module.apply(profile, element, at, flags)
            problems |= {f"{number}.{path}": reason for path, reason in why.items()}
            for observation in found:
                key = (observation.channel, observation.quantity, observation.depth_cm, observation.observed_at)
                if key in observations:
                    problems[f"{number}.{observation.quantity}"] = "already measured by an element before it"
                else:
                    observations[key] = observation
        return _with(message, profile, list(observations.values()), problems)


def _with(message: Message, profile: Profile, observations: list[Observation], problems: dict[str, str]) -> Message:
    details: dict[str, object] = {**message.details, "profile": profile.name}
    if problems:
        details["not_measured"] = problems
    flags = message.flags
    for observation in observations:
        if observation.flags:  # operations on flags are slow in Python, and most values have none
            flags |= observation.flags & (Flag.RANGE | Flag.SENTINEL)
    return replace(
        message,
        profile_version=profile.version,
        observations=(*message.observations, *observations),
        flags=flags,
        details=details,
    )


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
