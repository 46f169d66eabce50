"""ChirpStack v4 events as JSON: `application/{application id}/device/{devEui}/event/{kind}`.

The JSON is protobuf JSON; the same events as protobuf itself are read by `chirpstack_v4_protobuf`, which hands them on
to `to_parsed` here, so that both encodings of an event give the same envelope. Both topic parts are configurable, so
identity is taken from the payload.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from ingest import strictjson
from ingest.formats.about import FormatAbout
from ingest.formats.chirpstack_v4_events import EVENTS, KINDS, Event, Integration, RxInfo, Status, Up, tell_kind
from ingest.formats.parsed import Parsed
from ingest.formats.radio import best_rssi, best_snr, count_gateways, plausible
from ingest.identity import canonical, message_id
from ingest.times import parse_time, skew_s, time_flags, usable, with_skew
from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, DeviceKey, Flag, Message, Observation, Reception

__all__ = ["ABOUT", "FORMAT", "KINDS", "NETWORK_SOURCE", "TOPIC_FILTER", "parse_members", "tell_kind", "to_parsed"]

FORMAT = "chirpstack-v4-json"
NETWORK_SOURCE = "chirpstack-v4"
TOPIC_FILTER = "application/+/device/+/event/+"
STATUS_CHANNEL = "device-status"
"""Channel of what the device's LoRaWAN stack says of itself (DevStatusAns), apart from what its payload says."""

ABOUT = FormatAbout(
    name=FORMAT,
    title="ChirpStack v4, JSON",
    network_source=NETWORK_SOURCE,
    encoding="JSON (`json=true` in `[integration.mqtt]`)",
    topics=("application/{application id}/device/{devEui}/event/{kind}",),
    event_kinds=KINDS,
    time_rule="`time`, which ChirpStack takes from GPS, from a gateway's clock within 30 s of its own, or from its "
    "own; "
    "`clock` says which. `clock_skew_s` is `time` minus the first `rxInfo[].nsTime`; beyond ±30 s it is flagged "
    "`SKEW`.",
    identity="`deviceInfo.applicationId` and `deviceInfo.devEui`, in lower case; the topic is a hint.",
    message_id="By `deduplicationId`, kind and device. Without one (log, txack, old servers): by what the event says.",
    measures="`object`, the output of the device profile's codec, by the sensor profile; else `data`, by our codec of "
    "the "
    "sensor profile. Nothing on fPort 0, and nothing from `data` with a `joinServerContext` (still encrypted). "
    "`status` "
    "gives `battery_pct` on the channel `device-status`.",
    reject_codes={"unknown_event_kind": "Neither the topic nor the members tell the kind of the event."},
    notes=(
        "Set `qos=1`: ChirpStack's default is QoS 0, and what is sent at QoS 0 can be lost.",
        "A member that is left out has its zero value: no `rssi` is 0 dBm, an empty `location` is no location.",
        "Where the last level of the topic is no kind (`event_topic` can be changed), the members tell it.",
    ),
)

# A gateway clock within this of the event's time gave it (ChirpStack takes over the value unchanged).
_SAME_CLOCK = timedelta(milliseconds=1)


def parse_members(members: Mapping[str, object], topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    """One event, from the members of its JSON object.

    Raises MessageRejectedError: `unknown_event_kind`, `invalid_field`, `nesting_too_deep`.
    """
    kind = topic.rsplit("/", 1)[-1]
    if kind not in EVENTS:
        told = tell_kind(members)
        if told is None:
            raise MessageRejectedError(
                "unknown_event_kind",
                f"Got event {kind[:50]!r} with members that tell no kind, expected one of {', '.join(KINDS)}.",
            )
        kind = told
    return to_parsed(strictjson.convert(members, EVENTS[kind]), FORMAT, topic, payload, recorded_at)


def to_parsed(event: Event, wire_format: str, topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    """The envelope of an event, whatever it was encoded as."""
    info = event.device_info
    dev_eui = info.dev_eui.lower()
    stated = parse_time(event.time)
    event_at = stated if usable(stated, recorded_at) else None
    flags = time_flags(event_at, recorded_at) if event_at else Flag.CLOCK
    up = event if isinstance(event, Up) else None
    receptions: tuple[Reception, ...] = ()
    clock, clock_skew_s = Clock.NETWORK_SERVER if event_at else Clock.ARRIVAL, None
    if up is not None:
        receptions, clock, clock_skew_s = _receive(up, event_at)
        flags = with_skew(flags, clock_skew_s)
    observations: tuple[Observation, ...] = ()
    if isinstance(event, Status) and event.battery_pct is not None:
        at = event_at or recorded_at
        observations = (Observation(STATUS_CHANNEL, "battery_pct", None, at, event.battery_pct, flags),)
    details = event.details()
    decoded, frame = _measured_by(up, details) if up is not None else (None, b"")
    message = Message(
        message_id=_message_id(event, dev_eui),
        format=wire_format,
        event_kind=event.kind,
        topic=topic,
        payload=payload,
        recorded_at=recorded_at,
        event_at=event_at,
        clock=clock,
        device=DeviceKey(NETWORK_SOURCE, info.application_id, dev_eui),
        dev_eui=dev_eui,
        device_name=info.device_name or None,
        profile_name=info.device_profile_name or None,
        f_cnt=up.f_cnt if up else None,
        f_port=up.f_port if up else None,
        gateway_count=count_gateways(receptions) if up else None,
        best_rssi_dbm=best_rssi(receptions),
        best_snr_db=best_snr(receptions),
        flags=flags,
        observations=observations,
        clock_skew_s=clock_skew_s,
        receptions=receptions,
        details=details,
    )
    return Parsed(message, decoded, (), frame)


def _measured_by(up: Up, details: dict[str, object]) -> tuple[dict[str, object] | None, bytes]:
    """The decoded fields and the frame that may be measured; `details` gets why nothing may."""
    if up.f_port == 0:
        details["not_measured"] = "fPort 0 carries MAC commands only"
        return None, b""
    decoded = up.decoded if isinstance(up.decoded, dict) and up.decoded else None
    if up.join_server_context is None:
        return decoded, up.data
    if decoded is None:
        details["not_measured"] = "the payload is still encrypted (joinServerContext)"
    return decoded, b""


def _receive(up: Up, event_at: datetime | None) -> tuple[tuple[Reception, ...], Clock, float | None]:
    """Receptions, whose clock gave the event's time, and how far that is ahead of the server's [s].

    ChirpStack takes GPS time of any gateway, else a gateway's clock, else its own.
    """
    receptions: list[Reception] = []
    clock, clock_skew_s = Clock.NETWORK_SERVER, None
    for rx in up.rx_info:
        ns_time = event_at if event_at and rx.ns_time == up.time else parse_time(rx.ns_time)
        gw_time = parse_time(rx.gw_time)
        if clock_skew_s is None and ns_time is not None:
            clock_skew_s = skew_s(event_at, ns_time)
        clock = _better_clock(clock, rx, gw_time, event_at)
        receptions.append(Reception(rx.gateway_id, plausible(rx.rssi), plausible(rx.snr), skew_s(gw_time, ns_time)))
    return tuple(receptions), clock if event_at else Clock.ARRIVAL, clock_skew_s


def _better_clock(clock: Clock, rx: RxInfo, gw_time: datetime | None, event_at: datetime | None) -> Clock:
    if rx.time_since_gps_epoch or clock is Clock.GPS:
        return Clock.GPS
    if gw_time is not None and event_at is not None and abs(gw_time - event_at) < _SAME_CLOCK:
        return Clock.GATEWAY
    return clock


def _message_id(event: Event, dev_eui: str) -> UUID:
    """By deduplicationId and kind: acknowledgements and statuses carry the id of the uplink that brought them.

    Events without one (log, txack) and uplinks of servers that leave it out are told by what they say.
    """
    if event.deduplication_id and not isinstance(event, Integration):
        return message_id(NETWORK_SOURCE, event.kind, dev_eui, event.deduplication_id)
    told: list[str | int | bytes | None] = [NETWORK_SOURCE, event.kind, dev_eui, event.deduplication_id]
    if isinstance(event, Integration):
        told += [event.integration_name, event.event_type]
    if not event.deduplication_id:
        told += [canonical(event.time), canonical(event.details())]
        if isinstance(event, Up):
            told += [event.f_cnt, event.f_port, event.data]
    return message_id(*told)
