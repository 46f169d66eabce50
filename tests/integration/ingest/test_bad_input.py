"""Bad messages through the real broker: one rejected row with a reason each, and the good ones are stored."""

import hashlib
import json

from tests.integration.ingest.conftest import fetch, received, wait_for
from tests.samples import CHIRPSTACK_UP, SENSOR, TTS_UP, VEHICLE, chirpstack, encoded, tts, vehicle_reading

LONG_ID = "".join(hashlib.sha512(bytes([number])).hexdigest() for number in range(150))
BAD = [
    ("roadtwin/v1/unknown/7/readings", b"{}", "unknown_topic"),
    (CHIRPSTACK_UP, b"{", "invalid_json"),
    (CHIRPSTACK_UP, b"", "empty_payload"),
    (CHIRPSTACK_UP, encoded(chirpstack(fCnt="seventeen")), "invalid_field"),
    (CHIRPSTACK_UP, bytes.fromhex("0a2433616337653363342d34343031"), "invalid_protobuf"),
    (CHIRPSTACK_UP, encoded(chirpstack()).replace(b"Bridge 4", rb"\u0000"), "nul_character"),
    (CHIRPSTACK_UP, b'{"a":' * 5000, "nesting_too_deep"),
    (TTS_UP, b'{"end_device_ids": 7}', "invalid_field"),
    (SENSOR, b'[{"n": "warmth", "v": 1}]', "unknown_quantity"),
    (SENSOR, b'[{"n": "air_temp_c", "v": NaN}]', "invalid_json"),
    (VEHICLE, encoded(vehicle_reading(position={"lon": 7, "lat": 91})), "invalid_field"),
    (VEHICLE, b"\xff\xd8\xff" * 1000, "binary_payload"),
    (SENSOR, b"[" + b" " * 10_000_000, "payload_too_large"),
    # Random enough that the index cannot compress it.
    (SENSOR.replace("gully-12", LONG_ID), b'[{"n": "air_temp_c", "v": 1, "t": 1773143000}]', "sqlstate_54000"),
]


def test_each_bad_message_is_one_rejected_row_with_a_reason_and_blocks_nothing(
    start_ingester, publish, database_url, mqtt_url, db
):
    start_ingester(database_url, mqtt_url).wait_until_ready()
    good = [
        (CHIRPSTACK_UP, encoded(chirpstack(object={"surface_temperature": 900}))),
        (CHIRPSTACK_UP, encoded(chirpstack(deduplicationId="d", time="0001-01-01T00:00:00Z"))),
        (TTS_UP, encoded(tts())),
        (SENSOR, json.dumps([{"n": "air_temp_c", "v": 1}]).encode()),
        (VEHICLE, encoded(vehicle_reading())),
    ]

    publish(*((topic, payload) for topic, payload, _ in BAD), *good)
    wait_for(lambda: received(database_url) >= len(BAD) + len(good))

    rejected = fetch(db, "SELECT code, count, payload_bytes, reason, topic FROM rejected_message")
    assert sorted(row[0] for row in rejected) == sorted(code for _, _, code in BAD)
    assert all(count == 1 and reason.endswith(".") for _, count, _, reason, _ in rejected)
    assert 10_000_001 in {row[2] for row in rejected}
    assert not any("truck-0815" in row[4] for row in rejected)
    assert fetch(db, "SELECT count(*) FROM message") == [(len(good),)]
    assert fetch(db, "SELECT count(*) FROM message WHERE clock = 'arrival'") == [(2,)]
    assert fetch(db, "SELECT count(*) FROM observation WHERE flags & 1 = 1") == [(1,)]


def test_a_retained_message_is_marked_and_stored_once(start_ingester, publish, database_url, mqtt_url, db):
    topic = SENSOR.replace("gully-12", "retained-1")
    publish((topic, b'[{"n": "air_temp_c", "v": 1, "t": 1773143000}]'), retain=True)
    try:
        start_ingester(database_url, mqtt_url).wait_until_ready()
        wait_for(lambda: fetch(db, "SELECT retained FROM message WHERE topic LIKE '%retained-1%'") == [(True,)])
    finally:
        publish((topic, b""), retain=True)  # the broker is shared: take it away again
