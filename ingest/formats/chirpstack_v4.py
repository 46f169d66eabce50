"""ChirpStack v4 events as JSON: `application/{application id}/device/{devEui}/event/{kind}`.

Source: chirpstack-docs, integrations/events (9d9b5bb, 2026-07-17) and chirpstack api/proto/integration (d77207c).
The JSON is protobuf JSON: a field that is left out has its zero value; newer servers write the zeros of the event
itself, but never those of nested messages. Both topic parts are configurable, so identity is taken from the payload.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from msgspec import Meta

from ingest import strictjson
from ingest.formats.parsed import Parsed
from ingest.formats.radio import best, count_gateways
from ingest.identity import canonical, message_id
from ingest.times import parse_time, time_flags, usable
from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, DeviceKey, Flag, Message, Observation

FORMAT = "chirpstack-v4-json"
NETWORK_SOURCE = "chirpstack-v4"
TOPIC_FILTER = "application/+/device/+/event/+"
STATUS_CHANNEL = "device-status"
"""Channel of what the device's LoRaWAN stack says of itself (DevStatusAns), apart from what its payload says."""

Counter = Annotated[int, Meta(ge=0, le=2**32 - 1)]
# A gateway clock within this of the event's time gave it (ChirpStack takes over the value unchanged).
_SAME_CLOCK = timedelta(milliseconds=1)


class _Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    pass


class _DeviceInfo(_Part, frozen=True):
    application_id: Annotated[str, Meta(min_length=1, max_length=200)]
    dev_eui: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{16}$")]
    device_profile_name: str = ""
    device_name: str = ""


class _RxInfo(_Part, frozen=True):
    gateway_id: str = ""
    gw_time: Any = None
    time_since_gps_epoch: Any = None
    rssi: float = 0.0  # left out means 0 dBm: nested zeros are never written
    snr: float = 0.0


class _Event(_Part, frozen=True):
    """What all events have. Times are read leniently: a wrong clock does not make a message wrong."""

    kind: ClassVar[str]
    device_info: _DeviceInfo
    time: Any = None
    deduplication_id: str = ""

    def details(self) -> dict[str, object]:
        """The event's own fields, JSON-ready."""
        return {}


class _Up(_Event, frozen=True):
    kind = "up"
    f_cnt: Counter = 0
    f_port: Annotated[int, Meta(ge=0, le=255)] = 0
    data: bytes = b""
    decoded: Any = msgspec.field(default=None, name="object")
    rx_info: tuple[_RxInfo, ...] = ()
    confirmed: bool = False
    dr: Annotated[int, Meta(ge=0, le=255)] = 0

    def details(self) -> dict[str, object]:
        return {"data_rate": self.dr, "confirmed": self.confirmed}


class _Join(_Event, frozen=True):
    kind = "join"
    dev_addr: str = ""

    def details(self) -> dict[str, object]:
        return {"dev_addr": self.dev_addr}


class _Status(_Event, frozen=True):
    kind = "status"
    margin: Annotated[int, Meta(ge=-128, le=255)] = 0
    external_power_source: bool = False
    battery_level_unavailable: bool = False
    battery_level: float = 0.0

    def details(self) -> dict[str, object]:
        return {
            "margin_db": self.margin,
            "external_power_source": self.external_power_source,
            "battery_level_unavailable": self.battery_level_unavailable,
            "battery_pct": self.battery_pct,
        }

    @property
    def battery_pct(self) -> float | None:
        """None where the level is not known. 0 is no level: LoRaWAN's lowest is 1 of 254 (TS001-1.0.4 §5.5)."""
        if self.battery_level_unavailable or self.external_power_source or self.battery_level <= 0:
            return None
        return self.battery_level


class _Log(_Event, frozen=True):
    kind = "log"
    level: str = ""
    code: str = ""
    description: str = ""
    context: dict[str, str] = {}

    def details(self) -> dict[str, object]:
        return {"level": self.level, "code": self.code, "description": self.description, "context": self.context}


class _Ack(_Event, frozen=True):
    kind = "ack"
    queue_item_id: str = ""
    acknowledged: bool = False
    f_cnt_down: Counter = 0

    def details(self) -> dict[str, object]:
        return {
            "queue_item_id": self.queue_item_id,
            "acknowledged": self.acknowledged,
            "f_cnt_down": self.f_cnt_down,
        }


class _TxAck(_Event, frozen=True):
    kind = "txack"
    downlink_id: Counter = 0
    queue_item_id: str = ""
    f_cnt_down: Counter = 0
    gateway_id: str = ""

    def details(self) -> dict[str, object]:
        return {
            "downlink_id": self.downlink_id,
            "queue_item_id": self.queue_item_id,
            "f_cnt_down": self.f_cnt_down,
            "gateway_id": self.gateway_id,
        }


class _Place(_Part, frozen=True):
    latitude: Annotated[float, Meta(ge=-90, le=90)] = 0.0
    longitude: Annotated[float, Meta(ge=-180, le=180)] = 0.0
    altitude: float = 0.0


class _Location(_Event, frozen=True):
    kind = "location"
    location: _Place | None = None

    def details(self) -> dict[str, object]:
        # An empty location means unknown, not a place in the Gulf of Guinea.
        if self.location is None or (self.location.latitude == 0 and self.location.longitude == 0):
            return {"location": None}
        place = self.location
        return {"location": {"lon": place.longitude, "lat": place.latitude, "altitude_m": place.altitude}}


class _Integration(_Event, frozen=True):
    kind = "integration"
    integration_name: str = ""
    event_type: str = ""

    def details(self) -> dict[str, object]:
        return {"integration_name": self.integration_name, "event_type": self.event_type}


_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    event.kind: msgspec.json.Decoder(event)
    for event in (_Up, _Join, _Status, _Log, _Ack, _TxAck, _Location, _Integration)
}
KINDS = tuple(_DECODERS)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])

# Which members tell a kind, in the order in which they are tried: an uplink has a devAddr too, as a join has.
_TELLING: tuple[tuple[str, frozenset[str]], ...] = (
    ("txack", frozenset({"downlinkId"})),
    ("integration", frozenset({"integrationName"})),
    ("ack", frozenset({"acknowledged", "queueItemId"})),
    ("up", frozenset({"rxInfo", "fPort", "fCnt", "data"})),
    ("status", frozenset({"margin", "batteryLevel", "batteryLevelUnavailable"})),
    ("log", frozenset({"level", "code"})),
    ("location", frozenset({"location"})),
    ("join", frozenset({"devAddr"})),
)


def tell_kind(members: Mapping[str, object]) -> str | None:
    """The kind of an event by its members, for events whose topic is lost; None when nothing tells it.

    Examples
    --------
    >>> tell_kind({"deviceInfo": {}, "devAddr": "00189440"})
    'join'
    """
    return next((kind for kind, telling in _TELLING if not telling.isdisjoint(members)), None)


def parse(topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    """One event.

    Raises MessageRejectedError: `chirpstack_protobuf`, `chirpstack_v3`, `unknown_event_kind`, and those of
    `ingest.strictjson.decode`.
    """
    if payload and payload.lstrip()[:1] != b"{":
        if payload[:1] in (b"\x0a", b"\x08"):  # the tag of the first field: a message in protobuf, never in JSON
            raise MessageRejectedError(
                "chirpstack_protobuf",
                "Got a ChirpStack event as protobuf, expected JSON: set json=true in [integration.mqtt] of ChirpStack.",
            )
        raise MessageRejectedError("invalid_json", f"Got first byte 0x{payload[0]:02x}, expected '{{'.")
    kind = topic.rsplit("/", 1)[-1]
    if kind not in _DECODERS:
        members = strictjson.decode(payload, _MEMBERS)
        told = tell_kind(members)
        if told is None:
            raise MessageRejectedError(
                "unknown_event_kind",
                f"Got event {kind[:50]!r} with members that tell no kind, expected one of {', '.join(KINDS)}.",
            )
        kind = told
    try:
        event: _Event = strictjson.decode(payload, _DECODERS[kind])
    except MessageRejectedError as exc:
        if exc.code == "invalid_field" and _is_v3(payload):
            raise MessageRejectedError(
                "chirpstack_v3", "Got an event of ChirpStack v3, expected v4: version 3 is not supported yet."
            ) from None
        raise
    return _to_parsed(event, topic, payload, recorded_at)


def _is_v3(payload: bytes) -> bool:
    members = strictjson.decode(payload, _MEMBERS)
    return "deviceInfo" not in members and not members.keys().isdisjoint({"applicationID", "devEUI"})


def _to_parsed(event: _Event, topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    info = event.device_info
    dev_eui = info.dev_eui.lower()
    stated = parse_time(event.time)
    event_at = stated if usable(stated, recorded_at) else None
    flags = time_flags(event_at, recorded_at) if event_at else Flag.CLOCK
    rx_info = event.rx_info if isinstance(event, _Up) else ()
    observations: tuple[Observation, ...] = ()
    if isinstance(event, _Status) and event.battery_pct is not None:
        at = event_at or recorded_at
        observations = (Observation(STATUS_CHANNEL, "battery_pct", None, at, event.battery_pct, flags),)
    up = event if isinstance(event, _Up) else None
    details = event.details()
    decoded = None
    if up is not None and up.f_port == 0:
        details["not_measured"] = "fPort 0 carries MAC commands only"
    elif up is not None and isinstance(up.decoded, dict) and up.decoded:
        decoded = up.decoded
    message = Message(
        message_id=_message_id(event, dev_eui),
        format=FORMAT,
        event_kind=event.kind,
        topic=topic,
        payload=payload,
        recorded_at=recorded_at,
        event_at=event_at,
        clock=_clock(event_at, rx_info),
        device=DeviceKey(NETWORK_SOURCE, info.application_id, dev_eui),
        dev_eui=dev_eui,
        device_name=info.device_name or None,
        profile_name=info.device_profile_name or None,
        f_cnt=up.f_cnt if up else None,
        f_port=up.f_port if up else None,
        gateway_count=count_gateways(rx.gateway_id for rx in rx_info) if up else None,
        best_rssi_dbm=best(rx.rssi for rx in rx_info),
        best_snr_db=best(rx.snr for rx in rx_info),
        flags=flags,
        observations=observations,
        details=details,
    )
    return Parsed(message, decoded)


def _clock(event_at: datetime | None, rx_info: tuple[_RxInfo, ...]) -> Clock:
    """Whose clock ChirpStack used: GPS time of any gateway, else a gateway's, else its own."""
    if event_at is None:
        return Clock.ARRIVAL
    if any(rx.time_since_gps_epoch for rx in rx_info):
        return Clock.GPS
    gateway_times = (parse_time(rx.gw_time) for rx in rx_info)
    if any(at is not None and abs(at - event_at) < _SAME_CLOCK for at in gateway_times):
        return Clock.GATEWAY
    return Clock.NETWORK_SERVER


def _message_id(event: _Event, dev_eui: str) -> UUID:
    """By deduplicationId and kind: acknowledgements and statuses carry the id of the uplink that brought them.

    Events without one (log, txack) and uplinks of servers that leave it out are told by what they say.
    """
    told: list[str | int | bytes | None] = [NETWORK_SOURCE, event.kind, dev_eui, event.deduplication_id]
    if isinstance(event, _Integration):
        told += [event.integration_name, event.event_type]
    if not event.deduplication_id:
        told += [canonical(event.time), canonical(event.details())]
        if isinstance(event, _Up):
            told += [event.f_cnt, event.f_port, event.data]
    return message_id(*told)
