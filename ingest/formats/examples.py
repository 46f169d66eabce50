"""One message of each format, made here: for the reference pages and for tests."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from ingest.formats import (
    chirpstack_v3,
    chirpstack_v4,
    chirpstack_v4_protobuf,
    encoding,
    senml,
    tts_v3,
    vehicle,
)
from ingest.formats.about import FormatAbout

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
"""When the examples arrive."""

ABOUTS: tuple[FormatAbout, ...] = (
    chirpstack_v4.ABOUT,
    chirpstack_v4_protobuf.ABOUT,
    chirpstack_v3.ABOUT,
    tts_v3.ABOUT,
    senml.ABOUT,
    vehicle.ABOUT,
)
"""Every format."""

UPLINK = encoding.UplinkContent(
    application="8d3f2c10-5a77-4a50-9f64-0d9a5d3c1e01",
    device="bridge-4",
    dev_eui="70b3d57ed0051234",
    uplink_id="0b6b5a46-3f0e-4c1c-9b0f-6a3f9a1d7e55",
    received_at=datetime(2026, 3, 10, 11, 59, 58, 250_000, tzinfo=UTC),
    f_cnt=17,
    f_port=2,
    payload=bytes.fromhex("ff6a0019"),
    device_profile="surface-temperature",
    decoded={"surface_temperature": -1.5, "air_temperature": 0.25},
    heard=(encoding.Hearing("0016c001f1000001", -97, 4.5, datetime(2026, 3, 10, 11, 59, 58, tzinfo=UTC)),),
)
"""A pavement sensor on a bridge."""

_SOIL = replace(
    UPLINK,
    application="roads",
    device="soil-7",
    dev_eui="a8404194a1870001",
    device_profile="dragino/lse01",
    decoded={"water_SOIL": "31.20 %", "temp_SOIL": "4.5 °C"},
)
_V3 = {
    "applicationID": "12",
    "applicationName": "roads",
    "deviceName": "bridge-4",
    "deviceProfileName": "surface-temperature",
    "devEUI": "cLPVftAFEjQ=",
    "rxInfo": [{"gatewayID": "ABbAAfEAAAE=", "time": None, "rssi": -97, "loRaSNR": 4.5}],
    "txInfo": {"frequency": 868100000, "loRaModulationInfo": {"bandwidth": 125, "spreadingFactor": 7}},
    "fCnt": 17,
    "fPort": 2,
    "data": "/2oAGQ==",
    "objectJSON": '{"surface_temperature": -1.5, "air_temperature": 0.25}',
    "publishedAt": "2026-03-10T11:59:58.25Z",
}
_SENML = [
    {"bn": "gully-12/", "bt": 1773143000, "n": "water_level_mm", "u": "m", "v": 0.12},
    {"n": "left/surface_temp_c", "u": "Cel", "v": -1.5, "t": -60},
]
_VEHICLE = {
    "event_id": "3f7bb7ee-3f3c-4d0e-8b0e-6a0f2f3d9a11",
    "schema_version": 1,
    "observed_at": "2026-03-10T11:59:50.25Z",
    "position": {"lon": 7.011, "lat": 51.45, "accuracy_m": 2.5},
    "speed_mps": 7.9,
    "pass_id": "drive-1",
    "camera": {"model": "roadcam", "version": "2.1", "frame_quality": {"blur": 0.1, "wet": 0.4, "light": 0.9}},
    "detections": [
        {"class_code": "D40", "confidence": 0.83, "bbox_px": [100, 400, 300, 500], "image_size_px": [1280, 720]}
    ],
}


@dataclass(frozen=True, slots=True)
class Example:
    """A message as the broker delivers it."""

    topic: str
    payload: bytes


def _example(topic: str, members: object) -> Example:
    return Example(topic, msgspec.json.encode(members))


EXAMPLES: Mapping[str, Example] = {
    chirpstack_v4.FORMAT: Example(*encoding.chirpstack_v4_json(UPLINK)),
    chirpstack_v4_protobuf.FORMAT: Example(*encoding.chirpstack_v4_protobuf_uplink(UPLINK)),
    chirpstack_v3.FORMAT_JSON: _example("application/12/device/70b3d57ed0051234/event/up", _V3),
    tts_v3.FORMAT: Example(*encoding.tts_v3_json(_SOIL, tenant="city")),
    senml.FORMAT: _example("roadtwin/v1/sensors/gully-12/readings", _SENML),
    vehicle.FORMAT: _example("roadtwin/v1/vehicles/truck-7/readings", _VEHICLE),
}
"""By the name of the format."""
