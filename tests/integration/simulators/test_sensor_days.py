"""Sensor-days that are loaded with history, and those that are rolled up from decoded messages of the same days."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ingest.digest import digest_all
from ingest.offline import ingest_directly
from roadtwin.jobs.sensors import RollUpCounts, roll_up_sensors
from roadtwin.jobs.simulated import SimulatedCity, found_city
from roadtwin.records.sensor_days import TEMPERATURES
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from simulators.devices.device_feed import DeviceFeed
from simulators.history import History
from simulators.instants import us_of
from simulators.scenario import parse_scenario
from simulators.truth.truth import truth_of

EPOCH = datetime(2024, 11, 30, 23, tzinfo=UTC)
START = datetime(2025, 1, 12, 23, tzinfo=UTC)
END = START + timedelta(days=7)
KNOWN = END + timedelta(hours=12)
SCENARIO = """
name = "doubtful"
title = "Doubtful values"
title_de = "Zweifelhafte Werte"
summary = "All that a day of a sensor can have: gaps, absurd, stuck, drifting values, late, lost, misdated uplinks."
[[fault]]
kind = "sensor-outage"
devices = "dl-cws2"
share = 0.4
from = "2025-01-15T07:00"
until = "2025-01-16T11:00"
[[fault]]
kind = "sensor-spikes"
share = 0.5
samples = 0.1
[[fault]]
kind = "sensor-stuck"
devices = "pt100"
share = 0.5
from = "2025-01-12T00:00"
[[fault]]
kind = "sensor-drift"
devices = "lse01"
from = "2025-01-10"
[[fault]]
kind = "late-uplinks"
share = 0.5
[[fault]]
kind = "packet-loss"
share = 0.3
[[fault]]
kind = "gateway-clock"
share = 0.5
offset_s = -90_000.0
from = "2025-01-14T09:00"
until = "2025-01-16T12:00"
"""


@pytest.fixture
def both(database_url, tmp_path):
    """Rows by (device, channel, quantity, depth, day): of history, and as rolled up from messages."""
    settings = Settings(data_dir=tmp_path, pseudonym_key="a key of many random bytes", database_url=database_url)
    scenario = parse_scenario(SCENARIO)
    world = found_city(database_url, settings, SimulatedCity(11, 15, EPOCH, EPOCH, scenario, EPOCH.date()))
    feed = DeviceFeed(truth_of(world)).block(us_of(START - timedelta(days=15)), us_of(KNOWN))
    ingest_directly(database_url, feed, settings)
    with connect(database_url) as conn:
        digest_all(conn, KNOWN)
        counts = roll_up_sensors(conn, now=KNOWN)
        assert roll_up_sensors(conn, now=KNOWN) == RollUpCounts(0, 0)
        found = conn.execute(
            "SELECT v.device, s.channel, s.quantity, s.depth_cm, d.day, d.recorded_at, d.count, d.minimum, d.mean,"
            " d.maximum, d.freeze_thaw_cycles"
            " FROM sensor_day AS d JOIN series AS s USING (series_id) JOIN device AS v USING (device_id)"
            " WHERE d.day >= %s AND d.origin = 'observed'",
            [(START + timedelta(hours=2)).date()],
        ).fetchall()
    assert counts.written >= len(found)
    days = History(world).sensor_days(START, KNOWN)
    made = {}
    for i, number in enumerate(days.series_index.tolist()):
        series = days.series[number]
        key = (series.device, series.channel, series.quantity, series.depth_cm, days.day[i].item())
        known = days.recorded_at[i].item().replace(tzinfo=UTC)
        cycles = int(days.freeze_thaw_cycles[i])
        made[key] = (
            known, int(days.count[i]), float(days.minimum[i]), float(days.mean[i]), float(days.maximum[i]),
            cycles if cycles >= 0 else None,
        )  # fmt: skip
    return made, {tuple(row[:5]): tuple(row[5:]) for row in found if row[6]}


def test_loaded_and_rolled_up_sensor_days_agree(both):
    made, rolled_up = both

    assert made.keys() == rolled_up.keys()
    assert len(made) > 200
    ours, theirs = (
        np.array([values[key][1:5] for key in sorted(made, key=str)], float) for values in (made, rolled_up)
    )
    same = ours[:, 0] == theirs[:, 0]
    assert same.mean() > 0.99  # a value at midnight may count to the other day
    assert np.abs(ours - theirs)[same].max() < 0.02  # a step of a codec
    cycles = {key: (made[key][5], rolled_up[key][5]) for key in made}
    assert sum(one == other for one, other in cycles.values()) > 0.995 * len(cycles)
    assert {one is None for (_, _, quantity, _, _), (one, _) in cycles.items() if quantity in TEMPERATURES} == {False}
    assert sum(one or 0 for one, _ in cycles.values()) > 3
    late = [(made[key][0] - rolled_up[key][0]) / timedelta(seconds=1) for key in made]
    assert np.abs(late).max() < 60
    assert max(known.hour for known, *_ in made.values()) > 0  # some day was known late
