"""What a message measured: decoded fields, normalised measurements or a frame, read by the device's sensor profile."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from ingest import codecs
from ingest.codecs.tlv import UNDECODED
from ingest.formats.parsed import Parsed
from ingest.profile import Profile, ProfileLibrary, apply
from ingest.times import from_unix, parse_time, time_flags, usable
from roadtwin.errors import CodecError
from roadtwin.types import DOUBTFUL_TIME, DeviceKey, Flag, Message, Observation

TTS_NORMALIZED = "tts-normalized"
HISTORY = "history"
"""Where vendors' decoders put a history: tables of the same fields, each with a `timestamp` (Unix time [s])."""

_FROM_VALUES = Flag.RANGE | Flag.SENTINEL
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
        if HISTORY in decoded and profile.codec and _codec(profile).sends_history:
            return _measure_history(message, profile, decoded)
        observations, problems = apply(profile, decoded, _at(message), message.flags)
        return _with(message, profile, observations, problems)
    return _measure_frame(message, profile, parsed.frame) if profile.codec else message


def _measure_normalized(
    message: Message, elements: tuple[Mapping[str, object], ...], profiles: ProfileLibrary
) -> Message:
    profile = profiles.find(TTS_NORMALIZED)
    assert profile is not None, "built in"
    return _measure_all(message, profile, [_of_element(message, element) for element in elements])


def _measure_history(message: Message, profile: Profile, decoded: Mapping[str, object]) -> Message:
    """What a vendor's decoder in the network server made of a frame with a history."""
    history = decoded[HISTORY]
    current = {name: value for name, value in decoded.items() if name != HISTORY}
    past = history if isinstance(history, list) else [None]
    timed = [(current, _at(message), message.flags), *(_of_past(message, element) for element in past)]
    return _measure_all(message, profile, timed)


def _measure_frame(message: Message, profile: Profile, frame: bytes) -> Message:
    """Decode the payload by the profile's codec; what the codec cannot read is kept without observations."""
    codec = _codec(profile)
    try:
        frames = codec.decode(message.f_port or 0, frame)
    except CodecError as exc:
        return replace(message, details={**message.details, "codec": codec.name, "not_measured": str(exc)})
    details = {"codec": codec.name}
    rest = frames[0].fields.get(UNDECODED)
    if rest is not None:
        details[UNDECODED] = str(rest)
    return _measure_all(message, profile, [_of_frame(message, frame) for frame in frames], details)


def _codec(profile: Profile) -> codecs.Codec:
    codec = codecs.find(profile.codec)
    assert codec is not None, "checked when the profile was read"
    return codec


def _at(message: Message) -> datetime:
    return message.event_at or message.recorded_at


def _of_element(message: Message, element: Mapping[str, object]) -> _Timed:
    """A normalised measurement: at its own time, else at the message's, which is doubtful where it told another."""
    time = element.get("time")
    own = _observed(message, element, parse_time(time))
    return own or (element, _at(message), message.flags if time is None else message.flags | Flag.CLOCK)


def _of_past(message: Message, element: object) -> _Timed | None:
    """One table of a decoder's history."""
    seconds = element.get("timestamp") if isinstance(element, Mapping) else None
    if not isinstance(element, Mapping) or not isinstance(seconds, int | float):
        return None
    return _observed(message, element, from_unix(seconds))


def _of_frame(message: Message, frame: codecs.Frame) -> _Timed | None:
    """What a codec read. A past value without a time that can be believed is no value of now: None."""
    if frame.observed_at is not None:
        return _observed(message, frame.fields, frame.observed_at)
    if frame.age_s is None:
        return frame.fields, _at(message), message.flags
    try:
        timed = _observed(message, frame.fields, _at(message) - timedelta(seconds=frame.age_s))
    except (OverflowError, ValueError):
        return None
    return timed and (timed[0], timed[1], timed[2] | (message.flags & DOUBTFUL_TIME))


def _observed(message: Message, fields: Mapping[str, object], at: datetime | None) -> _Timed | None:
    """A measurement at a time of its own; None when that cannot be believed."""
    if at is None or not usable(at, message.recorded_at):
        return None
    return fields, at, time_flags(at, message.recorded_at)


def _measure_all(
    message: Message,
    profile: Profile,
    measurements: Iterable[_Timed | None],
    details: Mapping[str, object] | None = None,
) -> Message:
    """Of several measurements; None is one that says nothing of when it was true."""
    observations: dict[tuple[object, ...], Observation] = {}
    problems: dict[str, str] = {}
    for number, measurement in enumerate(measurements):
        if measurement is None:
            problems[str(number)] = "a past measurement without a time that can be believed"
            continue
        found, why = apply(profile, *measurement)
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
