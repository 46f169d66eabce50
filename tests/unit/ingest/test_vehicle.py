import json
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest

from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, Flag
from tests.samples import NOW, VEHICLE, decoder, encoded, vehicle_reading


def decode(reading, topic=VEHICLE):
    return decoder().decode(topic, reading if isinstance(reading, bytes) else encoded(reading), NOW)


def with_detection(**changes):
    (detection,) = vehicle_reading()["detections"]
    return vehicle_reading(detections=[detection | changes])


def test_a_reading_is_stored_under_a_pseudonym_and_with_its_detections():
    message = decode(vehicle_reading())

    reading = message.vehicle_reading
    assert reading is not None
    assert reading.event_id == UUID("3f7bb7ee-3f3c-4d0e-8b0e-6a0f2f3d9a11")
    assert reading.observed_at == message.event_at == datetime(2026, 3, 10, 10, 59, 50, 250000, tzinfo=UTC)
    assert (reading.position.lon, reading.position.lat, reading.speed_mps) == (7.011, 51.45, 7.9)
    assert (reading.blur, reading.wet, reading.light) == (0.1, 0.4, 0.9)
    (detection,) = reading.detections
    assert (detection.class_code, detection.image_width_px, detection.bbox_px) == ("D40", 1280, (100, 400.5, 300, 500))
    assert message.clock is Clock.DEVICE


def test_the_vehicles_id_is_nowhere_in_what_is_stored():
    message = decode(vehicle_reading())

    assert "truck-0815" not in repr(message)
    assert message.topic == f"roadtwin/v1/vehicles/{message.vehicle_reading.vehicle_pseudonym}/readings"


def test_nothing_seen_is_a_reading_too():
    assert decode(vehicle_reading(detections=[])).vehicle_reading.detections == ()


def test_optional_members_may_be_missing():
    reading = decode(vehicle_reading(imu=None, lane=None, heading_deg=None)).vehicle_reading

    assert (reading.accel_rms_mps2, reading.lane, reading.heading_deg) == (None, None, None)


@pytest.mark.parametrize("observed_at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_cannot_be_believed_is_replaced_by_the_arrival(observed_at):
    message = decode(vehicle_reading(observed_at=observed_at))

    assert (message.event_at, message.vehicle_reading.observed_at) == (None, NOW)
    assert message.vehicle_reading.flags == Flag.CLOCK


@pytest.mark.parametrize(
    "reading",
    [
        vehicle_reading(position={"lon": 181, "lat": 0}),
        vehicle_reading(position={"lon": 7, "lat": -90.1}),
        vehicle_reading(speed_mps=-1),
        vehicle_reading(speed_mps=71),
        vehicle_reading(heading_deg=360),
        vehicle_reading(schema_version=2),
        vehicle_reading(event_id="seven"),
        vehicle_reading(observed_at="2026-03-10T11:59:50"),
        vehicle_reading(detections=None),
        vehicle_reading(plate="E-AB 123"),
        vehicle_reading(image_ref="data:image/jpeg;base64," + "A" * 400),
        vehicle_reading(lane=True),
        with_detection(confidence=1.01),
        with_detection(width_m=-0.1),
        with_detection(bbox_px=[1, 2, 3]),
        with_detection(class_code="D99"),
    ],
)
def test_a_reading_that_breaks_the_contract_is_rejected(reading):
    with pytest.raises(MessageRejectedError) as caught:
        decode(reading)

    assert caught.value.code == "invalid_field"
    assert "`" in str(caught.value)  # names the member


def test_an_unknown_class_code_is_rejected_by_name():
    with pytest.raises(MessageRejectedError, match=r"detections.*class_code.*'D99'|'D99'"):
        decode(with_detection(class_code="D99"))


@pytest.mark.parametrize("bbox", [[300, 1, 100, 2], [0, 0, 1281, 10], [0, 5, 10, 5]])
def test_a_box_outside_its_image_is_rejected(bbox):
    with pytest.raises(MessageRejectedError, match="in detection 0") as caught:
        decode(with_detection(bbox_px=bbox))

    assert caught.value.code == "invalid_bbox"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\xff\xd8\xff\xe0" + b"\x00" * 500, "binary_payload"),
        (b"{" + b" " * 200_000, "payload_too_large"),
        (b"", "empty_payload"),
    ],
)
def test_frames_have_no_way_in(payload, code):
    with pytest.raises(MessageRejectedError) as caught:
        decode(payload)

    assert caught.value.code == code


@pytest.mark.parametrize(
    "reading",
    [
        vehicle_reading(pass_id="truck-0815/7"),
        vehicle_reading(image_ref="truck-0815.jpg"),
        with_detection(track_id="truck-0815"),
        vehicle_reading(pass_id="TRUCK-0815/7"),
        vehicle_reading(camera=vehicle_reading()["camera"] | {"model": "cam of truck-0815"}),
    ],
)
def test_ids_that_lead_back_to_the_vehicle_are_rejected(reading):
    with pytest.raises(MessageRejectedError) as caught:
        decode(reading)

    assert caught.value.code == "vehicle_id_in_payload"


def test_a_rejected_message_keeps_neither_topic_nor_payload_with_the_vehicles_id():
    payload = encoded(vehicle_reading(vehicle_id="truck-0815"))

    rejected = decoder().rejected(VEHICLE, payload, NOW, "invalid_field", "reason")

    assert "truck-0815" not in rejected.topic
    assert b"truck-0815" not in rejected.payload
    assert rejected.payload_bytes == len(payload)


@pytest.mark.parametrize(
    ("vehicle_id", "spelt"),
    [
        ("müll-3", json.dumps("müll-3")),
        ("müll-3", '"M\\u00DCLL-3"'),
        ("müll-3", '"MÜLL-3"'),
        ("🚚-0815", json.dumps("🚚-0815")),
        ("truck-0815", '"tr\\u0075ck\\u002D0815"'),
        ("truck-0815", '"a\\ttruck-0815\\n"'),
        ("truck-0815", '"\\u0020TRUCK-0815"'),
    ],
)
def test_no_spelling_of_the_vehicles_id_is_kept(vehicle_id, spelt):
    kept = decoder().rejected(f"roadtwin/v1/vehicles/{vehicle_id}/readings", spelt.encode(), NOW, "x", "y").payload

    assert re.fullmatch(rb'"(a\\t|\\u0020)?v-[0-9a-f]{24}(\\n)?"', kept)


@pytest.mark.parametrize("other", ["truck-08150", "1truck-0815", "truck_0815", "\\u0041struck-0815"])
def test_other_words_of_a_rejected_payload_stay(other):
    assert decoder().rejected(VEHICLE, other.encode(), NOW, "x", "y").payload == other.encode()


def test_neither_does_the_reason_name_it():
    payload = encoded(vehicle_reading() | {"Truck-0815": 1})
    with pytest.raises(MessageRejectedError) as caught:
        decode(payload)

    rejected = decoder().rejected(VEHICLE, payload, NOW, caught.value.code, str(caught.value))

    assert "truck-0815" not in rejected.reason.lower()
    assert b"truck-0815" not in rejected.payload.lower()


@pytest.mark.parametrize(
    "topic",
    [
        "roadtwin/v1/vehicles/truck-0815",
        "roadtwin/v2/vehicles/truck-0815/readings",
        "roadtwin/v1/Vehicles/truck-0815/x",
    ],
)
def test_topics_of_vehicles_that_nobody_knows_are_rewritten_too(topic):
    rejected = decoder().rejected(topic, b"truck-0815", NOW, "unknown_topic", "reason")

    assert "truck-0815" not in rejected.topic
    assert rejected.payload.startswith(b"v-")
