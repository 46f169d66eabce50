"""Messages made up for the tests, and a decoder for them."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ingest.decode import Decoder
from ingest.profile import load_profiles
from ingest.pseudonyms import Pseudonyms
from roadtwin.types import DeviceKey

NOW = datetime(2026, 3, 10, 12, 0, 0, tzinfo=UTC)
APPLICATION = "8d3f2c10-5a77-4a50-9f64-0d9a5d3c1e01"
DEV_EUI = "70b3d57ed0051234"
CHIRPSTACK_UP = f"application/{APPLICATION}/device/{DEV_EUI}/event/up"
TTS_UP = "v3/roads@essen/devices/soil-7/up"
SENSOR = "roadtwin/v1/sensors/gully-12/readings"
VEHICLE = "roadtwin/v1/vehicles/truck-0815/readings"


def decoder(registered: dict[DeviceKey, str] | None = None, **options: Any) -> Decoder:
    pseudonyms = Pseudonyms(b"a key that only the tests know", ZoneInfo("Europe/Berlin"))
    options = {"max_payload_bytes": 1_048_576} | options
    return Decoder(load_profiles(), pseudonyms, registered_profiles=registered, **options)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def chirpstack(**changes: Any) -> dict[str, Any]:
    """An uplink of a pavement sensor; a change to None takes the member out."""
    event: dict[str, Any] = {
        "deduplicationId": "0b6b5a46-3f0e-4c1c-9b0f-6a3f9a1d7e55",
        "time": "2026-03-10T11:59:58.123456789+00:00",
        "deviceInfo": {
            "tenantId": "t",
            "tenantName": "City",
            "applicationId": APPLICATION,
            "applicationName": "Roads",
            "deviceProfileId": "p",
            "deviceProfileName": "surface-temperature",
            "deviceName": "Bridge 4",
            "devEui": DEV_EUI,
            "tags": {},
        },
        "devAddr": "01ab23cd",
        "adr": True,
        "dr": 5,
        "fCnt": 17,
        "fPort": 2,
        "confirmed": False,
        "data": "AQID",
        "object": {"surface_temperature": -1.5, "air_temperature": 0.25, "humidity": 91, "battery": 3.6},
        "rxInfo": [
            {"gatewayId": "a1", "rssi": -97, "snr": 4.5, "nsTime": "2026-03-10T11:59:58.2+00:00", "location": {}},
            {"gatewayId": "a2", "rssi": -110, "location": {"latitude": 51.4, "longitude": 7.0}},
        ],
        "txInfo": {"frequency": 868100000},
    }
    return {key: value for key, value in (event | changes).items() if value is not None}


def tts(**changes: Any) -> dict[str, Any]:
    """An uplink of a soil sensor; `uplink_message` changes member by member."""
    uplink = {
        "session_key_id": "AXA50tHUGUucuzS/bCGMNw==",
        "f_port": 2,
        "f_cnt": 8,
        "frm_payload": "DTgAAAAAC8MAABA=",
        "decoded_payload": {"water_SOIL": "31.20 %", "temp_SOIL": "4.5 °C", "conduct_SOIL": "120 uS/cm"},
        "rx_metadata": [{"gateway_ids": {"gateway_id": "g1"}, "rssi": -80, "snr": 7, "time": "2026-03-10T11:58:00Z"}],
        "settings": {"frequency": "868300000"},
        "received_at": "2026-03-10T11:58:01.000000001Z",
        "version_ids": {"brand_id": "dragino", "model_id": "lse01"},
    }
    message: dict[str, Any] = {
        "end_device_ids": {
            "device_id": "soil-7",
            "application_ids": {"application_id": "roads"},
            "dev_eui": "A8404194A1870001",
            "dev_addr": "260BE6BF",
        },
        "correlation_ids": ["as:up:01"],
        "received_at": "2026-03-10T11:58:01.2Z",
        "uplink_message": {k: v for k, v in (uplink | changes.pop("uplink_message", {})).items() if v is not None},
    }
    return {key: value for key, value in (message | changes).items() if value is not None}


def vehicle_reading(**changes: Any) -> dict[str, Any]:
    reading: dict[str, Any] = {
        "event_id": "3f7bb7ee-3f3c-4d0e-8b0e-6a0f2f3d9a11",
        "schema_version": 1,
        "observed_at": "2026-03-10T11:59:50.25+01:00",
        "position": {"lon": 7.011, "lat": 51.45, "accuracy_m": 2.5},
        "heading_deg": 271.5,
        "speed_mps": 7.9,
        "pass_id": "drive-20260310-1",
        "camera": {"model": "roadcam", "version": "2.1", "frame_quality": {"blur": 0.1, "wet": 0.4, "light": 0.9}},
        "detections": [
            {
                "class_code": "D40",
                "confidence": 0.83,
                "bbox_px": [100, 400.5, 300, 500],
                "image_size_px": [1280, 720],
                "width_m": 0.4,
                "depth_m": 0.06,
            }
        ],
        "imu": {"accel_rms_mps2": 0.9, "accel_peak_mps2": 7.5, "sample_rate_hz": 100},
        "lane": 0,
    }
    return {key: value for key, value in (reading | changes).items() if value is not None}
