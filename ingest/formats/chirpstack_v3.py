"""ChirpStack v3 events in its three encodings: protobuf, JSON, and the older "JSON v3".

Topics are `application/{application number}/device/{devEUI}/event/{kind}` and, before 3.11, the same without `event`
and with `rx` for an uplink. JSON has EUIs in base64 and the decoded object as a text (`objectJSON`), "JSON v3" has EUIs
in hexadecimal digits and an `object`. v4 renamed nearly every member, so that what an event is shows in its members.
Field numbers and names: the integration, gw and common messages of chirpstack-api 3.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from ingest import strictjson
from ingest.formats import protobuf
from ingest.formats.about import FormatAbout
from ingest.formats.chirpstack_v3_messages import EVENT_CLASSES, READER, Addressee
from ingest.formats.chirpstack_v4_events import Counter, Place
from ingest.formats.parsed import Parsed
from ingest.formats.radio import MOST_RECEPTIONS, best_rssi, best_snr, count_gateways, plausible
from ingest.identity import canonical, message_id
from ingest.times import parse_time, skew_s, time_flags, usable, with_skew
from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, DeviceKey, Flag, Message, Observation, Reception

FORMAT_PROTOBUF = "chirpstack-v3-protobuf"
FORMAT_JSON = "chirpstack-v3-json"
NETWORK_SOURCE = "chirpstack-v3"
STATUS_CHANNEL = "device-status"
KINDS = ("up", "join", "ack", "error", "status", "location", "txack", "integration")
_KIND_OF_LEVEL = {kind: kind for kind in KINDS} | {"rx": "up"}

ABOUT = FormatAbout(
    name=FORMAT_JSON,
    title="ChirpStack v3",
    network_source=NETWORK_SOURCE,
    encoding="JSON with EUIs in base64, “JSON v3” with EUIs in hexadecimal digits, or protobuf "
    "(`chirpstack-v3-protobuf`)",
    topics=(
        "application/{application number}/device/{devEUI}/event/{kind}",
        "application/{application number}/device/{devEUI}/{rx|join|ack|error|status|location|txack|integration}",
    ),
    event_kinds=KINDS,
    time_rule="The first `rxInfo[].time` that can be used, else `publishedAt` (since 3.16), else the arrival. "
    "`clock_skew_s` is a gateway's time minus `publishedAt`, where both are told.",
    identity="`applicationID` and `devEUI`, the latter in lower-case hexadecimal digits whatever it was sent in.",
    message_id="By kind, application, device, counter, port, payload and time; where no time is told, also by the "
    "`uplinkID` of the receptions. The same in all three encodings.",
    measures="`object` or `objectJSON` by the sensor profile; else `data`, by our codec of the sensor profile. "
    "Nothing on "
    "fPort 0. `status` gives `battery_pct` on the channel `device-status`.",
    reject_codes={
        "invalid_protobuf": "The bytes are no protobuf message of the kind that the topic names.",
        "unknown_event_kind": "Neither the topic nor the members tell the kind of the event.",
    },
    notes=(
        "A location of 0, 0 means unknown. Before 3.11 there is no profile name: register the device with one.",
        "A sample whose `data` is no base64 (documentation has the text `...`) is refused as `invalid_field`.",
    ),
)


class _Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    pass


class _RxInfo(_Part, frozen=True):
    gateway_id: str = msgspec.field(default="", name="gatewayID")
    time: Any = None  # only from a gateway with GPS
    gps_epoch: Any = msgspec.field(default=None, name="timeSinceGPSEpoch")
    rssi: float = 0.0
    snr: float = msgspec.field(default=0.0, name="loRaSNR")
    uplink_id: str = msgspec.field(default="", name="uplinkID")


class _Event(_Part, frozen=True, rename="camel"):
    """The members of all kinds: they share names, but not one is in every kind but the first four."""

    application_id: Annotated[str, Meta(min_length=1, max_length=200)] | Annotated[int, Meta(ge=0)] = msgspec.field(
        name="applicationID"
    )
    dev_eui: str = msgspec.field(name="devEUI")
    device_name: str = ""
    device_profile_name: str = ""
    published_at: Any = None
    rx_info: Annotated[tuple[_RxInfo, ...], Meta(max_length=MOST_RECEPTIONS)] | None = None
    f_cnt: Counter = 0
    f_port: Annotated[int, Meta(ge=0, le=255)] = 0
    data: bytes | None = None
    decoded: Any = msgspec.field(default=None, name="object")
    object_json: str = msgspec.field(default="", name="objectJSON")
    dr: Annotated[int, Meta(ge=0, le=255)] = 0
    confirmed_uplink: bool = False
    dev_addr: str | None = None
    acknowledged: bool = False
    type: str = ""
    error: str = ""
    margin: Annotated[int, Meta(ge=-128, le=255)] = 0
    external_power_source: bool = False
    battery_level_unavailable: bool = False
    battery_level: float = 0.0
    location: Place | None = None
    integration_name: str = ""
    event_type: str = ""
    gateway_id: str = msgspec.field(default="", name="gatewayID")

    @property
    def battery_pct(self) -> float | None:
        """None where the level is not known; 0 is no level (TS001-1.0.4 §5.5)."""
        if self.battery_level_unavailable or self.external_power_source or self.battery_level <= 0:
            return None
        return self.battery_level

    def details(self, kind: str) -> dict[str, object]:
        """The event's own members, JSON-ready, named as those of v4 where they mean the same."""
        if kind == "up":
            return {"data_rate": self.dr, "confirmed": self.confirmed_uplink}
        if kind == "join":
            return {"dev_addr": _hexadecimal(self.dev_addr or "", 4)}
        if kind == "ack":
            return {"acknowledged": self.acknowledged, "f_cnt_down": self.f_cnt}
        if kind == "error":
            return {"code": self.type, "description": self.error, "f_cnt_down": self.f_cnt}
        if kind == "status":
            return {
                "margin_db": self.margin,
                "external_power_source": self.external_power_source,
                "battery_level_unavailable": self.battery_level_unavailable,
                "battery_pct": self.battery_pct,
            }
        if kind == "location":
            return {"location": self.location.details() if self.location else None}
        if kind == "txack":
            return {"f_cnt_down": self.f_cnt, "gateway_id": _hexadecimal(self.gateway_id, 8)}
        return {"integration_name": self.integration_name, "event_type": self.event_type}


# Which members tell a kind, in the order in which they are tried. A txack without a gateway has none of its own.
_TELLING: tuple[tuple[str, frozenset[str]], ...] = (
    ("integration", frozenset({"integrationName"})),
    ("up", frozenset({"fPort", "data", "object"})),
    ("status", frozenset({"margin", "batteryLevel", "batteryLevelUnavailable"})),
    ("error", frozenset({"error", "type"})),
    ("ack", frozenset({"acknowledged"})),
    ("location", frozenset({"location"})),
    ("txack", frozenset({"gatewayID"})),
    ("join", frozenset({"devAddr"})),
)


def is_v3(members: Mapping[str, object]) -> bool:
    """Whether these are the members of a v3 event, or of something that takes after one."""
    return "deviceInfo" not in members and ("applicationID" in members or "devEUI" in members)


def is_v3_protobuf(payload: bytes) -> bool:
    """Whether these bytes begin with an application's number and name a device by the eight bytes of its EUI."""
    if payload[:1] != b"\x08":
        return False
    message: Any = protobuf.parse(Addressee, payload)
    return message is not None and len(message.dev_eui) == 8


def parse_members(members: Mapping[str, object], topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    """One event, from the members of its JSON object.

    Raises MessageRejectedError: `unknown_event_kind`, and those of `ingest.strictjson.decode`.
    """
    kind = _KIND_OF_LEVEL.get(topic.rsplit("/", 1)[-1]) or _tell_kind(members)
    if kind is None:
        raise MessageRejectedError(
            "unknown_event_kind", f"Got members that tell no kind, expected one of {', '.join(KINDS)}."
        )
    return _to_parsed(kind, strictjson.convert(members, _Event), FORMAT_JSON, topic, payload, recorded_at)


def parse_protobuf(topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    """One event in protobuf.

    Raises MessageRejectedError: `invalid_protobuf`, `unknown_event_kind`, `invalid_field`, `nul_character`, and for
    `objectJSON` those of `ingest.strictjson.decode`.
    """
    kind = _kind_of(topic, payload)
    if kind is None:
        raise MessageRejectedError(
            "unknown_event_kind", f"Got bytes that are none of the v3 messages of {', '.join(KINDS)}."
        )
    message = protobuf.parse(EVENT_CLASSES[kind], payload)
    if message is None:
        raise MessageRejectedError("invalid_protobuf", f"Got bytes that are no ChirpStack v3 {kind} event.")
    members = READER.members(message)
    event = strictjson.convert(members, _Event)
    return _to_parsed(kind, event, FORMAT_PROTOBUF, topic, payload, recorded_at)


def message_of(topic: str, payload: bytes) -> Any:
    """The event as protobuf's own message, of the kind that the topic or else its content tells; None for none."""
    kind = _kind_of(topic, payload)
    return None if kind is None else protobuf.parse(EVENT_CLASSES[kind], payload)


def _kind_of(topic: str, payload: bytes) -> str | None:
    named = _KIND_OF_LEVEL.get(topic.rsplit("/", 1)[-1])
    return named or next((kind for kind in KINDS if _fits(kind, payload)), None)


def _tell_kind(members: Mapping[str, object]) -> str | None:
    return next((kind for kind, telling in _TELLING if not telling.isdisjoint(members)), None)


def _fits(kind: str, payload: bytes) -> bool:
    message = protobuf.parse(EVENT_CLASSES[kind], payload)
    if message is None or not protobuf.is_known(message):
        return False
    return _tell_kind(READER.members(message)) == kind


def _to_parsed(kind: str, event: _Event, wire_format: str, topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    dev_eui = _dev_eui(event.dev_eui)
    published_at = parse_time(event.published_at)
    rx_info = event.rx_info or ()
    event_at, clock = _time(rx_info, published_at, recorded_at)
    clock_skew_s = skew_s(event_at, published_at) if clock in (Clock.GPS, Clock.GATEWAY) else None
    flags = time_flags(event_at, recorded_at) if event_at else Flag.CLOCK
    flags = with_skew(flags, clock_skew_s)
    receptions = tuple(_reception(rx, published_at) for rx in rx_info) if kind == "up" else ()
    observations: tuple[Observation, ...] = ()
    if kind == "status" and event.battery_pct is not None:
        at = event_at or recorded_at
        observations = (Observation(STATUS_CHANNEL, "battery_pct", None, at, event.battery_pct, flags),)
    details = event.details(kind)
    is_up = kind == "up"
    decoded, frame = _measured_by(event) if is_up else (None, b"")
    if is_up and event.f_port == 0:
        details["not_measured"] = "fPort 0 carries MAC commands only"
    message = Message(
        message_id=_message_id(kind, event, dev_eui),
        format=wire_format,
        event_kind=kind,
        topic=topic,
        payload=payload,
        recorded_at=recorded_at,
        event_at=event_at,
        clock=clock,
        device=DeviceKey(NETWORK_SOURCE, str(event.application_id), dev_eui),
        dev_eui=dev_eui,
        device_name=event.device_name or None,
        profile_name=event.device_profile_name or None,
        f_cnt=event.f_cnt if is_up else None,
        f_port=event.f_port if is_up else None,
        gateway_count=count_gateways(receptions) if is_up else None,
        best_rssi_dbm=best_rssi(receptions),
        best_snr_db=best_snr(receptions),
        flags=flags,
        observations=observations,
        clock_skew_s=clock_skew_s,
        receptions=receptions,
        details=details,
    )
    return Parsed(message, decoded, (), frame)


def _measured_by(event: _Event) -> tuple[dict[str, object] | None, bytes]:
    """The decoded fields and the frame that may be measured."""
    decoded = event.decoded if isinstance(event.decoded, dict) else None
    if event.object_json:
        told = strictjson.read(event.object_json.encode())
        decoded = told if isinstance(told, dict) else decoded
    return (None, b"") if event.f_port == 0 else (decoded or None, event.data or b"")


def _time(
    rx_info: tuple[_RxInfo, ...], published_at: datetime | None, recorded_at: datetime
) -> tuple[datetime | None, Clock]:
    for rx in rx_info:
        at = parse_time(rx.time)
        if usable(at, recorded_at):
            return at, Clock.GPS if rx.gps_epoch else Clock.GATEWAY
    if usable(published_at, recorded_at):
        return published_at, Clock.APPLICATION_SERVER
    return None, Clock.ARRIVAL


def _reception(rx: _RxInfo, published_at: datetime | None) -> Reception:
    gateway_id = _hexadecimal(rx.gateway_id, 8)
    return Reception(gateway_id, plausible(rx.rssi), plausible(rx.snr), skew_s(parse_time(rx.time), published_at))


def _dev_eui(text: str) -> str:
    dev_eui = _hexadecimal(text, 8)
    if len(dev_eui) != 16 or not _is_hexadecimal(dev_eui):
        raise MessageRejectedError(
            "invalid_field", f"At $.devEUI: got {text[:50]!r}, expected 16 hexadecimal digits or 8 bytes in base64."
        )
    return dev_eui


def _hexadecimal(text: str, octets: int) -> str:
    """An EUI or address in lower-case hexadecimal digits, whichever way it was sent; as it is if it is neither."""
    if len(text) == 2 * octets and _is_hexadecimal(text):
        return text.lower()
    try:
        decoded = a2b_base64(text)
    except (Base64Error, ValueError):
        return text
    return decoded.hex() if len(decoded) == octets else text


def _is_hexadecimal(text: str) -> bool:
    return text.isascii() and all(digit in "0123456789abcdefABCDEF" for digit in text)


def _message_id(kind: str, event: _Event, dev_eui: str) -> UUID:
    """v3 has no id of its own before gateways give one: the content, with the first time that is told."""
    told: list[str | int | bytes | None] = [NETWORK_SOURCE, kind, str(event.application_id), dev_eui]
    told += [event.f_cnt, event.f_port, event.data or b""]
    times = (parse_time(text) for text in (*(rx.time for rx in event.rx_info or ()), event.published_at))
    at = next((time for time in times if time is not None), None)
    if at is not None:
        told.append(at.isoformat())
    else:
        told += [_hexadecimal(rx.uplink_id, 16) for rx in event.rx_info or ()]
    if kind != "up":
        told.append(canonical(event.details(kind)))
    return message_id(*told)
