"""Uplinks written as network servers write them: for simulators, examples and tests that read back what was written.

The other direction of the parsers here. Events of other kinds are encoded from the members of their JSON:
`chirpstack_v4_protobuf.encode`, or as JSON by any encoder.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from ingest.formats import chirpstack_v4_protobuf


@dataclass(frozen=True, slots=True)
class Hearing:
    """One gateway that heard an uplink: signal [dBm], signal-to-noise ratio [dB], its own clock if it has one."""

    gateway_id: str
    rssi_dbm: int
    snr_db: float
    gateway_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UplinkContent:
    """An uplink, whatever network server tells of it. `received_at` is the server's time (UTC).

    `uplink_id` is ChirpStack's deduplication id; `dev_eui` is 16 hexadecimal digits. `device_profile` is the name under
    which the server knows the device kind; for The Things Stack it is `brand/model`.
    """

    application: str
    device: str
    dev_eui: str
    uplink_id: str
    received_at: datetime
    f_cnt: int
    f_port: int
    payload: bytes
    device_profile: str = ""
    decoded: Mapping[str, object] | None = None
    heard: tuple[Hearing, ...] = ()


def chirpstack_v4_event(content: UplinkContent) -> dict[str, object]:
    """The members of ChirpStack v4's `up` event."""
    event: dict[str, object] = {
        "deduplicationId": content.uplink_id,
        "time": _rfc3339(content.received_at),
        "deviceInfo": {
            "applicationId": content.application,
            "deviceProfileName": content.device_profile,
            "deviceName": content.device,
            "devEui": content.dev_eui,
        },
        "fCnt": content.f_cnt,
        "fPort": content.f_port,
        "data": base64.b64encode(content.payload).decode(),
        "rxInfo": [
            {
                "gatewayId": heard.gateway_id,
                "nsTime": _rfc3339(content.received_at),
                "rssi": heard.rssi_dbm,
                "snr": heard.snr_db,
                **({"gwTime": _rfc3339(heard.gateway_at)} if heard.gateway_at else {}),
            }
            for heard in content.heard
        ],
    }
    return event if content.decoded is None else event | {"object": dict(content.decoded)}


def chirpstack_v4_topic(content: UplinkContent) -> str:
    """Where ChirpStack v4 publishes the uplink."""
    return f"application/{content.application}/device/{content.dev_eui}/event/up"


def chirpstack_v4_json(content: UplinkContent) -> tuple[str, bytes]:
    """Topic and payload of ChirpStack v4 with `json=true`."""
    return chirpstack_v4_topic(content), msgspec.json.encode(chirpstack_v4_event(content))


def chirpstack_v4_protobuf_uplink(content: UplinkContent) -> tuple[str, bytes]:
    """Topic and payload of ChirpStack v4 with `json=false`."""
    return chirpstack_v4_topic(content), chirpstack_v4_protobuf.encode("up", chirpstack_v4_event(content))


def tts_v3_json(content: UplinkContent, tenant: str = "") -> tuple[str, bytes]:
    """Topic and payload of The Things Stack v3; empty values are left out as it does."""
    brand, _, model = content.device_profile.partition("/")
    received_at = _rfc3339(content.received_at)
    uplink: dict[str, object] = {
        "session_key_id": base64.b64encode(content.uplink_id.encode()[:16]).decode(),
        "f_port": content.f_port,
        "f_cnt": content.f_cnt,
        "frm_payload": base64.b64encode(content.payload).decode(),
        "decoded_payload": dict(content.decoded) if content.decoded is not None else None,
        "rx_metadata": [
            {
                "gateway_ids": {"gateway_id": heard.gateway_id},
                "rssi": heard.rssi_dbm,
                "snr": heard.snr_db,
                **({"time": _rfc3339(heard.gateway_at)} if heard.gateway_at else {}),
            }
            for heard in content.heard
        ],
        "received_at": received_at,
        "version_ids": {"brand_id": brand, "model_id": model} if model else None,
    }
    message = {
        "end_device_ids": {
            "device_id": content.device,
            "application_ids": {"application_id": content.application},
            "dev_eui": content.dev_eui.upper(),
        },
        "received_at": received_at,
        "uplink_message": {name: value for name, value in uplink.items() if value or isinstance(value, dict)},
    }
    application = f"{content.application}@{tenant}" if tenant else content.application
    return f"v3/{application}/devices/{content.device}/up", msgspec.json.encode(message)


def _rfc3339(at: datetime) -> str:
    return at.isoformat()
