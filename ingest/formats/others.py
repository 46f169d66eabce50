"""Messages of other network servers and of gateways: not read, but refused by their name.

An operator who pointed the wrong output at our broker should read which one it is, and not that a member is missing.
Asked only about a message that is refused anyway, so that it costs good messages nothing.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

Members = Mapping[str, object]

_MAX_BYTES = 262_144
_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OURS = frozenset({"deviceInfo", "end_device_ids", "applicationID", "event_id", "bn", "n"})
_GATEWAY_TOPIC = re.compile(
    r"(?:[^/]+/)?gateway/[0-9a-fA-F]{16}/(?:event/(?:up|stats|ack|exec|raw|mesh)|state/\w+)", re.ASCII
)
_MULTITECH_TOPIC = re.compile(r"(?:lora/[0-9a-f-]{23}|lorawan/[^/]+/[^/]+/[0-9a-f-]{16,23})/\w+", re.ASCII)
_SEMTECH_HEADER_BYTES = 12
_BASICS_STATION_TYPES = frozenset(
    {b'"updf"', b'"jreq"', b'"propdf"', b'"dntxed"', b'"version"', b'"router_config"', b'"timesync"'}
)

NAMES: dict[str, str] = {
    "unsupported_actility": "Actility ThingPark",
    "unsupported_loriot": "LORIOT",
    "unsupported_helium": "the Helium console",
    "unsupported_multitech": "a MultiTech Conduit gateway",
    "unsupported_milesight_gateway": "the network server of a Milesight gateway",
    "unsupported_ttn_v2": "The Things Network v2",
    "unsupported_chirpstack_gateway": "a ChirpStack gateway bridge or MQTT forwarder, still encrypted",
    "unsupported_basics_station": "a gateway with LoRa Basics Station, still encrypted",
    "unsupported_semtech_udp": "a gateway with Semtech's UDP packet forwarder, still encrypted",
}
"""Reject codes and whose message it is."""

# In this order, the first that holds tells the sender.
_BY_MEMBERS: tuple[tuple[str, Callable[[Members], bool]], ...] = (
    ("unsupported_actility", lambda m: any(name.startswith("DevEUI_") for name in m)),
    ("unsupported_loriot", lambda m: "cmd" in m and "EUI" in m),
    ("unsupported_semtech_udp", lambda m: bool({"rxpk", "txpk", "stat"} & m.keys()) and "deveui" not in m),
    ("unsupported_basics_station", lambda m: bytes(_raw(m.get("msgtype"))) in _BASICS_STATION_TYPES),
    ("unsupported_helium", lambda m: "hotspots" in m or {"app_eui", "dev_eui", "reported_at"} <= m.keys()),
    ("unsupported_multitech", lambda m: "deveui" in m and bool({"appeui", "gweui", "mhdr", "data"} & m.keys())),
    ("unsupported_milesight_gateway", lambda m: "devEUI" in m and bool({"payloadBase64", "payloadHex"} & m.keys())),
    ("unsupported_ttn_v2", lambda m: {"app_id", "dev_id"} <= m.keys() and bool({"counter", "payload_raw"} & m.keys())),
    (
        "unsupported_chirpstack_gateway",
        lambda m: (
            "phyPayload" in m
            or ("gatewayId" in m and bool({"rxPacketsReceived", "items", "txPacketsEmitted", "execId"} & m.keys()))
        ),
    ),
)


def recognise(topic: str, payload: bytes) -> str | None:
    """The reject code of the server or gateway whose message this is; None when it is none that we know.

    Examples
    --------
    >>> recognise("lora", b'{"cmd": "rx", "EUI": "0102030405060708", "fcnt": 1, "port": 1, "data": "01"}')
    'unsupported_loriot'
    """
    if len(payload) > _MAX_BYTES:
        return None
    if _GATEWAY_TOPIC.fullmatch(topic):
        return "unsupported_chirpstack_gateway"
    if payload[:1] in (b"\x01", b"\x02") and payload[3:4] == b"\x00":  # version, token, PUSH_DATA, EUI, JSON
        payload = payload[_SEMTECH_HEADER_BYTES:]
    try:
        members = _DECODER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        members = {}
    if not _OURS.isdisjoint(members):
        return "unsupported_milesight_gateway" if _is_milesight(members) else None
    told = next((code for code, holds in _BY_MEMBERS if holds(members)), None)
    if told is None and _MULTITECH_TOPIC.fullmatch(topic):
        return "unsupported_multitech"
    return told


def reason(code: str) -> str:
    """The sentence that goes with a code of `recognise`."""
    return f"Got a message of {NAMES[code]}, which is not supported: expected one of ChirpStack or The Things Stack."


def _is_milesight(members: Members) -> bool:
    """A Milesight gateway names applications as ChirpStack v3 does, but has the payload under names of its own."""
    return "deviceInfo" not in members and bool({"payloadBase64", "payloadHex"} & members.keys())


def _raw(value: object) -> bytes:
    return bytes(value) if isinstance(value, msgspec.Raw) else b""
