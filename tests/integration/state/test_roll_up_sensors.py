"""Rolling observations up to sensor-days: what is used, when it is known, and that nothing is done twice."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from roadtwin.jobs.history import load_sensor_days
from roadtwin.jobs.sensors import RollUpCounts, roll_up_sensors
from roadtwin.storage.city import write_city
from roadtwin.storage.sensor_days import touch_days
from roadtwin.types import UNFIT, Flag

DAY = date(2026, 1, 15)
BEGIN = datetime(2026, 1, 14, 23, tzinfo=UTC)  # of the local day
END = BEGIN + timedelta(days=1)
NOW = END + timedelta(hours=3)


class Sensors:
    """Series 1 is a surface temperature, 2 a soil moisture, 3 an air temperature; all of one device."""

    def __init__(self, conn):
        self.conn = conn
        write_city(conn, name="Stadt", timezone="Europe/Berlin", simulated=False)
        conn.execute("INSERT INTO device (network_source, application, device) VALUES ('senml', '', 'd')")
        conn.execute(
            "INSERT INTO series (device_id, channel, quantity, depth_cm) SELECT device_id, '', q, d FROM device,"
            " (VALUES ('surface_temp_c', NULL::smallint), ('soil_moisture_pct', 40), ('air_temp_c', NULL)) AS x (q, d)"
        )
        ids = conn.execute("SELECT quantity, series_id FROM series").fetchall()
        self.surface, self.moisture, self.air = (
            dict(ids)[name] for name in ("surface_temp_c", "soil_moisture_pct", "air_temp_c")
        )
        conn.commit()

    def measure(self, values, *, begin=BEGIN, every=timedelta(hours=1), series=None, flags=Flag.NONE, recorded_at=None,
                version=1):  # fmt: skip
        """Store values one after the other, as the writer and the digest do."""
        series = self.surface if series is None else series
        at = [begin + n * every for n in range(len(values))]
        with self.conn.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO observation (series_id, observed_at, recorded_at, value, flags, profile_version)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                [
                    (series, t, recorded_at or t + timedelta(seconds=2), value, int(flags), version)
                    for t, value in zip(at, values, strict=True)
                ],
            )
        touch_days(self.conn, [series] * len(at), at)
        self.conn.commit()

    def roll_up(self, now=NOW):
        counts = roll_up_sensors(self.conn, now=now)
        self.conn.commit()
        return counts

    def days(self, series=None, columns="day, recorded_at, count, minimum, mean, maximum, freeze_thaw_cycles"):
        sql = f"SELECT {columns} FROM sensor_day WHERE series_id = %s ORDER BY day, recorded_at"
        return self.conn.execute(sql, [self.surface if series is None else series]).fetchall()


@pytest.fixture
def sensors(db):
    return Sensors(db)


@pytest.mark.every_part
def test_a_day_is_rolled_up_when_it_is_over_and_once(sensors):
    sensors.measure([-3, -2, 0, 2, 4, 0, -2, 3])

    assert sensors.roll_up(now=END - timedelta(minutes=1)) == RollUpCounts(0, 0)
    assert sensors.roll_up() == RollUpCounts(1, 1)
    assert sensors.roll_up() == RollUpCounts(0, 0)

    assert sensors.days() == [(DAY, END, 8, -3.0, 0.25, 4.0, 2)]
    assert sensors.days(columns="origin") == [("observed",)]


def test_only_quantities_of_the_pavement_are_rolled_up_and_cycles_are_those_of_temperatures(sensors):
    sensors.measure([-3, 20], series=sensors.moisture)
    sensors.measure([-3, 20], series=sensors.air)

    assert sensors.roll_up() == RollUpCounts(1, 1)
    assert sensors.days(sensors.moisture) == [(DAY, END, 2, -3.0, 8.5, 20.0, None)]


def test_a_frost_of_days_before_counts_on_the_day_on_which_it_thaws(sensors):
    for day, values in enumerate(([2, -5], [-0.5, -0.2], [0.5, -0.9, 1.5, 0.0])):
        sensors.measure(values, begin=BEGIN + timedelta(days=day))
    sensors.roll_up(now=END + timedelta(days=3))

    assert [cycles for (cycles,) in sensors.days(columns="freeze_thaw_cycles")] == [0, 0, 1]


@pytest.mark.every_part
def test_a_late_value_corrects_its_day_and_the_next_ones_beginning(sensors):
    sensors.measure([3, 4])
    sensors.measure([0.5, 3], begin=END)
    assert sensors.roll_up(now=END + timedelta(days=1)) == RollUpCounts(2, 2)
    arrived = END + timedelta(days=2)
    sensors.measure([-6], begin=END - timedelta(hours=1), recorded_at=arrived)

    assert sensors.roll_up(now=arrived + timedelta(minutes=1)) == RollUpCounts(2, 2)  # and the day after
    days = sensors.days(columns="day, recorded_at, count, freeze_thaw_cycles")
    later = DAY + timedelta(days=1)
    assert days[:2] == [(DAY, END, 2, 0), (DAY, arrived, 3, 0)]
    # The thaw of the next day is a cycle now; its values are as old as they were.
    assert days[2:] == [(later, END + timedelta(days=1), 2, 1)]


@pytest.mark.every_part
def test_unfit_and_superseded_values_never_enter(sensors):
    sensors.measure([1, 2])
    for number, flag in enumerate(UNFIT, start=3):
        sensors.measure([-99], begin=BEGIN + timedelta(hours=number), flags=flag | Flag.LATE)
    sensors.measure([3], begin=BEGIN + timedelta(hours=12), flags=Flag.LATE)
    sensors.roll_up()
    replaced_at = END + timedelta(hours=5)
    sensors.measure([7], begin=BEGIN, version=2, recorded_at=replaced_at)
    sensors.conn.execute(
        "UPDATE observation SET superseded_at = %s WHERE observed_at = %s AND profile_version = 1", [replaced_at, BEGIN]
    )
    sensors.roll_up(now=replaced_at)

    assert [row[1:6] for row in sensors.days()] == [(END, 3, 1.0, 2.0, 3.0), (replaced_at, 3, 2.0, 4.0, 7.0)]


def test_what_lies_in_a_day_by_a_wrong_clock_does_not_delay_it(sensors):
    sensors.measure([1, 2])
    arrived = END + timedelta(days=2)
    sensors.measure([9], begin=BEGIN + timedelta(hours=5), flags=Flag.SKEW, recorded_at=arrived)
    sensors.roll_up(now=arrived)

    assert sensors.days(columns="recorded_at, count") == [(END, 2)]


def test_a_day_of_which_nothing_fit_is_left_says_so(sensors):
    sensors.measure([1, 2])
    sensors.roll_up()
    taken_back = END + timedelta(hours=6)
    sensors.conn.execute("UPDATE observation SET superseded_at = %s", [taken_back])
    touch_days(sensors.conn, [sensors.surface], [BEGIN])
    sensors.roll_up(now=taken_back)

    assert sensors.days()[1:] == [(DAY, taken_back, 0, None, None, None, 0)]


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_local_days_of_the_change_of_clocks_are_whole(sensors, day, hours):
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=1 if hours == 23 else 2)
    sensors.measure(list(range(-2, 30)), begin=begin - timedelta(hours=2))
    sensors.roll_up(now=begin + timedelta(days=3))

    (found,) = [row for row in sensors.days() if row[0] == day]
    assert found[1:3] == (begin + timedelta(hours=hours), hours)
    assert (found[3], found[5]) == (0.0, hours - 1.0)


def test_what_comes_again_of_a_loaded_day_does_not_replace_it(sensors):
    columns = {"minimum": -1.0, "mean": 0.0, "maximum": 1.0}
    load_sensor_days(
        sensors.conn,
        {
            "series_id": np.array([sensors.surface], np.int32),
            "day": np.array([DAY], "datetime64[D]"),
            "recorded_at": np.array([END.replace(tzinfo=None)], "datetime64[us]"),
            "count": np.array([24], np.int16),
            "freeze_thaw_cycles": np.array([0], np.int16),
            **{name: np.array([value], np.float32) for name, value in columns.items()},
        },
    )
    sensors.measure([9], begin=END - timedelta(minutes=10))
    sensors.roll_up()

    assert sensors.days(columns="origin, count") == [("loaded", 24)]


def test_days_are_rolled_up_anew_where_the_city_changes_its_zone(sensors):
    sensors.measure([1, 2, 3], begin=BEGIN - timedelta(hours=1))
    sensors.roll_up(now=NOW + timedelta(days=1))
    write_city(sensors.conn, name="Stadt", timezone="UTC", simulated=False)
    sensors.roll_up(now=NOW + timedelta(days=1))

    newest = {row[0]: row[2] for row in sensors.days()}
    assert newest == {DAY - timedelta(days=1): 2, DAY: 1}
