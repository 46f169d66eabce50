"""What a message measured: decoded fields, normalised measurements or a frame, read by the device's sensor profile."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from ingest import codecs
from ingest.formats.parsed import Parsed
from ingest.profile import Profile, ProfileLibrary, apply
from ingest.times import parse_time, time_flags, usable
from roadtwin.errors import CodecError
from roadtwin.types import DeviceKey, Flag, Message, Observation

TTS_NORMALIZED = "tts-normalized"

_FROM_VALUES = Flag.RANGE | Flag.SENTINEL
_FROM_CLOCK = Flag.CLOCK | Flag.SKEW
# One measurement of a message: its fields, when it was true, and what is doubtful about that time.
_Timed = tuple[Mapping[str, object], datetime, Flag]


def measure(parsed: Parsed, profiles: ProfileLibrary, registered: Mapping[DeviceKey, str]) -> Message:
    """The message with its observations. Without a profile nothing is guessed, and `details` says so.

    The profile that an operator registered wins over the one that the network server names. What the network server
    decoded is preferred; a frame is decoded here only without it.
    """
    message, decoded = parsed.message, parsed.decoded
    if not decoded and not parsed.normalized and not parsed.frame:
        return message
    own = registered.get(message.device) if message.device and registered else None
    name = own or message.profile_name
    profile = profiles.find(name)
    if parsed.normalized and not (own and profile and (decoded or (profile.codec and parsed.frame))):
        return _measure_normalized(message, parsed.normalized, profiles)
    if profile is None:
        known = f"no sensor profile is called {name!r}" if name else "the device has no sensor profile"
        return replace(message, details={**message.details, "not_measured": known})
    if decoded:
        at = message.event_at or message.recorded_at
        observations, problems = apply(profile, decoded, at, message.flags)
        return _with(message, profile, observations, problems)
    return _measure_frame(message, profile, parsed.frame) if profile.codec else message


def _measure_normalized(
    message: Message, elements: tuple[Mapping[str, object], ...], profiles: ProfileLibrary
) -> Message:
    profile = profiles.find(TTS_NORMALIZED)
    assert profile is not None, "built in"
    # A history carries the time of each measurement.
    return _measure_all(message, profile, [_timed(message, e, parse_time(e.get("time")), None) for e in elements])


def _measure_frame(message: Message, profile: Profile, frame: bytes) -> Message:
    """Decode the payload by the profile's codec; what the codec cannot read is kept without observations."""
    codec = codecs.find(profile.codec)
    assert codec is not None, "checked when the profile was read"
    try:
        frames = codec.decode(message.f_port or 0, frame)
    except CodecError as exc:
        return replace(message, details={**message.details, "codec": codec.name, "not_measured": str(exc)})
    timed = [_timed(message, frame.fields, frame.observed_at, frame.age_s) for frame in frames]
    return _measure_all(message, profile, timed, {"codec": codec.name})


def _timed(message: Message, fields: Mapping[str, object], told: datetime | None, age_s: float | None) -> _Timed:
    """When a measurement was true: its own time if that can be believed, else its age before the message's."""
    at = message.event_at or message.recorded_at
    if told is not None and usable(told, message.recorded_at):
        return fields, told, time_flags(told, message.recorded_at)
    if age_s is not None:
        try:
            aged = at - timedelta(seconds=age_s)
        except (OverflowError, ValueError):
            return fields, at, message.flags
        if usable(aged, message.recorded_at):
            return fields, aged, time_flags(aged, message.recorded_at) | (message.flags & _FROM_CLOCK)
    return fields, at, message.flags


def _measure_all(
    message: Message, profile: Profile, measurements: Iterable[_Timed], details: Mapping[str, object] | None = None
) -> Message:
    observations: dict[tuple[object, ...], Observation] = {}
    problems: dict[str, str] = {}
    for number, (fields, at, flags) in enumerate(measurements):
        found, why = apply(profile, fields, at, flags)
        problems |= {f"{number}.{path}": reason for path, reason in why.items()}
        for observation in found:
            key = (observation.channel, observation.quantity, observation.depth_cm, observation.observed_at)
            if key in observations:
                problems[f"{number}.{observation.quantity}"] = "already measured by an element before it"
            else:
                observations[key] = observation
    return _with(message, profile, list(observations.values()), problems, details)


def _with(
    message: Message,
    profile: Profile,
    observations: list[Observation],
    problems: Mapping[str, str],
    more: Mapping[str, object] | None = None,
) -> Message:
    details: dict[str, object] = {**message.details, **(more or {}), "profile": profile.name}
    if problems:
        details["not_measured"] = problems
    flags = message.flags
    for observation in observations:
        # Operations on flags are slow in Python, and most values have none of their own.
        if observation.flags and observation.flags is not message.flags:
            flags |= observation.flags & _FROM_VALUES
    return replace(
        message,
        profile_version=profile.version,
        observations=(*message.observations, *observations),
        flags=flags,
        details=details,
    )
