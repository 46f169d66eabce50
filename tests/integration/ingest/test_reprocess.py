"""Kept messages through a fixed profile or codec: what is in force afterwards, and that nothing else changed."""

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace as replace_struct

from ingest.decode import Decoder
from ingest.profile import load_profiles
from ingest.pseudonyms import Pseudonyms
from ingest.reprocess import Reprocessing
from roadtwin.errors import ReprocessError
from roadtwin.jobs.verify import verify
from roadtwin.storage.database import connect
from roadtwin.storage.messages import write_batch
from roadtwin.storage.queries import load
from roadtwin.storage.reprocess import RejectedSelection, Selection, find_device, only_run
from roadtwin.storage.twin import read_sensor_values
from roadtwin.types import DeviceKey, Flag, Origin
from tests.integration.ingest.conftest import fetch
from tests.samples import APPLICATION, CHIRPSTACK_UP, DEV_EUI, SENSOR, VEHICLE, chirpstack, encoded, vehicle_reading

KEY = DeviceKey("chirpstack-v4", APPLICATION, DEV_EUI)
FIRST = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
RUN = datetime(2026, 3, 11, 9, 0, tzinfo=UTC)
EVERYTHING = Selection()
IN_FORCE = (
    "SELECT s.quantity, o.value, o.profile_version FROM observation AS o JOIN series AS s USING (series_id) "
    "WHERE o.superseded_at IS NULL ORDER BY o.observed_at, s.quantity, o.profile_version"
)
EVERY_ROW = (
    "SELECT series_id, observed_at, recorded_at, value, flags, profile_version FROM observation "
    "ORDER BY series_id, observed_at, profile_version"
)
LEVEL = '[[field]]\npath = "level"\nquantity = "water_level_mm"\nunit = "mm"\n'
LEVEL_IN_CM = LEVEL.replace('unit = "mm"', 'unit = "cm"')
BATTERY = '[[field]]\npath = "battery"\nquantity = "battery_v"\n'
CODEC = "decentlab/dl-ctd10"
CODEC_FIELDS = (
    '[[field]]\npath = "water_depth"\nquantity = "water_level_mm"\nunit = "mm"\n',
    '[[field]]\npath = "battery_voltage"\nquantity = "battery_v"\n',
)


class World:
    """A database, profiles in a folder, and one device whose messages are decoded by them."""

    def __init__(self, conn, folder):
        self.conn = conn
        self.folder = folder
        self.registered = {}

    def profile(self, version, *fields, name="probe", codec=None):
        head = f'name = "{name}"\nversion = {version}\n' + (f'codec = "{codec}"\n' if codec else "")
        (self.folder / f"{name}.toml").write_text(head + "".join(fields))

    @property
    def decoder(self):
        pseudonyms = Pseudonyms(b"a key that only the tests know", ZoneInfo("Europe/Berlin"))
        return Decoder(
            load_profiles(self.folder), pseudonyms, max_payload_bytes=100_000, registered_profiles=self.registered
        )

    def decode(self, number, arrived_at=None, **changes):
        at = FIRST + timedelta(minutes=10 * number)
        about = chirpstack()["deviceInfo"] | {"deviceProfileName": "probe"}
        event = chirpstack(
            **{
                "deduplicationId": f"00000000-0000-4000-8000-{number:012d}",
                "time": at.isoformat(),
                "fCnt": number,
                "deviceInfo": about,
                "object": {"level": 40 + number, "battery": 3.5},
            }
            | changes
        )
        return self.decoder.decode(CHIRPSTACK_UP, encoded(event), arrived_at or at + timedelta(seconds=1))

    def store(self, *messages):
        return write_batch(self.conn, messages, [], worker="test", origin=Origin.MQTT)

    def run(self, selection=EVERYTHING, *, at=RUN, page=2, **options):
        return Reprocessing(self.conn, self.decoder, lambda: at, **options).kept(selection, page=page)

    def in_force(self):
        return fetch(self.conn, IN_FORCE)

    def rows(self):
        return fetch(self.conn, EVERY_ROW)


@pytest.fixture
def world(db, tmp_path):
    return World(db, tmp_path)


def counted(counts):
    return counts.observations_new, counts.observations_duplicate, counts.observations_superseded


def test_a_wrong_unit_is_fixed_by_the_next_version_once(world):
    world.profile(1, LEVEL, BATTERY)
    world.store(*(world.decode(n) for n in range(5)))
    before = world.rows()
    world.profile(2, LEVEL_IN_CM, BATTERY)

    counts = world.run()
    after = world.rows()
    again = world.run(at=RUN + timedelta(hours=1))

    assert (counts.messages, *counted(counts)) == (5, 10, 0, 10)
    assert (again.messages, *counted(again)) == (5, 0, 10, 0)
    assert [row[1:] for row in world.in_force()[:4]] == [(3.5, 2), (400.0, 2), (3.5, 2), (410.0, 2)]
    assert world.rows() == after
    assert set(before) < set(after), "what was stored stays as it was"
    assert {row[2] for row in set(after) - set(before)} == {RUN}
    assert fetch(world.conn, "SELECT origin, received, observations_stored FROM ingest_batch ORDER BY batch_id") == [
        ("mqtt", 5, 10), *[("reprocessed", 0, n) for n in (4, 4, 2)],
    ]  # fmt: skip
    assert verify(world.conn).differences == ()


def test_what_was_known_before_the_run_is_still_what_was_known_then(world):
    world.profile(1, LEVEL.replace("water_level_mm", "surface_temp_c").replace("mm", "K"), BATTERY)
    message = world.decode(0, object={"level": 270}, rxInfo=[])  # no other clock that its time could differ from
    world.store(message)
    world.conn.execute("UPDATE device SET status = 'confirmed'")
    world.conn.execute(
        "INSERT INTO device_installation (device_id, channel, valid_from, lon, lat) "
        "SELECT device_id, '', '2026-01-01', 7, 51 FROM device"
    )
    world.conn.commit()

    def value(now):
        found = read_sensor_values(world.conn, "surface_temp_c", now=now, window=timedelta(days=3))
        world.conn.rollback()
        return [round(v.value, 2) for v in found]

    def newest(now):
        given = {"device_ids": [1], "now": now}
        rows = world.conn.execute(load("api_operations")["read_newest_values"], given).fetchall()
        world.conn.rollback()
        return [(row[2], round(row[5], 2)) for row in rows]

    world.profile(2, LEVEL.replace("water_level_mm", "surface_temp_c").replace("mm", "°F"), BATTERY)
    world.run()

    fixed = round((270 - 32) / 1.8, 2)
    assert (value(RUN - timedelta(seconds=1)), value(RUN)) == ([-3.15], [])  # out of range now, and no longer used
    assert (newest(RUN - timedelta(seconds=1)), newest(RUN)) == (
        [("surface_temp_c", -3.15)],
        [("surface_temp_c", fixed)],
    )

    world.profile(3, LEVEL.replace("water_level_mm", "air_temp_c").replace("mm", "K"), BATTERY)
    world.run(at=RUN + timedelta(hours=1))
    assert newest(RUN + timedelta(hours=1)) == [("air_temp_c", -3.15)]
    assert newest(RUN + timedelta(minutes=59)) == [("surface_temp_c", fixed)]


def test_a_field_that_is_dropped_or_means_another_quantity_goes_out_of_force(world):
    world.profile(1, LEVEL, BATTERY)
    world.store(world.decode(0))
    world.profile(2, LEVEL.replace("water_level_mm", "distance_mm"))

    counts = world.run()

    assert counted(counts) == (1, 0, 2)
    assert world.in_force() == [("distance_mm", 40.0, 2)]
    assert len(world.rows()) == 3
    hours = "SELECT s.quantity, h.count FROM observation_hour AS h JOIN series AS s USING (series_id)"
    assert fetch(world.conn, hours) == [("distance_mm", 1)]
    assert counted(world.run()) == (0, 1, 0)

    world.profile(3, LEVEL.replace('"level"', '"nothing"'))
    assert counted(world.run()) == (0, 0, 1)
    assert world.in_force() == []


def test_a_device_without_profile_is_measured_once_an_operator_registers_one(world):
    world.store(world.decode(0))
    assert fetch(world.conn, "SELECT details ->> 'not_measured' FROM message") == [
        ("no sensor profile is called 'probe'",)
    ]
    assert world.run().not_measured == 1
    world.profile(1, LEVEL, BATTERY, name="brook")
    world.registered[KEY] = "brook"

    counts = world.run(Selection(device_ids=(find_device(world.conn, DEV_EUI.upper()),)))

    assert counted(counts) == (2, 0, 0)
    assert counted(world.run()) == (0, 2, 0)
    assert fetch(world.conn, "SELECT DISTINCT recorded_at, message_recorded_at FROM observation") == [
        (RUN, FIRST + timedelta(seconds=1))
    ]


def test_a_codec_reads_frames_that_nobody_decoded(world):
    world.profile(1, LEVEL)
    frame = bytes.fromhex("0200030003 81f4 8032 0190 0000 0c80".replace(" ", ""))
    world.store(world.decode(0, object=None, data=b64encode(frame).decode()))
    assert world.rows() == []
    world.profile(2, *CODEC_FIELDS, codec=CODEC)

    assert counted(world.run()) == (2, 0, 0)
    assert world.in_force() == [("battery_v", 3.2, 2), ("water_level_mm", 500.0, 2)]
    assert counted(world.run()) == (0, 2, 0)


def test_a_profile_changed_without_a_new_version_is_refused_by_name_and_changes_nothing(world):
    world.profile(1, LEVEL, BATTERY)
    world.store(world.decode(0), world.decode(1))
    before = world.rows()
    for fields in ((LEVEL_IN_CM, BATTERY), (LEVEL,), (LEVEL + "maximum = 20\n", BATTERY)):
        world.profile(1, *fields)
        counts = world.run()
        assert (counts.refused, *counted(counts)) == (2, 0, 0, 0)
        (refused,) = counts.refusals
        assert str(refused) == (
            "probe is version 1 and would change what is stored under version 1: set version = 2 or higher in the "
            "profile, or give --as-version 2."
        )
        assert world.rows() == before

    assert counted(world.run(as_version=2)) == (4, 0, 4)
    assert counted(world.run()) == (0, 4, 0)  # as they are decoded today: nothing is to do
    world.profile(2, LEVEL, BATTERY)
    assert world.run().refused == 2


def test_more_fields_need_no_new_version(world):
    world.profile(1, LEVEL)
    world.store(world.decode(0))
    world.profile(1, LEVEL, BATTERY)

    assert counted(world.run()) == (1, 1, 0)


def test_values_that_stay_keep_what_their_history_says_of_them(world):
    world.profile(1, LEVEL, BATTERY)
    world.store(world.decode(0))
    world.conn.execute("UPDATE observation SET flags = flags | %s", [int(Flag.STUCK)])
    world.conn.commit()
    world.profile(2, LEVEL_IN_CM, BATTERY)

    world.run()

    flags = f"SELECT value, flags & {Flag.STUCK:d} FROM observation WHERE profile_version = 2 ORDER BY value"
    assert fetch(world.conn, flags) == [(3.5, Flag.STUCK), (400.0, Flag.NONE)]


def test_of_two_messages_for_one_instant_the_first_stays_in_force(world):
    world.profile(1, LEVEL)
    one, other = world.decode(1), world.decode(2, time=(FIRST + timedelta(minutes=10)).isoformat())
    world.store(one)
    assert world.store(other).observation_conflicts == 1
    world.profile(2, LEVEL_IN_CM)

    counts, again = world.run(page=1), world.run()

    assert (counted(counts), counts.observation_conflicts) == ((1, 0, 1), 1)
    assert (counted(again), again.observation_conflicts) == ((0, 1, 0), 1)
    assert world.in_force() == [("water_level_mm", 410.0, 2)]
    conflicts = "SELECT value, profile_version FROM observation_conflict ORDER BY profile_version"
    assert fetch(world.conn, conflicts) == [(42.0, 1), (420.0, 2)]


def test_messages_that_arrived_together_do_not_end_each_others_values(world):
    world.profile(1, LEVEL)
    arrived_at = FIRST + timedelta(hours=1)
    world.store(*(world.decode(n, arrived_at) for n in range(3)))
    world.profile(2, LEVEL_IN_CM)

    counts = world.run(Selection(since=FIRST + timedelta(minutes=5), until=FIRST + timedelta(minutes=15)))

    assert (counts.messages, *counted(counts)) == (3, 3, 0, 3)
    assert [row[1] for row in world.in_force()] == [400.0, 410.0, 420.0]


def test_only_what_is_selected_is_read(world):
    world.profile(1, LEVEL)
    world.profile(1, LEVEL, name="brook")
    world.store(*(world.decode(n) for n in range(4)))
    senml = encoded([{"bt": FIRST.timestamp(), "n": "water_level_mm", "u": "mm", "v": 3}])
    world.store(world.decoder.decode(SENSOR, senml, FIRST))
    world.profile(2, LEVEL_IN_CM)

    def messages(**selection):
        return world.run(Selection(**selection)).messages

    assert messages(profile_names=("brook",)) == 0
    assert messages(profile_names=("probe",), since=FIRST, until=FIRST + timedelta(minutes=20)) == 2
    assert messages(message_format="senml-json") == 1
    assert messages() == 5
    with pytest.raises(ReprocessError, match=r"vehicle-v1.*expected one of sensors"):
        messages(message_format="vehicle-v1")
    with pytest.raises(ReprocessError, match="Got device 'nobody'"):
        find_device(world.conn, "nobody")
    assert find_device(world.conn, "/".join(KEY)) == 1


def test_a_message_that_cannot_be_read_keeps_what_it_measured_and_is_counted(world):
    world.profile(1, LEVEL)
    world.store(world.decode(0))
    world.store(world.decode(1))
    world.conn.execute("DELETE FROM raw_batch WHERE batch_id = (SELECT min(batch_id) FROM raw_batch)")
    world.conn.execute("UPDATE message SET topic = 'roadtwin/v1/nothing' WHERE f_cnt = 1")
    world.conn.commit()
    world.profile(2, LEVEL_IN_CM)

    counts = world.run()

    assert (counts.messages, counts.without_bytes, counts.unreadable, *counted(counts)) == (2, 1, 1, 0, 0, 0)
    assert [row[1] for row in world.in_force()] == [40.0, 41.0]


def test_a_dry_run_says_what_would_change_and_changes_nothing(world):
    world.profile(1, LEVEL, BATTERY)
    world.store(world.decode(0))
    before = world.rows()
    world.profile(2, LEVEL.replace("water_level_mm", "distance_mm"))

    assert counted(world.run(dry_run=True)) == (1, 0, 2)
    assert world.rows() == before
    assert fetch(world.conn, "SELECT count(*) FROM series") == [(2,)]
    assert fetch(world.conn, "SELECT count(*) FROM ingest_batch") == [(1,)]


def test_a_run_that_was_cut_short_is_finished_by_the_next(world):
    world.profile(1, LEVEL)
    world.store(*(world.decode(n) for n in range(6)))
    world.profile(2, LEVEL_IN_CM)
    shares = []

    def interrupt(share):
        shares.append(share)
        if len(shares) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Reprocessing(world.conn, world.decoder, lambda: RUN).kept(EVERYTHING, page=2, on_progress=interrupt)

    assert shares == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert counted(world.run()) == (2, 4, 2)


def test_two_runs_at_once_are_refused(world, database_url):
    with (
        connect(database_url) as other,
        only_run(other),
        pytest.raises(ReprocessError, match="Another `roadtwin reprocess`"),
    ):
        world.run()
    assert world.run().messages == 0


def rejected_as(world, message, code, **changes):
    """Keep a good message as one that an older parser refused."""
    item = replace(world.decoder.rejected(message.topic, message.payload, message.recorded_at, code, "old"), **changes)
    write_batch(world.conn, [], [item], worker="test", origin=Origin.MQTT)


def test_rejected_messages_that_are_taken_now_are_stored_once(world):
    world.profile(1, LEVEL)
    good, other, known = (world.decode(n) for n in range(3))
    for message in (good, good, other, known):
        rejected_as(world, message, "unknown_topic")
    rejected_as(world, world.decode(3), "payload_too_large", payload=b"{")
    rejected_as(world, replace_struct(good, payload=b"still nothing"), "invalid_json")
    rejected_as(world, replace_struct(good, topic=VEHICLE, payload=encoded(vehicle_reading())), "unknown_class")
    world.store(known)

    def run(at=RUN, code=None, **options):
        run = Reprocessing(world.conn, world.decoder, lambda: at, **options)
        return run.rejected(RejectedSelection(code), page=2)

    assert (run(dry_run=True).accepted, run(code="invalid_json").accepted) == (3, 0)
    counts, again = run(), run(at=RUN + timedelta(hours=1))

    assert (counts.rejected, counts.accepted, counts.known, counts.rejected_again) == (6, 2, 1, 1)
    assert (counts.not_whole, counts.vehicle_readings, *counted(counts)) == (1, 1, 2, 1, 0)
    assert (again.rejected, again.accepted, again.known, *counted(again)) == (3, 0, 0, 0, 0, 0)
    assert fetch(world.conn, "SELECT f_cnt, origin, recorded_at FROM message ORDER BY f_cnt") == [
        (n, origin, FIRST + timedelta(minutes=10 * n, seconds=1))
        for n, origin in enumerate(("reprocessed", "reprocessed", "mqtt"))
    ]
    assert fetch(world.conn, "SELECT recorded_at FROM observation ORDER BY observed_at") == [
        (RUN,), (RUN,), (known.recorded_at,),
    ]  # fmt: skip
    done = "SELECT code, sum(count)::int, reprocessed_at FROM rejected_message GROUP BY 1, 3 ORDER BY 1"
    assert fetch(world.conn, done) == [
        ("invalid_json", 1, None), ("payload_too_large", 1, None), ("unknown_class", 1, None),
        ("unknown_topic", 4, RUN),
    ]  # fmt: skip
    assert verify(world.conn).differences == ()
    assert counted(world.run()) == (0, 3, 0)
