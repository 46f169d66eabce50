"""The events of ChirpStack v4, as typed members.

Source: chirpstack-docs, integrations/events (9d9b5bb, 2026-07-17) and chirpstack api/proto/integration (d77207c).
A member that is left out has its zero value: newer servers write the zeros of the event itself, but never those of
nested messages. What an event of ours does not read is not named here.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from ingest.formats.radio import MOST_RECEPTIONS

Counter = Annotated[int, Meta(ge=0, le=2**32 - 1)]


class Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True, gc=False):
    """A nested message."""


class DeviceInfo(Part, frozen=True):
    """Which device, by names and ids of the network server."""

    application_id: Annotated[str, Meta(min_length=1, max_length=200)]
    dev_eui: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{16}$")]
    device_profile_name: str = ""
    device_name: str = ""


class RxInfo(Part, frozen=True):
    """One reception. `ns_time` is when the network server got it from the gateway."""

    gateway_id: str = ""
    gw_time: Any = None
    ns_time: Any = None
    time_since_gps_epoch: Any = None
    rssi: float = 0.0  # left out means 0 dBm: nested zeros are never written
    snr: float = 0.0


class Event(Part, frozen=True):
    """What all events have. Times are read leniently: a wrong clock does not make a message wrong."""

    kind: ClassVar[str]
    device_info: DeviceInfo
    time: Any = None
    deduplication_id: str = ""

    def details(self) -> dict[str, object]:
        """The event's own fields, JSON-ready."""
        return {}


class Up(Event, frozen=True):
    """An uplink. With a `join_server_context`, `data` is still encrypted: the server has no application key."""

    kind = "up"
    f_cnt: Counter = 0
    f_port: Annotated[int, Meta(ge=0, le=255)] = 0
    data: bytes = b""
    decoded: Any = msgspec.field(default=None, name="object")
    rx_info: Annotated[tuple[RxInfo, ...], Meta(max_length=MOST_RECEPTIONS)] = ()
    confirmed: bool = False
    dr: Annotated[int, Meta(ge=0, le=255)] = 0
    join_server_context: Any = None

    def details(self) -> dict[str, object]:
        return {"data_rate": self.dr, "confirmed": self.confirmed}


class Join(Event, frozen=True):
    """A device joined and may send now."""

    kind = "join"
    dev_addr: str = ""

    def details(self) -> dict[str, object]:
        return {"dev_addr": self.dev_addr}


class Status(Event, frozen=True):
    """What the device's LoRaWAN stack says of itself (DevStatusAns)."""

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


class Log(Event, frozen=True):
    """What the network server found wrong with the device: counters, keys, codecs."""

    kind = "log"
    level: str = ""
    code: str = ""
    description: str = ""
    context: dict[str, str] = {}

    def details(self) -> dict[str, object]:
        return {"level": self.level, "code": self.code, "description": self.description, "context": self.context}


class Ack(Event, frozen=True):
    """The device acknowledged a confirmed downlink, or did not."""

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


class TxAck(Event, frozen=True):
    """A gateway took a downlink for sending."""

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


class Place(Part, frozen=True):
    """WGS 84, altitude [m]."""

    latitude: Annotated[float, Meta(ge=-90, le=90)] = 0.0
    longitude: Annotated[float, Meta(ge=-180, le=180)] = 0.0
    altitude: float = 0.0

    def details(self) -> dict[str, object] | None:
        """JSON-ready; None for zeros, which mean unknown and no place in the Gulf of Guinea."""
        if self.latitude == 0 and self.longitude == 0:
            return None
        return {"lon": self.longitude, "lat": self.latitude, "altitude_m": self.altitude}


class Location(Event, frozen=True):
    """Where the network server found the device to be."""

    kind = "location"
    location: Place | None = None

    def details(self) -> dict[str, object]:
        return {"location": self.location.details() if self.location else None}


class Integration(Event, frozen=True):
    """An event of another integration of the server."""

    kind = "integration"
    integration_name: str = ""
    event_type: str = ""

    def details(self) -> dict[str, object]:
        return {"integration_name": self.integration_name, "event_type": self.event_type}


EVENTS: dict[str, type[Event]] = {
    event.kind: event for event in (Up, Join, Status, Log, Ack, TxAck, Location, Integration)
}
KINDS = tuple(EVENTS)

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
