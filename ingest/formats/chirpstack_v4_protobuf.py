"""ChirpStack v4 events as protobuf, on the same topics as JSON (`json=false` in `[integration.mqtt]`).

The field numbers are those of ChirpStack's integration, gw and common messages (chirpstack-api 4.20; IntegrationEvent,
which later versions dropped, of 4.0). An event becomes the members that its JSON would have, and from there on is read
by `chirpstack_v4`: both encodings of one event give equal envelopes but for `format` and `payload`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from ingest import strictjson
from ingest.formats import chirpstack_v4, protobuf
from ingest.formats.about import FormatAbout
from ingest.formats.chirpstack_v4_events import EVENTS, KINDS, tell_kind
from ingest.formats.parsed import Parsed
from roadtwin.errors import MessageRejectedError

FORMAT = "chirpstack-v4-protobuf"
NETWORK_SOURCE = chirpstack_v4.NETWORK_SOURCE

ABOUT = FormatAbout(
    name=FORMAT,
    title="ChirpStack v4, protobuf",
    network_source=NETWORK_SOURCE,
    encoding="protobuf (`json=false` in `[integration.mqtt]`), told from JSON by the first byte",
    topics=chirpstack_v4.ABOUT.topics,
    event_kinds=KINDS,
    time_rule=chirpstack_v4.ABOUT.time_rule,
    identity=chirpstack_v4.ABOUT.identity,
    message_id=chirpstack_v4.ABOUT.message_id + " The same as that of the event's JSON.",
    measures=chirpstack_v4.ABOUT.measures,
    reject_codes={
        "invalid_protobuf": "The bytes are no protobuf message of the kind that the topic names.",
        "unknown_event_kind": "The topic names no kind, and no kind's message fits the bytes completely.",
    },
    notes=(
        "JSON and protobuf may alternate on one topic, as they do while a server's configuration is changed.",
        "Numbers of 32 bits become the decimal that JSON has for them; one that is not finite is refused as in JSON.",
    ),
)

_MESSAGES = protobuf.build(
    "roadtwin.chirpstack.v4",
    {
        "DeviceInfo": "1 tenant_id string, 2 tenant_name string, 3 application_id string, 4 application_name string, "
        "5 device_profile_id string, 6 device_profile_name string, 7 device_name string, 8 dev_eui string, 9 tags map, "
        "10 device_class_enabled DeviceClass",
        "UplinkRelayRxInfo": "1 dev_eui string, 2 frequency uint32, 3 dr uint32, 4 snr int32, 5 rssi int32, "
        "6 wor_channel uint32",
        "Location": "1 latitude double, 2 longitude double, 3 altitude double, 4 source LocationSource, 5 accuracy "
        "float",
        "UplinkRxInfo": "1 gateway_id string, 2 uplink_id uint32, 3 gw_time Timestamp, 4 time_since_gps_epoch "
        "Duration, "
        "5 fine_time_since_gps_epoch Duration, 6 rssi int32, 7 snr float, 8 channel uint32, 9 rf_chain uint32, "
        "10 board uint32, 11 antenna uint32, 12 location Location, 13 context bytes, 15 metadata map, "
        "16 crc_status CRCStatus, 17 ns_time Timestamp",
        "LoraModulationInfo": "1 bandwidth uint32, 2 spreading_factor uint32, 3 code_rate_legacy string, "
        "4 polarization_inversion bool, 5 code_rate CodeRate, 6 preamble uint32, 7 no_crc bool",
        "FskModulationInfo": "1 frequency_deviation uint32, 2 datarate uint32",
        "LrFhssModulationInfo": "1 operating_channel_width uint32, 2 code_rate_legacy string, 3 grid_steps uint32, "
        "4 code_rate CodeRate",
        "Modulation": "3 lora LoraModulationInfo, 4 fsk FskModulationInfo, 5 lr_fhss LrFhssModulationInfo",
        "UplinkTxInfo": "1 frequency uint32, 2 modulation Modulation",
        "Nothing": "15 nothing bool",
        "DelayTimingInfo": "1 delay Duration",
        "GPSEpochTimingInfo": "1 time_since_gps_epoch Duration",
        "Timing": "1 immediately Nothing, 2 delay DelayTimingInfo, 3 gps_epoch GPSEpochTimingInfo",
        "DownlinkTxInfo": "1 frequency uint32, 2 power int32, 3 modulation Modulation, 4 board uint32, "
        "5 antenna uint32, 6 timing Timing, 7 context bytes",
        "KeyEnvelope": "1 kek_label string, 2 aes_key bytes",
        "JoinServerContext": "1 session_key_id string, 2 app_s_key=appSKey KeyEnvelope",
        "UplinkEvent": "1 deduplication_id string, 2 time Timestamp, 3 device_info DeviceInfo, 4 dev_addr string, "
        "5 adr bool, 6 dr uint32, 7 f_cnt uint32, 8 f_port uint32, 9 confirmed bool, 10 data bytes, 11 object Struct, "
        "12 rx_info UplinkRxInfo*, 13 tx_info UplinkTxInfo, 14 relay_rx_info UplinkRelayRxInfo, "
        "15 join_server_context JoinServerContext, 16 region_config_id string",
        "JoinEvent": "1 deduplication_id string, 2 time Timestamp, 3 device_info DeviceInfo, 4 dev_addr string, "
        "5 relay_rx_info UplinkRelayRxInfo, 6 join_server_context JoinServerContext, 7 region_config_id string",
        "AckEvent": "1 deduplication_id string, 2 time Timestamp, 3 device_info DeviceInfo, 4 queue_item_id string, "
        "5 acknowledged bool, 6 f_cnt_down uint32",
        "TxAckEvent": "1 downlink_id uint32, 2 time Timestamp, 3 device_info DeviceInfo, 4 queue_item_id string, "
        "5 f_cnt_down uint32, 6 gateway_id string, 7 tx_info DownlinkTxInfo",
        "LogEvent": "1 time Timestamp, 2 device_info DeviceInfo, 3 level LogLevel, 4 code LogCode, 5 description "
        "string, "
        "6 context map",
        "StatusEvent": "1 deduplication_id string, 2 time Timestamp, 3 device_info DeviceInfo, 5 margin int32, "
        "6 external_power_source bool, 7 battery_level_unavailable bool, 8 battery_level float",
        "LocationEvent": "1 deduplication_id string, 2 time Timestamp, 3 device_info DeviceInfo, 4 location Location",
        "IntegrationEvent": "1 deduplication_id string, 2 time Timestamp, 3 device_info DeviceInfo, "
        "4 integration_name string, 5 event_type string, 6 object Struct",
    },
    {
        "DeviceClass": ("CLASS_A", "CLASS_B", "CLASS_C"),
        "LocationSource": (
            "UNKNOWN", "GPS", "CONFIG", "GEO_RESOLVER_TDOA", "GEO_RESOLVER_RSSI", "GEO_RESOLVER_GNSS",
            "GEO_RESOLVER_WIFI",
        ),
        "CRCStatus": ("NO_CRC", "BAD_CRC", "CRC_OK"),
        "CodeRate": (
            "CR_UNDEFINED", "CR_4_5", "CR_4_6", "CR_4_7", "CR_4_8", "CR_3_8", "CR_2_6", "CR_1_4", "CR_1_6", "CR_5_6",
            "CR_LI_4_5", "CR_LI_4_6", "CR_LI_4_8",
        ),
        "LogLevel": ("INFO", "WARNING", "ERROR"),
        "LogCode": (
            "UNKNOWN", "DOWNLINK_PAYLOAD_SIZE", "UPLINK_CODEC", "DOWNLINK_CODEC", "OTAA", "UPLINK_F_CNT_RESET",
            "UPLINK_MIC", "UPLINK_F_CNT_RETRANSMISSION", "DOWNLINK_GATEWAY", "RELAY_NEW_END_DEVICE", "F_CNT_DOWN",
            "EXPIRED",
        ),
    },
)  # fmt: skip

_EVENT_CLASSES: dict[str, Callable[[], Message]] = {
    "up": _MESSAGES["UplinkEvent"],
    "join": _MESSAGES["JoinEvent"],
    "status": _MESSAGES["StatusEvent"],
    "log": _MESSAGES["LogEvent"],
    "ack": _MESSAGES["AckEvent"],
    "txack": _MESSAGES["TxAckEvent"],
    "location": _MESSAGES["LocationEvent"],
    "integration": _MESSAGES["IntegrationEvent"],
}  # fmt: skip

# Fields that nothing of ours reads are not turned into members: it would only cost time.
_UNREAD = frozenset(
    {"tenant_id", "tenant_name", "application_name", "device_profile_id", "tags", "device_class_enabled", "tx_info",
     "relay_rx_info", "fine_time_since_gps_epoch", "metadata", "source", "accuracy", "crc_status",
     "region_config_id", "uplink_id", "channel", "rf_chain", "board", "antenna", "adr"}
)  # fmt: skip
_READER = protobuf.Reader(_UNREAD)


def parse(topic: str, payload: bytes, recorded_at: datetime) -> Parsed:
    """One event.

    Raises MessageRejectedError: `invalid_protobuf`, `unknown_event_kind`, `invalid_field`, `nul_character`.
    """
    kind = topic.rsplit("/", 1)[-1]
    if kind in EVENTS:
        message = protobuf.parse(_EVENT_CLASSES[kind], payload)
        if message is None:
            raise MessageRejectedError("invalid_protobuf", f"Got bytes that are no ChirpStack v4 {kind} event.")
        members = _READER.members(message)
    else:
        kind, members = _tell(kind, payload)
    return chirpstack_v4.to_parsed(strictjson.convert(members, EVENTS[kind]), FORMAT, topic, payload, recorded_at)


def message_of(topic: str, payload: bytes) -> Message | None:
    """The event as protobuf's own message, of the kind that the topic or else its content tells; None for none."""
    kind = topic.rsplit("/", 1)[-1]
    if kind not in EVENTS:
        kind = next((fitting for fitting, _ in _fitting(payload)), "")
    return protobuf.parse(_EVENT_CLASSES[kind], payload) if kind else None


def is_txack(payload: bytes) -> bool:
    """Whether these bytes are a txack, the one event that begins with a number as all events of v3 do."""
    message: Any = protobuf.parse(_EVENT_CLASSES["txack"], payload)
    return message is not None and len(message.device_info.dev_eui) == 16


def is_event(payload: bytes) -> bool:
    """Whether these bytes are, completely, an event of some kind."""
    return any(kind for kind, _ in _fitting(payload))


def _tell(named: str, payload: bytes) -> tuple[str, dict[str, object]]:
    fitting = _fitting(payload)
    if not fitting:
        raise MessageRejectedError(
            "unknown_event_kind",
            f"Got event {named[:50]!r} with bytes that are none of the messages of {', '.join(KINDS)}.",
        )
    return fitting[0]


def _fitting(payload: bytes) -> list[tuple[str, dict[str, object]]]:
    """The kinds that hold these bytes without a field unknown to them, name a device and are told by a member."""
    found = []
    for kind, message_class in _EVENT_CLASSES.items():
        message = protobuf.parse(message_class, payload)
        if message is None or not protobuf.is_known(message):
            continue
        members = _READER.members(message)
        info = members.get("deviceInfo")
        if isinstance(info, dict) and "devEui" in info and tell_kind(members) == kind and _plausible(kind, members):
            found.append((kind, members))
    return found


def _plausible(kind: str, members: Mapping[str, object]) -> bool:
    """Joins, acknowledgements and integration events differ in what the text of one and the same field is."""
    if kind == "join":
        return len(str(members["devAddr"])) == 8
    return kind != "ack" or len(str(members.get("queueItemId", ""))) in (0, 36)


def encode(kind: str, event: Mapping[str, object]) -> bytes:
    """An event, given as the members of its JSON, as protobuf; `kind` as in topics.

    Raises `google.protobuf.json_format.ParseError` for members that no such event has.

    Examples
    --------
    >>> encode("up", {"deviceInfo": {"devEui": "70b3d57ed0051234"}, "fPort": 2}).hex()
    '1a124210373062336435376564303035313233344002'
    """
    message = _EVENT_CLASSES[kind]()
    json_format.ParseDict(dict(event), message)
    return bytes(message.SerializeToString(deterministic=True))
