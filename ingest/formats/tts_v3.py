"""The Things Stack v3 application messages as JSON: `v3/{application}[@{tenant}]/devices/{device id}/{kind}`.

Source: lorawan-stack-docs (a189a52, 2026-04-14), "MQTT" and "Data formats". Empty values (0, false, "") are left out.
Which kind a message is, stands in its members; the topic adds the tenant. The server speaks QoS 0 only: what is sent
while we are away is lost unless it is fetched again from the storage integration, which wraps each message in a
`result` and leaves out its correlation ids and session key id; read here, both are the same message.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from ingest import strictjson
from ingest.formats.about import FormatAbout
from ingest.formats.parsed import Parsed
from ingest.formats.radio import MOST_RECEPTIONS, best_rssi, best_snr, count_gateways, plausible
from ingest.identity import canonical, message_id
from ingest.times import parse_time, skew_s, time_flags, usable
from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, DeviceKey, Flag, Message, Reception

FORMAT = "tts-v3-json"
NETWORK_SOURCE = "tts-v3"
TOPIC_FILTER = "v3/+/devices/+/#"

KINDS_OF_MEMBERS: Mapping[str, str] = {
    "join_accept": "join",
    "downlink_queued": "down/queued",
    "downlink_sent": "down/sent",
    "downlink_ack": "down/ack",
    "downlink_nack": "down/nack",
    "downlink_failed": "down/failed",
    "downlink_queue_invalidated": "down/queue/invalidated",
    "location_solved": "location/solved",
    "service_data": "service/data",
}
"""Member → event kind, as the last parts of the topic say it; uplinks apart."""
KINDS = ("up", "up/normalized", *KINDS_OF_MEMBERS.values())

ABOUT = FormatAbout(
    name=FORMAT,
    title="The Things Stack v3",
    network_source=NETWORK_SOURCE,
    encoding='JSON; also as stored, wrapped in `{"result": …}`',
    topics=("v3/{application}[@{tenant}]/devices/{device id}/{kind}",),
    event_kinds=KINDS,
    time_rule="`uplink_message.received_at` of the network server, else `received_at` of the application server, else "
    "the "
    "`time` of a gateway. A zero time (year 1) is none. The clock skew of each gateway is kept with its reception.",
    identity="The application of `end_device_ids` with the tenant of the topic (`app@tenant`), and the device id. "
    "`dev_eui` is kept where there is one: devices without join have none.",
    message_id="By kind, application, device, counter, port, payload and `uplink_message.received_at`; never by "
    "correlation ids and session key ids, which stored messages lack. Simulated uplinks, whose "
    "times "
    "are zero, also by the outer `received_at`.",
    measures="`decoded_payload` if an operator registered a profile for the device; else `normalized_payload`, "
    "element by "
    "element with its own `time`; else `decoded_payload` by the profile `brand_id/model_id` of `version_ids`; else "
    "`frm_payload` by our codec of that profile. Nothing from simulated uplinks, on port 0, or while encrypted.",
    reject_codes={"unknown_event_kind": "None of the members of an application message is there."},
    notes=(
        "The server speaks QoS 0 only and keeps no session: what it sends while we are away is lost.",
        "Empty values are left out: no `f_cnt` is 0, no `rssi` is 0 dBm.",
    ),
)

Id = Annotated[str, Meta(min_length=1, max_length=200)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    pass


class _ApplicationIds(_Part, frozen=True):
    application_id: Id


class _EndDeviceIds(_Part, frozen=True):
    device_id: Id
    application_ids: _ApplicationIds
    dev_eui: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{16}$")] | None = None  # devices without join have none
    dev_addr: str = ""


class _GatewayIds(_Part, frozen=True):
    gateway_id: str = ""
    eui: str = ""


class _PacketBroker(_Part, frozen=True):
    forwarder_gateway_eui: str = ""


class _RxMetadata(_Part, frozen=True):
    gateway_ids: _GatewayIds = _GatewayIds()
    packet_broker: _PacketBroker | None = None  # then gateway_ids names the packet broker, whoever heard the device
    time: Any = None
    rssi: float = 0.0
    snr: float = 0.0

    @property
    def gateway_id(self) -> str:
        """The gateway's EUI where it is told, else its id."""
        forwarder = self.packet_broker.forwarder_gateway_eui if self.packet_broker else ""
        return forwarder or self.gateway_ids.eui or self.gateway_ids.gateway_id


class _VersionIds(_Part, frozen=True):
    brand_id: str = ""
    model_id: str = ""


class _Uplink(_Part, frozen=True):
    session_key_id: str = ""
    f_port: Annotated[int, Meta(ge=0, le=255)] = 0
    f_cnt: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    frm_payload: bytes = b""
    decoded_payload: Any = None
    normalized_payload: Any = None
    rx_metadata: Annotated[tuple[_RxMetadata, ...], Meta(max_length=MOST_RECEPTIONS)] = ()
    received_at: Any = None
    confirmed: bool = False
    version_ids: _VersionIds = _VersionIds()
    app_s_key: Any = None  # there if the server does not decrypt: frm_payload is then still encrypted


class _ApplicationUp(_Part, frozen=True):
    end_device_ids: _EndDeviceIds
    received_at: Any = None
    simulated: bool = False
    uplink_message: _Uplink | None = None
    uplink_normalized: _Uplink | None = None
    join_accept: dict[str, Any] | None = None
    downlink_queued: dict[str, Any] | None = None
    downlink_sent: dict[str, Any] | None = None
    downlink_ack: dict[str, Any] | None = None
    downlink_nack: dict[str, Any] | None = None
    downlink_failed: dict[str, Any] | None = None
    downlink_queue_invalidated: dict[str, Any] | None = None
    location_solved: dict[str, Any] | None = None
    service_data: dict[str, Any] | None = None


# What other events tell of themselves; keys of sessions and correlation ids are not kept outside the raw message.
_TOLD = ("session_key_id", "f_port", "f_cnt", "confirmed", "priority", "service", "location", "error", "received_at")


def parse(topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    """One message.

    Raises MessageRejectedError: `unknown_event_kind`, and those of `ingest.strictjson.decode`.
    """
    members = strictjson.read(payload)
    if isinstance(members, dict) and "end_device_ids" not in members and isinstance(members.get("result"), dict):
        members = members["result"]
    up = strictjson.convert(members, _ApplicationUp)
    device = DeviceKey(NETWORK_SOURCE, _application(topic, up), up.end_device_ids.device_id)
    if up.uplink_message is not None:
        return _uplink("up", up, up.uplink_message, device, topic, payload, recorded_at)
    if up.uplink_normalized is not None:
        return _uplink("up/normalized", up, up.uplink_normalized, device, topic, payload, recorded_at)
    for member, kind in KINDS_OF_MEMBERS.items():
        body = getattr(up, member)
        if body is not None:
            return _other(kind, up, body, device, topic, payload, recorded_at)
    raise MessageRejectedError(
        "unknown_event_kind",
        f"Got a message without uplink_message, join_accept or another event, expected one of {', '.join(KINDS)}.",
    )


def _application(topic: str, up: _ApplicationUp) -> str:
    """`app@tenant` as in the topic; the application is the payload's, the tenant only the topic knows for certain."""
    application = up.end_device_ids.application_ids.application_id
    parts = topic.split("/")
    tenant = parts[1].partition("@")[2] if len(parts) > 1 else ""
    return f"{application}@{tenant}" if tenant else application


def _envelope(
    kind: str,
    up: _ApplicationUp,
    device: DeviceKey,
    topic: str,
    payload: bytes,
    recorded_at: datetime,
    uplink_time: object,
) -> dict[str, Any]:
    """What messages of all kinds have. The network server's time comes first: it is in live and in stored messages."""
    network, application = parse_time(uplink_time), parse_time(up.received_at)
    event_at, clock = None, Clock.ARRIVAL
    if usable(network, recorded_at):
        event_at, clock = network, Clock.NETWORK_SERVER
    elif usable(application, recorded_at):
        event_at, clock = application, Clock.APPLICATION_SERVER
    dev_eui = up.end_device_ids.dev_eui
    return {
        "format": FORMAT,
        "event_kind": kind,
        "topic": topic,
        "payload": payload,
        "recorded_at": recorded_at,
        "event_at": event_at,
        "clock": clock,
        "device": device,
        "dev_eui": dev_eui.lower() if dev_eui else None,
        "device_name": device.device,
        "flags": time_flags(event_at, recorded_at) if event_at else Flag.CLOCK,
    }


def _uplink(
    kind: str,
    up: _ApplicationUp,
    uplink: _Uplink,
    device: DeviceKey,
    topic: str,
    payload: bytes,
    recorded_at: datetime,
) -> Parsed:
    envelope = _envelope(kind, up, device, topic, payload, recorded_at, uplink.received_at)
    if envelope["event_at"] is None:
        _take_gateway_time(envelope, uplink, recorded_at)
    version = uplink.version_ids
    received_at = parse_time(uplink.received_at)
    at_server = received_at if usable(received_at, recorded_at) else None
    receptions = tuple(_reception(rx, at_server) for rx in uplink.rx_metadata)
    details: dict[str, object] = {"confirmed": uplink.confirmed}
    if up.simulated:
        details |= {"simulated": True, "not_measured": "a simulated uplink is no measurement"}
    message = Message(
        message_id=_uplink_id(kind, up, uplink, device),
        profile_name=f"{version.brand_id}/{version.model_id}" if version.brand_id and version.model_id else None,
        f_cnt=uplink.f_cnt,
        f_port=uplink.f_port,
        gateway_count=count_gateways(receptions),
        best_rssi_dbm=best_rssi(receptions),
        best_snr_db=best_snr(receptions),
        receptions=receptions,
        details=details,
        **envelope,
    )
    if up.simulated:
        return Parsed(message)
    decoded = uplink.decoded_payload if isinstance(uplink.decoded_payload, dict) else None
    normalized = uplink.normalized_payload
    if isinstance(normalized, dict):  # up/normalized carries one measurement a message
        normalized = [normalized]
    elements = normalized if isinstance(normalized, list) else []
    frame = b"" if uplink.f_port == 0 or uplink.app_s_key is not None or kind != "up" else uplink.frm_payload
    return Parsed(message, decoded or None, tuple(e for e in elements if isinstance(e, dict) and e), frame)


def _reception(rx: _RxMetadata, received_at: datetime | None) -> Reception:
    skew = skew_s(parse_time(rx.time), received_at)
    return Reception(rx.gateway_id, plausible(rx.rssi), plausible(rx.snr), skew)


def _take_gateway_time(envelope: dict[str, Any], uplink: _Uplink, recorded_at: datetime) -> None:
    """Without a server's time, that of a gateway is the next best; it may be wrong, and says so by its clock."""
    for metadata in uplink.rx_metadata:
        at = parse_time(metadata.time)
        if at is not None and usable(at, recorded_at):
            envelope |= {"event_at": at, "clock": Clock.GATEWAY, "flags": time_flags(at, recorded_at)}
            return


def _uplink_id(kind: str, up: _ApplicationUp, uplink: _Uplink, device: DeviceKey) -> UUID:
    """The natural key: what live and stored messages both have.

    Stored ones come without correlation ids, and from the network's own clusters without session key id.
    """
    told: list[str | int | bytes | None] = [NETWORK_SOURCE, kind, device.application, device.device]
    told += [uplink.f_cnt, uplink.f_port, uplink.frm_payload, canonical(uplink.received_at)]
    at = parse_time(uplink.received_at)
    if at is None or at.year == 1:  # no time or the zero time: simulated uplinks would all be the same one
        told.append(canonical(up.received_at))
    if kind != "up":
        told.append(canonical(uplink.normalized_payload))
    return message_id(*told)


def _other(
    kind: str,
    up: _ApplicationUp,
    body: dict[str, Any],
    device: DeviceKey,
    topic: str,
    payload: bytes,
    recorded_at: datetime,
) -> Parsed:
    envelope = _envelope(kind, up, device, topic, payload, recorded_at, body.get("received_at"))
    told = {key: value for key, value in body.items() if key != "correlation_ids"}
    message = Message(
        message_id=message_id(
            NETWORK_SOURCE, kind, device.application, device.device, canonical(up.received_at), canonical(told)
        ),
        details={key: body[key] for key in _TOLD if key in body},
        **envelope,
    )
    return Parsed(message)
