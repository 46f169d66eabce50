"""What one transaction of the writer stores, on a real database."""

import threading
from datetime import timedelta

import psycopg
import pytest
from msgspec.structs import replace

from ingest.batch import write_isolating
from ingest.rejected import reject
from roadtwin.storage import copyrows, queries
from roadtwin.storage.database import connect
from roadtwin.storage.messages import BatchWriter, write_batch
from roadtwin.storage.raw import read_payloads
from roadtwin.types import DeviceKey, Flag, Message, Origin, Reception
from tests.integration.ingest.conftest import fetch
from tests.samples import CHIRPSTACK_UP, NOW, SENSOR, VEHICLE, chirpstack, decoder, encoded, vehicle_reading


def write(conn, messages, rejected=()):
    return write_batch(conn, messages, list(rejected), worker="test", origin=Origin.MQTT)


def payloads(conn) -> list[bytes]:
    with conn.transaction():
        return list(read_payloads(conn))


def uplink(number=1, at=NOW, **changes) -> Message:
    event = chirpstack(deduplicationId=f"00000000-0000-4000-8000-{number:012d}", fCnt=number, **changes)
    return decoder().decode(CHIRPSTACK_UP, encoded(event), at)


def test_a_batch_is_stored_with_its_accounts(db):
    counts = write(db, [uplink(1, time="2026-03-10T11:00:01Z"), uplink(2, time="2026-03-10T11:00:02Z")])

    assert (counts.received, counts.stored, counts.duplicate, counts.rejected) == (2, 2, 0, 0)
    assert counts.observations_stored == 8
    assert fetch(db, "SELECT received, stored, observations_stored, worker, recorded_at FROM ingest_batch") == [
        (2, 2, 8, "test", NOW)
    ]
    assert fetch(db, "SELECT status, name, dev_eui, profile_name FROM device") == [
        ("unconfirmed", "Bridge 4", "70b3d57ed0051234", "surface-temperature")
    ]
    assert fetch(db, "SELECT DISTINCT origin, profile_version FROM message NATURAL JOIN observation") == [("mqtt", 1)]


def test_a_batch_written_again_is_all_duplicates(db):
    batch = [uplink(1), uplink(2, time="2026-03-10T11:00:02Z")]
    write(db, batch)

    again = write(db, [replace(message, recorded_at=NOW + timedelta(hours=1)) for message in batch])

    assert (again.stored, again.duplicate, again.observations_stored) == (0, 2, 0)
    assert fetch(db, "SELECT count(*) FROM message") == [(2,)]
    assert fetch(db, "SELECT DISTINCT recorded_at FROM observation") == [(NOW,)]


def test_a_message_twice_in_one_batch_is_stored_once(db):
    counts = write(db, [uplink(1), uplink(1), uplink(1)])

    assert (counts.received, counts.stored, counts.duplicate) == (3, 1, 2)


def test_another_value_for_the_same_instant_is_a_recorded_conflict(db):
    at = "2026-03-10T11:00:00Z"
    write(db, [uplink(1, time=at, object={"surface_temperature": 1})])

    counts = write(
        db,
        [
            uplink(2, time=at, object={"surface_temperature": 2}),
            uplink(3, time=at, object={"surface_temperature": 1, "humidity": 80}),
            uplink(4, time=at, object={"humidity": 81}),
        ],
    )

    assert (counts.stored, counts.observations_stored) == (3, 1)
    assert (counts.observation_conflicts, counts.observations_duplicate) == (2, 1)
    assert sorted(fetch(db, "SELECT value FROM observation_conflict")) == [(2,), (81,)]
    assert sorted(fetch(db, "SELECT value FROM observation")) == [(1,), (80,)]


def test_a_message_without_usable_time_is_known_by_its_id_alone(db):
    write(db, [uplink(1, time="0001-01-01T00:00:00Z")])

    later = NOW + timedelta(hours=3)
    counts = write(
        db, [uplink(1, at=later, time="0001-01-01T00:00:00Z"), uplink(2, at=later, time="2300-01-01T00:00:00Z")]
    )

    assert (counts.stored, counts.duplicate) == (1, 1)
    assert fetch(db, "SELECT observed_at, clock, flags FROM message ORDER BY 1") == [
        (NOW, "arrival", Flag.CLOCK),
        (later, "arrival", Flag.CLOCK),
    ]


def test_a_time_ahead_that_becomes_believable_before_redelivery_is_not_stored_twice(db):
    ahead = "2026-03-11T13:00:00Z"  # 25 h ahead of NOW
    write(db, [uplink(1, time=ahead)])

    counts = write(db, [uplink(1, at=NOW + timedelta(hours=2), time=ahead)])

    assert counts.duplicate == 1


def test_two_writers_agree_on_messages_without_usable_time(database_url, db):
    batch = [uplink(number, time=None) for number in range(50)]
    stored = []

    def work(offset):
        with connect(database_url) as conn:
            moved = [replace(m, recorded_at=NOW + timedelta(seconds=offset)) for m in batch]
            stored.append(write(conn, moved).stored)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(stored) == [0, 0, 0, 50]
    assert fetch(db, "SELECT count(*) FROM message") == [(50,)]


def test_a_vehicle_reading_is_stored_with_its_detections_and_without_the_vehicle(db):
    message = decoder().decode(VEHICLE, encoded(vehicle_reading()), NOW)

    write(db, [message])
    write(db, [message])

    assert fetch(db, "SELECT class_code, confidence::numeric(3,2)::text, bbox_px FROM detection") == [
        ("D40", "0.83", [100, 400.5, 300, 500])
    ]
    ((stored,),) = fetch(db, "SELECT vehicle_reading::text FROM vehicle_reading")
    ((topic,),) = fetch(db, "SELECT topic FROM message")
    (payload,) = payloads(db)
    assert "truck-0815" not in stored + topic
    assert b"truck-0815" not in payload


def test_a_rejected_message_is_one_row_with_a_count(db):
    first = reject("some/topic", b"{", NOW, "invalid_json", "Got no valid JSON.")
    later = reject("some/topic", b"{", NOW + timedelta(minutes=1), "invalid_json", "Got no valid JSON.")

    write(db, [], [first, first, reject("some/topic", b"[", NOW, "invalid_json", "x")])
    counts = write(db, [], [later])

    assert (counts.received, counts.rejected) == (1, 1)
    assert fetch(db, "SELECT count, first_seen_at, last_seen_at FROM rejected_message ORDER BY count") == [
        (1, NOW, NOW),
        (3, NOW, NOW + timedelta(minutes=1)),
    ]


def test_a_row_that_the_database_cannot_hold_is_found_and_rejected_with_its_sqlstate(db):
    poison = replace(uplink(0), details={"text": "\x00"})
    unencodable = replace(uplink(499), device_name="\ud800", device=DeviceKey("senml", "", "x"))
    batch = [poison, *(uplink(number) for number in range(1, 499)), unencodable]

    counts = write_isolating(batch, [], lambda messages, rejected: write(db, messages, rejected))

    assert (counts.received, counts.stored, counts.rejected) == (500, 498, 2)
    rows = fetch(db, "SELECT code, payload, topic FROM rejected_message ORDER BY code")
    assert ("sqlstate_22P05", poison.payload, poison.topic) in rows
    assert ("unstorable_UnicodeEncodeError", unencodable.payload, unencodable.topic) in rows
    assert fetch(db, "SELECT sum(received), sum(stored), sum(rejected) FROM ingest_batch") == [(500, 498, 2)]


def test_nothing_of_a_batch_is_stored_when_its_transaction_fails(db):
    with pytest.raises(psycopg.Error):
        write(db, [uplink(1), replace(uplink(2), details={"text": "\x00"})])

    assert fetch(db, "SELECT count(*) FROM message") == [(0,)]
    assert write(db, [uplink(1)]).stored == 1


def test_an_open_transaction_is_refused_because_its_rows_would_not_be_committed(db):
    db.execute("SELECT 1")

    with pytest.raises(ValueError, match="expected an idle one"):
        write(db, [uplink(1)])


def test_history_follows_the_device_when_its_name_changes(db):
    renamed = chirpstack()["deviceInfo"] | {"deviceName": "Bridge 5"}
    write(db, [uplink(1)])
    write(db, [uplink(2, time="2026-03-10T11:59:59Z", deviceInfo=renamed)])
    write(db, [uplink(3, time="2026-03-10T10:00:00Z")])  # late: an old name does not come back

    assert fetch(db, "SELECT count(*), min(name) FROM device") == [(1, "Bridge 5")]


def test_a_generic_sensor_is_a_device_with_series_by_channel_and_depth(db):
    pack = [
        {"bt": NOW.timestamp() - 1, "n": "soil_moisture_pct:20", "v": 20},
        {"n": "soil_moisture_pct:40", "v": 30},
        {"n": "left/water_level_mm", "v": 12},
    ]

    write(db, [decoder().decode(SENSOR, encoded(pack), NOW)])

    assert sorted(fetch(db, "SELECT channel, quantity, depth_cm, value FROM series NATURAL JOIN observation")) == [
        ("", "soil_moisture_pct", 20, 20),
        ("", "soil_moisture_pct", 40, 30),
        ("left", "water_level_mm", None, 12),
    ]


TABLES = {
    "messages": copyrows.MESSAGE_COLUMNS,
    "observations": copyrows.OBSERVATION_COLUMNS,
    "vehicle_readings": copyrows.VEHICLE_READING_COLUMNS,
    "detections": copyrows.DETECTION_COLUMNS,
}


@pytest.mark.parametrize("table", TABLES)
def test_the_columns_of_a_copy_are_those_of_its_rows(table):
    for name in (f"copy_{table}", f"copy_incoming_{table}"):
        columns = queries.load("messages")[name].partition("(")[2].partition(")")[0]
        assert tuple(column.strip() for column in columns.split(",")) == TABLES[table]


def mixed_batch() -> list[Message]:
    """Uplinks with and without reception, a generic sensor, a full vehicle reading and one that saw nothing."""
    bare = decoder().decode(
        CHIRPSTACK_UP, encoded(chirpstack(deduplicationId="bare", rxInfo=[], time="2026-03-10T11:00:09Z")), NOW
    )
    sensor = decoder().decode(SENSOR, b'[{"n":"soil_moisture_pct:20","u":"%","v":31.5,"t":1773140400}]', NOW)
    vehicle = decoder().decode(VEHICLE, encoded(vehicle_reading()), NOW)
    empty = decoder().decode(
        VEHICLE, encoded(vehicle_reading(event_id="00000000-0000-4000-8000-0000000000aa", detections=[])), NOW
    )
    return [uplink(1, time="2026-03-10T11:00:01Z"), bare, sensor, vehicle, empty]


def table_texts(conn) -> dict[str, list[str]]:
    return {
        table: [row[0] for row in fetch(conn, f"SELECT (to_jsonb(t) - 'batch_id')::text FROM {table} AS t ORDER BY 1")]
        for table in ("message", "observation", "vehicle_reading", "detection", "device", "series")
    }


def test_both_ways_of_writing_store_the_same_rows(database_server):
    texts, raws = [], []
    for staged in (False, True):
        name, url = database_server.clone()
        with connect(url) as conn:
            writer = BatchWriter(conn, worker="test", origin=Origin.MQTT)
            writer._staged_left = 1 if staged else 0
            counts = writer.write(mixed_batch(), [])
            assert (counts.stored, counts.duplicate) == (5, 0)
            texts.append(table_texts(conn))
            raws.append(payloads(conn))
        database_server.drop(name)

    assert texts[0] == texts[1]
    assert sorted(raws[0]) == sorted(raws[1]) == sorted(m.payload for m in mixed_batch())
    assert {table: len(rows) for table, rows in texts[0].items()} == {
        "message": 5, "observation": 9, "vehicle_reading": 2, "detection": 1, "device": 2, "series": 5,
    }  # fmt: skip


def test_a_batch_that_is_partly_there_stores_the_rest_and_its_bytes_once(db):
    writer = BatchWriter(db, worker="test", origin=Origin.MQTT)
    batch = [uplink(n, time=f"2026-03-10T11:00:0{n}Z") for n in range(1, 6)]
    writer.write(batch[1:3], [])

    counts = writer.write(batch, [])

    assert (counts.stored, counts.duplicate) == (3, 2)
    assert sorted(payloads(db)) == sorted(m.payload for m in batch)
    assert fetch(db, "SELECT count(*), count(DISTINCT (batch_id, raw_no)) FROM message") == [(5, 5)]


def test_a_device_made_in_a_transaction_that_failed_is_made_again(db):
    writer = BatchWriter(db, worker="test", origin=Origin.MQTT)
    good = uplink(1, time="2026-03-10T11:00:01Z")
    poison = replace(uplink(2, time="2026-03-10T11:00:02Z"), topic="nul \x00")
    with pytest.raises(psycopg.DataError):
        writer.write([good, poison], [])

    assert writer.write([good], []).stored == 1
    assert fetch(db, "SELECT count(*) FROM device") == [(1,)]


@pytest.mark.parametrize("straight", [True, False])
def test_a_device_that_was_deleted_meanwhile_is_made_again_and_its_messages_are_sound(db, straight):
    writer = BatchWriter(db, worker="test", origin=Origin.MQTT)
    writer.write([uplink(1, time="2026-03-10T11:00:01Z")], [])
    for table in ("observation", "message", "series", "device"):
        db.execute(f"DELETE FROM {table}")  # type: ignore[arg-type]
    db.commit()

    batch = [replace(uplink(2, time="2026-03-10T11:00:02Z"), redelivered=not straight)]
    counts = writer.write(batch, [], writer.prepare(batch))

    assert (counts.stored, counts.observations_stored) == (1, 4)
    assert fetch(db, "SELECT count(*) FROM message JOIN device USING (device_id)") == [(1,)]


def test_receptions_of_a_batch_are_summed_by_gateway(db):
    first, second = (uplink(n, time=f"2026-03-10T11:00:0{n}Z") for n in (1, 2))
    near = (Reception("a1", -60.0, 5.0, 0.5), Reception("b2", -110.0, None, None))
    write(db, [replace(first, receptions=near), replace(second, receptions=(Reception("a1", -90.0, 1.0, -1.5),))])

    ((receptions,),) = fetch(db, "SELECT receptions FROM ingest_batch")
    at = NOW.timestamp()
    assert receptions == {"a1": [2, at, 2, -1.0, 1.5, -60.0], "b2": [1, at, 0, 0.0, 0.0, -110.0]}
