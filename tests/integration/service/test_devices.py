"""Health of devices and gateways over HTTP."""

from datetime import timedelta

import pytest

from roadtwin.storage import queries
from roadtwin.storage.device_states import LIMITS
from roadtwin.types import Flag
from tests.service_city import FIXED_NOW

AGO = FIXED_NOW - timedelta(minutes=1)
HEALTHY = {
    "messages": 40, "uplinks": 30, "last_message_at": AGO, "interval_s": 600.0, "interval_count": 29,
    "frames_missing": 3, "counter_falls": 0, "rejoins": 0, "repeated_counters": 0, "retransmissions": 0,
    "recent_frames": 29.0, "recent_missing": 1.0, "recent_frames_at": [], "recent_f_cnts": [], "recent_joins_at": [],
    "clock_skew_weight": 0.0, "clock_skew_count": 0, "rssi_weight": 0.0, "gateways_weight": 0.0, "battery_low": False,
    "digested_at": AGO,
}  # fmt: skip
GATEWAY = {
    "receptions": 100, "first_seen_at": AGO - timedelta(days=9), "last_seen_at": AGO, "interval_s": 30.0,
    "clock_skew_weight": 5.0, "clock_skew_count": 5, "digested_at": AGO,
}  # fmt: skip


def insert(db, table, row):
    columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
    db.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", list(row.values()))
    db.commit()


def device_ids(client):
    return [device["device_id"] for device in client.get("/v1/devices").json()["devices"]]


def states(client, device_id):
    return client.get(f"/v1/devices/{device_id}").json()["states"]


def test_a_device_tells_its_health_and_that_nothing_is_the_matter(client, db):
    first, *_ = device_ids(client)
    insert(db, "device_health", HEALTHY | {"device_id": first})

    device = client.get(f"/v1/devices/{first}").json()

    assert device["states"] == ["ok"]
    assert (device["silent_s"], device["silent_after_s"]) == (40, 7200)
    assert device["recent_loss"] == pytest.approx(1 / 30)
    assert (device["health"]["frames_missing"], device["health"]["resets"]) == (3, 0)
    assert [s["quantity"] for s in device["series"]] == ["soil_moisture_pct"]
    assert device["values"][0]["flags"] == ["range"]


@pytest.mark.parametrize(
    ("state", "change"),
    [
        ("low_battery", {"battery_low": True}),
        ("skewed_clock", {"clock_skew_s": -31.0}),
        ("losing_frames", {"recent_missing": 10.0}),
        ("counter_reset", {"counter_falls": 1, "last_reset_at": AGO}),
    ],
)
def test_a_device_is_found_by_its_state_among_others(client, db, state, change):
    first, second, third = device_ids(client)
    insert(db, "device_health", HEALTHY | {"device_id": first})
    insert(db, "device_health", HEALTHY | {"device_id": third} | change)

    found = client.get("/v1/devices", params={"state": state}).json()["devices"]

    assert [(d["device_id"], d["states"]) for d in found] == [(third, ["unconfirmed", state])]
    assert states(client, second) == ["ok"]


def test_a_lost_frame_in_ten_seen_on_few_frames_says_nothing(client, db):
    first, *_ = device_ids(client)
    insert(db, "device_health", HEALTHY | {"device_id": first, "recent_frames": 2.0, "recent_missing": 2.0})

    assert states(client, first) == ["ok"]


@pytest.mark.parametrize(
    ("interval_s", "since_s", "expected"),
    [
        (600, 7000, ["ok"]),
        (600, 7300, ["silent"]),
        (3600, 10_700, ["ok"]),
        (3600, 10_900, ["silent"]),
        (None, 86_000, ["ok"]),
        (None, 87_000, ["silent"]),
    ],
)
def test_a_device_is_silent_after_three_of_its_intervals_and_two_hours_at_least(
    client, db, interval_s, since_s, expected
):
    first, *_ = device_ids(client)
    last = FIXED_NOW - timedelta(seconds=since_s)
    db.execute("UPDATE device SET last_seen_at = %s WHERE device_id = %s", [last - timedelta(seconds=50), first])
    insert(db, "device_health", HEALTHY | {"device_id": first, "interval_s": interval_s, "last_message_at": last})

    assert states(client, first) == expected


def test_a_device_that_was_registered_and_never_heard_of_says_so(client, db):
    first, *_ = device_ids(client)
    db.execute("UPDATE device SET first_seen_at = NULL, last_seen_at = NULL WHERE device_id = %s", [first])
    db.commit()

    assert states(client, first) == ["never_seen"]


def test_a_device_with_one_stuck_series_is_stuck(client, db):
    first, *_ = device_ids(client)
    (series_id,) = db.execute("SELECT series_id FROM series WHERE device_id = %s", [first]).fetchone()
    run = {"unchanged_since": AGO - timedelta(days=20), "unchanged_count": 900, "stuck": True}
    insert(db, "series_state", {"series_id": series_id, "last_observed_at": AGO, "last_value": 21.5} | run)

    device = client.get(f"/v1/devices/{first}").json()

    assert device["states"] == ["stuck"]
    assert (device["series"][0]["stuck"], device["series"][0]["unchanged_count"]) == (True, 900)


@pytest.mark.parametrize("state", [None, "stuck"])
def test_whether_a_series_is_stuck_is_looked_up_once_for_each_device(db, state):
    asked = {"status": None, "state": state, "device_id": None, "after_device_id": 0, "limit": 100, "now": FIXED_NOW}
    statement = queries.load("device_states")["find_device_states"]
    (plan,) = db.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {statement}", LIMITS | asked).fetchone()

    assert str(plan).count("'Relation Name': 'series_state'") == 1


@pytest.mark.parametrize(
    ("flags", "ago", "expected"),
    [
        ([Flag.CLOCK, Flag.SKEW, Flag.NONE], timedelta(hours=1), ["no_trusted_time"]),
        ([Flag.CLOCK, Flag.NONE], timedelta(hours=1), ["ok"]),
        ([Flag.RANGE, Flag.LATE], timedelta(hours=1), ["ok"]),
        ([Flag.CLOCK, Flag.SKEW], timedelta(hours=26), ["ok"]),
    ],
)
def test_a_device_whose_values_mostly_have_no_trusted_time_says_so(client, db, flags, ago, expected):
    first, *_ = device_ids(client)
    (series_id,) = db.execute("SELECT series_id FROM series WHERE device_id = %s", [first]).fetchone()
    db.execute("DELETE FROM observation WHERE series_id = %s", [series_id])
    for number, flag in enumerate(flags):
        at = FIXED_NOW - ago + timedelta(minutes=number)
        value = {"observed_at": at, "recorded_at": at, "value": 21.5, "flags": int(flag), "profile_version": 1}
        insert(db, "observation", {"series_id": series_id} | value)

    assert states(client, first) == expected
    named = client.get("/v1/devices", params={"state": "no_trusted_time"}).json()["devices"]
    assert [d["device_id"] for d in named] == ([first] if expected != ["ok"] else [])


def test_pages_of_a_state_follow_one_another_and_their_token_belongs_to_it(client):
    first = client.get("/v1/devices", params={"state": "ok", "limit": 1}).json()
    second = client.get("/v1/devices", params={"state": "ok", "limit": 1, "page": first["next_page"]}).json()

    assert [p["devices"][0]["name"] for p in (first, second)] == ["Bodenfeuchte 1", "Bodenfeuchte 2"]
    assert second["next_page"] is None
    assert client.get("/v1/devices", params={"state": "silent", "page": first["next_page"]}).status_code == 400


def test_unknown_devices_and_states_are_problems(client):
    assert client.get("/v1/devices/999").json()["type"].endswith("device-not-found")
    assert client.get("/v1/devices", params={"state": "tired"}).status_code == 422
    assert client.get("/v1/gateways", params={"state": "losing_frames"}).status_code == 422


@pytest.mark.parametrize("path", ["/v1/devices/1", "/v1/gateways"])
def test_reading_needs_a_key_where_the_operator_says_so(start_service, city, path):
    closed = start_service(open_read=False)

    assert closed.get(path).status_code == 401


def test_gateways_tell_silence_and_skewed_clocks(client, db):
    for gateway_id, change in (
        ("a", {}),
        ("b", {"last_seen_at": FIXED_NOW - timedelta(hours=3)}),
        ("c", {"clock_skew_s": 40.0}),
    ):
        insert(db, "gateway_health", GATEWAY | {"gateway_id": gateway_id} | change)

    first = client.get("/v1/gateways", params={"limit": 2}).json()
    rest = client.get("/v1/gateways", params={"limit": 2, "page": first["next_page"]}).json()

    found = {g["gateway_id"]: g["states"] for g in first["gateways"] + rest["gateways"]}
    assert found == {"a": ["ok"], "b": ["silent"], "c": ["skewed_clock"]}
    assert rest["next_page"] is None
    assert [g["gateway_id"] for g in client.get("/v1/gateways", params={"state": "silent"}).json()["gateways"]] == ["b"]
