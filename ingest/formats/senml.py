"""SenML JSON (RFC 8428) of generic sensors: `roadtwin/v1/sensors/{device_id}/readings`.

A resolved name (base name + name) is `[device_id(:|/)][channel/]quantity[:depth_cm]`: quantities are those of
`roadtwin.units`, units those of SenML. Whatever is not known is refused by name: a pack is taken whole or not at all.
"""

import math
import re
from datetime import datetime, timedelta
from typing import Any

from ingest import strictjson
from ingest.conversions import conversion
from ingest.formats.about import FormatAbout
from ingest.formats.parsed import Parsed
from ingest.identity import message_id
from ingest.times import from_unix, time_flags, usable
from roadtwin.errors import MessageRejectedError
from roadtwin.records.senml import SenmlPack, SenmlRecord
from roadtwin.types import Clock, DeviceKey, Flag, Message, Observation
from roadtwin.units import QUANTITIES

FORMAT = "senml-json"
NETWORK_SOURCE = "senml"
TOPIC_FILTER = "roadtwin/v1/sensors/+/readings"
EVENT_KIND = "readings"

ABOUT = FormatAbout(
    name=FORMAT,
    title="SenML of generic sensors",
    network_source=NETWORK_SOURCE,
    encoding="SenML JSON (RFC 8428)",
    topics=("roadtwin/v1/sensors/{device_id}/readings",),
    event_kinds=(EVENT_KIND,),
    time_rule="Base time plus time, from 2²⁸ on as Unix time [s], below it relative to the arrival, flagged `CLOCK`. "
    "The message's own time is that of its newest record.",
    identity="`device_id` of the topic.",
    message_id="By device and bytes.",
    measures="Every record with a value: the resolved name is `[device_id/][channel/]quantity[:depth_cm]`.",
    reject_codes={
        "unknown_quantity": "A resolved name holds no quantity of ours.",
        "unknown_unit": "The unit is none of the quantity, and cannot be converted into one.",
        "senml_version": "The pack is of a later version of SenML.",
        "senml_label": "A label that ends in `_` must be understood, and we know none.",
        "senml_value": "A record has no number, one that nothing can hold, or there are base values only.",
    },
    notes=("A pack is taken whole or refused whole.",),
)

ABSOLUTE_FROM_S = 2**28
"""Resolved times from here on are Unix times, smaller ones are relative to now (RFC 8428 §4.5.3) [s]."""
VERSION = 10
"""Newest SenML version we understand (RFC 8428 §4.4)."""

_NAME = re.compile(r"(?:(?P<channel>[A-Za-z0-9_.-]{1,50})/)?(?P<quantity>[a-z0-9_]+)(?::(?P<depth>\d{1,4}))?", re.ASCII)


def parse(topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    """One pack.

    Raises MessageRejectedError: `unknown_quantity`, `unknown_unit`, `senml_version`, `senml_label`, `senml_value`, and
    those of `ingest.strictjson.decode`.
    """
    device_id = topic.split("/")[3]
    told = strictjson.read(payload)
    pack: list[SenmlRecord] = strictjson.convert(told, SenmlPack)
    if b'_"' in payload:
        _refuse_unknown_labels(told)
    readings = _resolve(pack, device_id, recorded_at)
    observations: dict[tuple[Any, ...], Observation] = {}
    for reading in readings:
        observations.setdefault((reading.channel, reading.quantity, reading.depth_cm, reading.observed_at), reading)
    times = [reading.observed_at for reading in readings if not reading.flags & Flag.CLOCK]
    # One relative or unusable time makes the arrival part of the content: such a pack is known by its bytes alone.
    event_at = max(times) if times and len(times) == len(readings) else None
    flags = time_flags(event_at, recorded_at) if event_at else Flag.CLOCK
    message = Message(
        message_id=message_id(NETWORK_SOURCE, device_id, payload),
        format=FORMAT,
        event_kind=EVENT_KIND,
        topic=topic,
        payload=payload,
        recorded_at=recorded_at,
        event_at=event_at,
        clock=Clock.DEVICE if event_at else Clock.ARRIVAL,
        device=DeviceKey(NETWORK_SOURCE, "", device_id),
        flags=flags,
        observations=tuple(observations.values()),
    )
    return Parsed(message)


def _refuse_unknown_labels(pack: list[dict[str, object]]) -> None:
    """Labels that end in "_" must be understood (RFC 8428 §4.4); others that we do not know are ignored."""
    for record in pack:
        label = next((label for label in record if label.endswith("_")), None)
        if label is not None:
            raise MessageRejectedError("senml_label", f"Got the label {label[:50]!r}, which we do not understand.")


def _resolve(pack: list[SenmlRecord], device_id: str, recorded_at: datetime) -> list[Observation]:
    base_name, base_time, base_unit, base_value = "", 0.0, None, 0.0
    observations = []
    for number, record in enumerate(pack):
        if record.bver is not None and record.bver > VERSION:
            raise MessageRejectedError("senml_version", f"Got SenML version {record.bver}, expected at most {VERSION}.")
        base_name = record.bn if record.bn is not None else base_name
        base_time = record.bt if record.bt is not None else base_time
        base_unit = record.bu if record.bu is not None else base_unit
        base_value = record.bv if record.bv is not None else base_value
        if _is_base_only(record):
            continue
        channel, quantity, depth_cm = _read_name(base_name + record.n, device_id)
        value = base_value + _read_value(record, number)
        unit = record.u if record.u is not None else base_unit
        scale = conversion(quantity, unit)
        if scale is None:
            raise MessageRejectedError(
                "unknown_unit",
                f"Got {quantity} in {str(unit)[:30]!r}, expected {QUANTITIES[quantity].senml_unit!r}.",
            )
        value = value * scale[0] + scale[1]
        if not math.isfinite(value):
            raise MessageRejectedError("senml_value", f"Got a value of {quantity} that no number can hold.")
        observed_at, flags = _read_time(base_time + record.t, recorded_at)
        known = QUANTITIES[quantity]
        if not known.minimum <= value <= known.maximum:
            flags |= Flag.RANGE
        observations.append(Observation(channel, quantity, depth_cm, observed_at, value, flags))
    if not observations:
        raise MessageRejectedError("senml_value", "Got base values only, expected at least one record with a value.")
    return observations


def _is_base_only(record: SenmlRecord) -> bool:
    return not record.n and all(x is None for x in (record.v, record.vb, record.vs, record.vd, record.s))


def _read_name(name: str, device_id: str) -> tuple[str, str, int | None]:
    """Channel, quantity and depth [cm] of a resolved name."""
    for separator in ("/", ":"):
        name = name.removeprefix(device_id + separator)
    match = _NAME.fullmatch(name)
    if match is None or match["quantity"] not in QUANTITIES:
        raise MessageRejectedError(
            "unknown_quantity",
            f"Got the name {name[:80]!r}, expected [channel/]quantity[:depth_cm] with one of {', '.join(QUANTITIES)}.",
        )
    return match["channel"] or "", match["quantity"], int(match["depth"]) if match["depth"] else None


def _read_value(record: SenmlRecord, number: int) -> float:
    if record.v is not None:
        return record.v
    if record.vb is not None:
        return float(record.vb)
    got = "text" if record.vs is not None else "data" if record.vd is not None else "no value"
    raise MessageRejectedError("senml_value", f"Got {got} in record {number}, expected a number (v) or a boolean (vb).")


def _read_time(seconds: float, recorded_at: datetime) -> tuple[datetime, Flag]:
    """When it was true. Relative to the arrival, or arrival itself where no clock can be believed: flagged CLOCK."""
    if seconds >= ABSOLUTE_FROM_S:
        at = from_unix(seconds)
        if at is None or not usable(at, recorded_at):
            return recorded_at, Flag.CLOCK
        return at, time_flags(at, recorded_at)
    at = recorded_at + timedelta(seconds=max(seconds, -ABSOLUTE_FROM_S))
    if not usable(at, recorded_at):
        return recorded_at, Flag.CLOCK
    return at, Flag.CLOCK | time_flags(at, recorded_at)
