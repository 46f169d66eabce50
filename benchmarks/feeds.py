"""Messages for benchmarks: uplinks of a soil probe and readings of a vehicle, the same ones for the same seed."""

import base64
import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

DEVICES = 2000
SPACING = timedelta(milliseconds=2)
UPLINK_TOPICS = ("application/+/device/+/event/+",)
VEHICLE_TOPICS = ("roadtwin/v1/vehicles/+/readings",)
Feed = Iterator[tuple[str, bytes]]


def make_messages(number: int, seed: int = 1) -> list[tuple[str, bytes]]:
    """ChirpStack v4 uplinks of about 1.1 kB with four measurements, from `DEVICES` devices in turn."""
    return list(uplinks(number, seed))


def uplinks(number: int, seed: int = 1) -> Feed:
    """The same one by one."""
    rng = random.Random(seed)
    begin = datetime.now(UTC) - timedelta(minutes=5) - number * SPACING
    application = str(uuid.UUID(int=rng.getrandbits(128)))
    for n in range(number):
        yield _uplink(rng, application, n, begin + n * SPACING)


def _uplink(rng: random.Random, application: str, n: int, at: datetime) -> tuple[str, bytes]:
    dev_eui = f"{n % DEVICES:016x}"
    time_text = at.isoformat()
    event: dict[str, Any] = {
        "deduplicationId": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "time": time_text,
        "deviceInfo": {
            "tenantId": str(uuid.UUID(int=7)),
            "tenantName": "City",
            "applicationId": application,
            "applicationName": "Roads",
            "deviceProfileId": str(uuid.UUID(int=9)),
            "deviceProfileName": "soil-moisture-profile",
            "deviceName": f"Probe {n % DEVICES}",
            "devEui": dev_eui,
            "deviceClassEnabled": "CLASS_A",
            "tags": {"district": "north"},
        },
        "devAddr": f"{n % DEVICES:08x}",
        "adr": True,
        "dr": 5,
        "fCnt": n // DEVICES,
        "fPort": 2,
        "confirmed": False,
        "data": base64.b64encode(rng.randbytes(12)).decode(),
        "object": {
            "moisture_20cm": rng.randint(100, 400) / 10,
            "temperature_20cm": rng.randint(-50, 250) / 10,
            "moisture_40cm": rng.randint(100, 400) / 10,
            "battery": 3.6,
        },
        "rxInfo": [
            {
                "gatewayId": f"{1:016x}",
                "uplinkId": rng.getrandbits(32),
                "nsTime": time_text,
                "rssi": rng.randint(-118, -60),
                "snr": rng.randint(-40, 40) / 4,
                "channel": rng.randint(0, 7),
                "location": {"latitude": 51.45, "longitude": 7.01, "altitude": 90.0},
                "context": base64.b64encode(rng.randbytes(4)).decode(),
                "crcStatus": "CRC_OK",
            }
        ],
        "txInfo": {
            "frequency": 868100000,
            "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": 7, "codeRate": "CR_4_5"}},
        },
        "regionConfigId": "eu868",
    }
    return f"application/{application}/device/{dev_eui}/event/up", json.dumps(event, separators=(",", ":")).encode()


def vehicle_readings(number: int, detections: int = 10, seed: int = 1) -> Feed:
    """Readings of 50 vehicles, each with this many detections."""
    rng = random.Random(seed)
    begin = datetime.now(UTC) - timedelta(minutes=5) - number * SPACING
    for n in range(number):
        reading = {
            "event_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "schema_version": 1,
            "observed_at": (begin + n * SPACING).isoformat(),
            "position": {"lon": 7.01 + rng.random() / 100, "lat": 51.45 + rng.random() / 100, "accuracy_m": 4.2},
            "heading_deg": rng.randint(0, 359),
            "speed_mps": rng.randint(20, 150) / 10,
            "pass_id": f"p-{n % 50}-{n // 5000}",
            "camera": {
                "model": "roadcam",
                "version": "2.1",
                "frame_quality": {"blur": 0.1, "wet": 0.0, "light": rng.randint(50, 100) / 100},
            },
            "detections": [_detection(rng) for _ in range(detections)],
            "imu": {"accel_rms_mps2": 0.8, "accel_peak_mps2": 3.1, "sample_rate_hz": 100},
        }
        topic = f"roadtwin/v1/vehicles/truck-{n % 50:04d}/readings"
        yield topic, json.dumps(reading, separators=(",", ":")).encode()


def _detection(rng: random.Random) -> dict[str, Any]:
    x, y = rng.randint(0, 1500), rng.randint(0, 900)
    return {
        "class_code": rng.choice(["D00", "D10", "D20", "D40"]),
        "confidence": rng.randint(30, 99) / 100,
        "bbox_px": [x, y, x + rng.randint(20, 300), y + rng.randint(10, 150)],
        "image_size_px": [1920, 1080],
        "width_m": rng.randint(5, 90) / 100,
        "length_m": rng.randint(5, 90) / 100,
        "track_id": f"t{rng.getrandbits(24):x}",
    }
