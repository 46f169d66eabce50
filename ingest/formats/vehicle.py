"""Vehicle readings: `roadtwin/v1/vehicles/{vehicle_id}/readings` (our own contract, `roadtwin.records.vehicle`).

The vehicle's id is on the wire, in the topic; what leaves this module carries its pseudonym instead.
"""

import re
import struct
from datetime import UTC, datetime

from ingest import strictjson
from ingest.formats.about import FormatAbout
from ingest.formats.parsed import Parsed
from ingest.identity import message_id
from ingest.pseudonyms import Pseudonyms
from ingest.times import time_flags, usable
from roadtwin.errors import MessageRejectedError
from roadtwin.records.vehicle import WireDetection, WireVehicleReading
from roadtwin.types import Clock, Detection, Flag, Message, Position, VehicleReading

FORMAT = "vehicle-v1"
TOPIC_FILTER = "roadtwin/v1/vehicles/+/readings"
EVENT_KIND = "readings"

MAX_PAYLOAD_BYTES = 131_072
"""Far above any reading of two hundred detections, far below any picture [B]."""

ABOUT = FormatAbout(
    name=FORMAT,
    title="Vehicle readings",
    network_source="",
    encoding="JSON, our own contract: schema [vehicle_reading.json](../schemas/vehicle_reading.json)",
    topics=("roadtwin/v1/vehicles/{vehicle_id}/readings",),
    event_kinds=(EVENT_KIND,),
    time_rule="`observed_at`; where it cannot be believed, the arrival.",
    identity="The vehicle's id stands in the topic only. Stored are a pseudonym of the local month and a lasting "
    "calibration id, both keyed.",
    message_id="By `event_id`.",
    measures="One reading with its detections; none is the *nothing seen* heartbeat.",
    reject_codes={
        "payload_too_large": f"More than {MAX_PAYLOAD_BYTES} bytes.",
        "binary_payload": "No JSON object: frames, plates and faces are refused.",
        "invalid_bbox": "A box that is empty or outside its image.",
        "vehicle_id_in_payload": "A member holds the vehicle's id, which would be stored as it is.",
    },
)


def vehicle_in(topic: str) -> str | None:
    """The vehicle id in a topic of vehicles, else None; also where the version or the case is not ours."""
    levels = topic.split("/", 4)
    is_of_vehicles = len(levels) > 3 and levels[0].lower() == "roadtwin" and levels[2].lower() == "vehicles"
    return levels[3] if is_of_vehicles else None


def with_pseudonym(topic: str, pseudonym: str) -> str:
    """The topic as it is stored."""
    levels = topic.split("/")
    return "/".join([*levels[:3], pseudonym, *levels[4:]])


def without_vehicle(payload: bytes, vehicle_id: str, pseudonym: str) -> bytes:
    """A rejected payload as it is kept: a sender that breaks the contract may have put the id into it.

    JSON can spell each character of it as an escape (`\\u00fc`), which many encoders do beyond ASCII.
    """
    if not vehicle_id:
        return payload
    return re.sub(
        _NO_WORD_BEFORE + b"".join(map(_spellings, vehicle_id)) + rb"(?![A-Za-z0-9])", pseudonym.encode(), payload
    )


# The end of an escape is no letter or digit of a word: \n, \u0020.
_NO_WORD_BEFORE = rb"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))"


def _spellings(character: str) -> bytes:
    """A pattern of what JSON may write for a character, in upper or lower case."""
    plain = {text.encode("utf-8", "replace") for text in (character, character.lower(), character.upper())}
    units = {text.encode("utf-16-be", "surrogatepass") for text in (character, character.lower(), character.upper())}
    escaped = {b"".join(rb"\\u(?i:%04x)" % unit for (unit,) in struct.iter_unpack(">H", text)) for text in units}
    return b"(?:" + b"|".join([*map(re.escape, sorted(plain)), *sorted(escaped)]) + b")"


def parse(topic: str, payload: bytes, recorded_at: datetime, pseudonyms: Pseudonyms) -> Parsed:
    """One reading, stored under the pseudonym of its local month.

    Raises MessageRejectedError: `payload_too_large`, `binary_payload`, `invalid_bbox`, `vehicle_id_in_payload`, and
    those of `ingest.strictjson.decode`.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MessageRejectedError(
            "payload_too_large", f"Got a vehicle reading of {len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}."
        )
    if payload and payload.lstrip()[:1] != b"{":
        raise MessageRejectedError(
            "binary_payload",
            f"Got first byte 0x{payload[0]:02x}, expected a JSON object and no binary data.",
        )
    vehicle_id = topic.split("/")[3]
    wire = strictjson.decode(payload, WireVehicleReading)
    _refuse_vehicle_id(wire, vehicle_id)
    # With an offset, the first and the last year of the calendar may lie outside it in UTC.
    stated = wire.observed_at.astimezone(UTC) if 1 < wire.observed_at.year < 9999 else None
    event_at = stated if usable(stated, recorded_at) else None
    observed_at = event_at or recorded_at
    flags = time_flags(event_at, recorded_at) if event_at else Flag.CLOCK
    pseudonym = pseudonyms.pseudonym(vehicle_id, observed_at)
    message = Message(
        message_id=message_id(FORMAT, str(wire.event_id)),
        format=FORMAT,
        event_kind=EVENT_KIND,
        topic=with_pseudonym(topic, pseudonym),
        payload=payload,
        recorded_at=recorded_at,
        event_at=event_at,
        clock=Clock.DEVICE if event_at else Clock.ARRIVAL,
        flags=flags,
        vehicle_reading=VehicleReading(
            event_id=wire.event_id,
            observed_at=observed_at,
            vehicle_pseudonym=pseudonym,
            calibration_id=pseudonyms.calibration_id(vehicle_id),
            position=Position(wire.position.lon, wire.position.lat, wire.position.accuracy_m),
            heading_deg=wire.heading_deg,
            speed_mps=wire.speed_mps,
            pass_id=wire.pass_id,
            camera_model=wire.camera.model,
            camera_version=wire.camera.version,
            blur=wire.camera.frame_quality.blur,
            wet=wire.camera.frame_quality.wet,
            light=wire.camera.frame_quality.light,
            detections=tuple(_detection(number, d) for number, d in enumerate(wire.detections)),
            accel_rms_mps2=wire.imu.accel_rms_mps2 if wire.imu else None,
            accel_peak_mps2=wire.imu.accel_peak_mps2 if wire.imu else None,
            sample_rate_hz=wire.imu.sample_rate_hz if wire.imu else None,
            lane=wire.lane,
            image_ref=wire.image_ref,
            flags=flags,
        ),
    )
    return Parsed(message)


def _detection(number: int, wire: WireDetection) -> Detection:
    x_min, y_min, x_max, y_max = wire.bbox_px
    width, height = wire.image_size_px
    if not (x_min < x_max <= width and y_min < y_max <= height):
        raise MessageRejectedError(
            "invalid_bbox",
            f"Got bbox_px {list(wire.bbox_px)} in detection {number}, "
            f"expected x_min < x_max <= {width} and y_min < y_max <= {height}.",
        )
    return Detection(
        detection_no=number,
        class_code=wire.class_code,
        confidence=wire.confidence,
        bbox_px=wire.bbox_px,
        image_width_px=width,
        image_height_px=height,
        width_m=wire.width_m,
        length_m=wire.length_m,
        depth_m=wire.depth_m,
        area_m2=wire.area_m2,
        track_id=wire.track_id,
    )


def _refuse_vehicle_id(wire: WireVehicleReading, vehicle_id: str) -> None:
    """Ids of drives, tracks, images and cameras must not lead back to the vehicle: they are stored as they are."""
    named = [("pass_id", wire.pass_id), ("image_ref", wire.image_ref or "")]
    named += [("camera.model", wire.camera.model), ("camera.version", wire.camera.version)]
    named += [("track_id", detection.track_id) for detection in wire.detections if detection.track_id]
    together = "\n".join([text for _, text in named])
    if together.isascii() and vehicle_id.isascii() and vehicle_id.lower() not in together.lower():
        return  # most readings: no need to look at each text
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(vehicle_id)}(?![A-Za-z0-9])", re.IGNORECASE)
    for name, text in named:
        # A short id ("7") may stand in any other id by chance; it must then not be the whole of it.
        if text and (text == vehicle_id or (len(vehicle_id) >= 4 and word.search(text))):
            raise MessageRejectedError(
                "vehicle_id_in_payload", f"Got the vehicle's id in {name}, expected it in the topic only."
            )
