"""Digesting batches: flags, health, and that every batch counts exactly once."""

from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import psycopg
import pytest

from ingest.digest import DigestCounts, digest
from roadtwin.storage.database import connect
from roadtwin.storage.device_states import read_health_summary
from roadtwin.storage.health import try_lock
from roadtwin.storage.messages import write_batch
from roadtwin.types import Clock, DeviceKey, Flag, Message, Observation, Origin, Reception
from tests.integration.ingest.conftest import fetch
from tests.samples import chirpstack, encoded

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
NOW = START + timedelta(days=8)
KEY = DeviceKey("chirpstack-v4", "app", "70b3d57ed0051234")


def uplink(minute, f_cnt=None, *, kind="up", data="AQID", device=KEY, recorded=None, flags=Flag.NONE, **values):
    """An uplink of so many minutes after the start; `values` are measured quantities."""
    at = START + timedelta(minutes=minute)
    changes = {name: values.pop(name) for name in ("clock_skew_s", "receptions", "gateway_count") if name in values}
    return Message(
        message_id=uuid5(NAMESPACE_URL, f"{device} {kind} {minute} {f_cnt} {data}"),
        format="chirpstack-v4-json",
        event_kind=kind,
        topic="application/app/device/x/event/up",
        payload=encoded(chirpstack(data=data, fCnt=f_cnt or 0, deduplicationId=f"{minute}")),
        recorded_at=recorded or at + timedelta(seconds=1),
        event_at=at,
        clock=Clock.GPS,
        device=device,
        dev_eui=device.device,
        f_cnt=f_cnt,
        f_port=2,
        flags=flags,
        observations=tuple(Observation("", name, None, at, value, flags) for name, value in values.items()),
        **changes,
    )


@pytest.fixture
def store(db):
    def write(*messages):
        return write_batch(db, messages, [], worker="test", origin=Origin.MQTT)

    return write


def health(db, *columns):
    rows = fetch(db, f"SELECT {', '.join(columns)} FROM device_health ORDER BY device_id")
    return rows[0] if len(rows) == 1 else rows


def flags_of(db, flag):
    """Minutes of the uplinks that have the flag."""
    query = "SELECT observed_at FROM message WHERE flags & {} <> 0 ORDER BY 1"
    return [(at - START) // timedelta(minutes=1) for (at,) in fetch(db, query.format(int(flag)))]


def test_a_batch_is_digested_once(db, store):
    store(uplink(0, 1), uplink(10, 2), uplink(20, 5))
    store(uplink(30, 6, air_temp_c=4.0))

    assert digest(db, NOW) == DigestCounts(batches=2, messages=4, observations=1)
    assert digest(db, NOW) == DigestCounts()
    assert health(db, "messages", "uplinks", "frames_missing", "interval_s") == (4, 4, 2, 600)
    assert fetch(db, "SELECT count(*) FROM ingest_batch WHERE digested_at = '2026-03-18 12:00Z'") == [(2,)]


def test_small_rounds_count_the_same(db, store):
    for number in range(6):
        store(uplink(10 * number, 2 * number), uplink(10 * number + 5, 2 * number + 1))

    rounds = []
    while (counts := digest(db, NOW, most_batches=4, most_rows=5)).batches:
        rounds.append((counts.batches, counts.messages))

    assert rounds == [(2, 4)] * 3
    assert health(db, "messages", "frames_missing") == (12, 0)


def test_a_batch_beyond_all_bounds_is_a_round_of_its_own(db, store):
    store(*(uplink(n, n, air_temp_c=4.0) for n in range(9)))
    store(uplink(10, 10))

    assert digest(db, NOW, most_rows=5).messages == 9
    assert digest(db, NOW).batches == 1
    assert digest(db, NOW).batches == 0


def test_the_range_of_a_batch_finds_the_same(db, store):
    store(uplink(0, 1, air_temp_c=4.0), uplink(10, 5, air_temp_c=40.0))
    db.execute(
        """UPDATE ingest_batch SET (observed_from, observed_until)
           = (SELECT min(observed_at), max(observed_at) FROM message)"""
    )
    db.commit()

    assert digest(db, NOW) == DigestCounts(batches=1, messages=2, observations=2, observations_flagged=1)


def test_a_digest_that_fails_at_its_very_end_leaves_nothing_and_is_done_again(db, store):
    store(uplink(0, 1, air_temp_c=4.0), uplink(10, 63, air_temp_c=59.0), uplink(20, 0))
    db.execute(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE disk_full; END';
           CREATE TRIGGER refuse BEFORE UPDATE ON ingest_batch FOR EACH ROW EXECUTE FUNCTION refuse()"""
    )
    db.commit()
    with pytest.raises(psycopg.errors.DiskFull):
        digest(db, NOW)
    assert fetch(db, "SELECT count(*) FROM device_health") == [(0,)]
    assert flags_of(db, Flag.COUNTER_RESET) == []

    db.execute("DROP TRIGGER refuse ON ingest_batch")
    db.commit()

    assert digest(db, NOW).batches == 1
    assert health(db, "frames_missing", "counter_falls") == (61, 1)
    assert flags_of(db, Flag.COUNTER_RESET) == [20]


def test_of_two_workers_one_digests_and_the_other_is_told_so(db, store, database_url):
    store(uplink(0, 1))
    with connect(database_url) as other, other.transaction():
        assert try_lock(other)
        assert digest(db, NOW) == DigestCounts(locked_out=True)

    assert digest(db, NOW).batches == 1


def test_an_open_transaction_is_refused(db):
    db.execute("SELECT 1")
    with pytest.raises(ValueError, match="open transaction"):
        digest(db, NOW)


def test_a_reset_is_flagged_and_a_rejoin_is_none(db, store):
    store(uplink(0, 62), uplink(10, 63), uplink(20, 0), uplink(30, 1))
    store(uplink(40, kind="join"), uplink(50, 0), uplink(60, 1))

    digest(db, NOW)

    assert flags_of(db, Flag.COUNTER_RESET) == [20, 50]
    assert health(db, "counter_falls", "rejoins", "last_reset_at") == (2, 1, START + timedelta(minutes=20))


def test_a_late_frame_takes_a_gap_back_and_moves_the_mark_of_a_fall(db, store):
    store(uplink(0, 63), uplink(20, 1), uplink(30, 3))
    digest(db, NOW)
    assert (flags_of(db, Flag.COUNTER_RESET), health(db, "frames_missing")) == ([20], (1,))

    store(uplink(10, 0, recorded=START + timedelta(hours=2)), uplink(25, 2, recorded=START + timedelta(hours=2)))
    digest(db, NOW)

    assert (flags_of(db, Flag.COUNTER_RESET), health(db, "frames_missing", "counter_falls")) == ([10], (0, 1))


def test_a_clock_that_is_ahead_once_makes_no_reset(db, store):
    ahead = uplink(600, 11, recorded=START + timedelta(minutes=10), flags=Flag.FUTURE)
    store(uplink(0, 10), ahead, uplink(20, 12), uplink(30, 13))
    digest(db, NOW)

    assert health(db, "counter_falls", "frames_missing", "last_message_at") == (0, 0, START + timedelta(minutes=30))


def test_devices_without_frame_counters_have_an_interval_too(db, store):
    sensor = DeviceKey("senml", "", "gully-12")
    store(*(uplink(15 * n, kind="readings", device=sensor, water_level_mm=10.0 + n) for n in range(9)))
    digest(db, NOW)

    assert health(db, "uplinks", "interval_s", "frames_missing") == (9, 900, 0)


def test_the_same_frame_with_the_same_payload_is_a_retransmission_and_with_another_one_is_not(db, store):
    store(uplink(0, 5, data="AAAA"), uplink(1, 5, data="AAAA"), uplink(10, 6, data="AAAA"))
    store(uplink(11, 6, data="BBBB"), uplink(20, 7))
    digest(db, NOW)
    store(uplink(21, 7))
    digest(db, NOW)

    assert flags_of(db, Flag.RETRANSMISSION) == [1, 21]
    assert health(db, "retransmissions", "repeated_counters", "frames_missing") == (2, 1, 0)


def test_values_are_flagged_across_batches_and_only_they_change(db, store):
    store(uplink(0, 1, air_temp_c=4.0, battery_v=3.6))
    digest(db, NOW)
    store(uplink(10, 2, air_temp_c=40.0, battery_v=3.6), uplink(20, 3, air_temp_c=4.5, battery_v=3.6))

    assert digest(db, NOW).observations_flagged == 1
    assert fetch(db, "SELECT value FROM observation WHERE flags & 2 <> 0") == [(40.0,)]


def test_a_stuck_series_is_flagged_and_makes_its_device_stuck(db, store):
    for day in range(3):
        store(*(uplink(1440 * day + 60 * hour, 24 * day + hour, air_temp_c=3.5) for hour in range(24)))
        digest(db, NOW)

    assert fetch(db, "SELECT count(*) FROM observation WHERE flags & 4 <> 0") == [(24 - 1,)]
    assert read_health_summary(db, START + timedelta(days=3)).devices_by_state == {"stuck": 1, "unconfirmed": 1}


def test_a_message_that_tells_of_an_empty_battery_is_flagged(db, store):
    store(uplink(0, 1, battery_v=3.6), uplink(10, 2, battery_v=2.7))
    digest(db, NOW)
    assert (flags_of(db, Flag.LOW_BATTERY), health(db, "battery_low", "highest_battery_v")) == ([10], (True, 3.6))

    store(uplink(20, 3, battery_v=3.5), uplink(5, 2, battery_v=2.6))
    digest(db, NOW)

    assert flags_of(db, Flag.LOW_BATTERY) == [5, 10]
    assert health(db, "battery_low", "battery_v") == (False, 3.5)


def test_histories_of_one_uplink_belong_to_it(db, store):
    history = tuple(
        Observation("", "air_temp_c", None, START - timedelta(hours=hours), 4.0 + hours) for hours in (3, 2, 1)
    )
    message = uplink(0, 1)
    store(type(message)(**{f: getattr(message, f) for f in message.__struct_fields__} | {"observations": history}))

    assert digest(db, NOW).observations == 3
    assert fetch(db, "SELECT last_value FROM series_state") == [(5.0,)]


def test_clocks_gateways_and_radio_are_followed(db, store):
    near = Reception("a1", -97.0, 4.5, 0.25)
    store(uplink(0, 1, clock_skew_s=40.0, gateway_count=1, receptions=(near,)))
    digest(db, NOW)
    store(uplink(10, 2, clock_skew_s=42.0, gateway_count=2, receptions=(near, Reception("a2", -110.0))))
    digest(db, NOW)

    mean, count, last, gateways = health(db, "clock_skew_s", "clock_skew_count", "last_clock_skew_s", "gateways")
    assert (mean, count, last, gateways) == (pytest.approx(41, abs=0.1), 2, 42, pytest.approx(1.5, abs=0.1))
    columns = "receptions, interval_s, clock_skew_s, clock_skew_count, strongest_rssi_dbm"
    assert fetch(db, f"SELECT {columns} FROM gateway_health ORDER BY gateway_id") == [
        (2, 600, 0.25, 2, -97),
        (1, None, None, 0, -110),
    ]
    summary = read_health_summary(db, START + timedelta(hours=1))
    assert summary.devices_by_state == {"skewed_clock": 1, "unconfirmed": 1}
    assert summary.gateways_by_state == {"ok": 2}


def test_devices_are_told_silent_by_name_when_somebody_asks(db, store):
    other = KEY._replace(device="70b3d57ed0059999")
    store(uplink(0, 1), uplink(10, 2), uplink(300, 1, device=other), uplink(310, 12, device=other))
    digest(db, NOW)

    summary = read_health_summary(db, START + timedelta(minutes=320))

    assert summary.silent == [KEY.device]
    assert summary.worst_losses == [(other.device, pytest.approx(10 / 12, abs=0.002), 10)]


def test_batches_from_before_messages_named_theirs_are_passed_over(db, store):
    store(uplink(0, 1))
    db.execute("UPDATE message SET batch_id = NULL")
    db.commit()

    assert digest(db, NOW) == DigestCounts(batches=1)
    assert fetch(db, "SELECT count(*) FROM device_health") == [(0,)]


def test_vehicles_and_messages_without_a_device_need_no_health(db, store):
    message = uplink(0, 1)
    fields = {f: getattr(message, f) for f in message.__struct_fields__}
    store(Message(**fields | {"device": None, "observations": ()}))

    assert digest(db, NOW) == DigestCounts(batches=1)
