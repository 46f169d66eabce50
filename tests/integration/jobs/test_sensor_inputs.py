"""Sensor-days as models get them: of confirmed devices, at the segment where they stood, as known at a time."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from models.inputs import SensorQuantity
from roadtwin.jobs.importing import import_network
from roadtwin.jobs.inputs import load_city
from roadtwin.network.sections import RoadSection
from roadtwin.settings import Settings
from roadtwin.storage.city import write_city
from roadtwin.storage.network import read_current_segments

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SETTINGS = Settings()
WEST, EAST, FAR = (7.0007, 51.45), (7.0060, 51.45), (7.1, 51.45)


@pytest.fixture
def city(db):
    write_city(db, name="Stadt", timezone="Europe/Berlin", simulated=False)
    import_network(db, [RoadSection("reg", "7", np.array([[7.0, 51.45], [7.0066, 51.45]]))], recorded_at=NOW)
    return db


def add(db, name, quantity="surface_temp_c", *, at=WEST, status="confirmed", depth_cm=None, days=1, known=0, **places):
    """A device with a series and sensor-days from 1 February on; `places`: other channels' places."""
    (device,) = db.execute(
        "INSERT INTO device (network_source, application, device, status) VALUES ('senml', '', %s, %s)"
        " RETURNING device_id",
        [name, status],
    ).fetchone()
    for channel, (lon, lat) in {"": at, **places}.items():
        db.execute(
            "INSERT INTO device_installation (device_id, channel, valid_from, lon, lat)"
            " VALUES (%s, %s, '2025-01-01', %s, %s)",
            [device, channel, lon, lat],
        )
    (series,) = db.execute(
        "INSERT INTO series (device_id, channel, quantity, depth_cm) VALUES (%s, %s, %s, %s) RETURNING series_id",
        [device, max(places, default=""), quantity, depth_cm],
    ).fetchone()
    for n in range(days):
        day = date(2026, 2, 1) + timedelta(days=n)
        db.execute(
            "INSERT INTO sensor_day VALUES (%s, %s, %s, 'loaded', 24, -2, 1, 4, %s)",
            [
                series,
                day,
                datetime(2026, 2, 2 + n, tzinfo=UTC) + timedelta(days=known),
                1 if depth_cm is None else None,
            ],
        )
    return device, series


def loaded(db, now=NOW):
    days = load_city(db, SETTINGS, now=now).sensor_days
    return sorted(zip(days.sensor.tolist(), days.day.tolist(), days.segment_index.tolist(), strict=True))


def test_only_confirmed_devices_near_the_network_count(city, capsys):
    _, sound = add(city, "sound")
    for name, changes in {
        "unconfirmed": {"status": "unconfirmed"},
        "retired": {"status": "retired"},
        "far": {"at": FAR},
        "air": {"quantity": "air_temp_c"},
        "deep": {"quantity": "soil_moisture_pct", "depth_cm": 70},
    }.items():
        add(city, name, **changes)

    assert loaded(city) == [(sound, date(2026, 2, 1), 0)]
    assert "sensors outside the network" in "".join(capsys.readouterr())


def test_quantities_and_numbers_come_as_they_are(city):
    add(city, "surface")
    add(city, "soil", "soil_moisture_pct", depth_cm=40, at=EAST)
    days = load_city(city, SETTINGS, now=NOW).sensor_days

    order = np.argsort(days.quantity)
    assert days.quantity[order].tolist() == [SensorQuantity.SURFACE_TEMP, SensorQuantity.SOIL_MOISTURE]
    assert (days.minimum.tolist(), days.mean.tolist(), days.maximum.tolist()) == ([-2] * 2, [1] * 2, [4] * 2)
    np.testing.assert_array_equal(days.freeze_thaw_cycles[order], [1, np.nan])
    last = len(read_current_segments(city)) - 1
    assert days.segment_index[order].tolist() == [0, last]


def test_what_is_recorded_later_is_not_there_yet(city):
    _, series = add(city, "surface", days=3, known=2)

    assert loaded(city, datetime(2026, 2, 5, tzinfo=UTC)) == [(series, date(2026, 2, d), 0) for d in (1, 2)]


def test_a_sensor_that_was_moved_counts_where_it_stood_and_a_channel_where_its_own_probe_is(city):
    device, series = add(city, "moved", days=3)
    _, other = add(city, "two", at=WEST, far=EAST)
    moved_at = datetime(2026, 2, 2, 12, tzinfo=UTC)
    city.execute("UPDATE device_installation SET valid_to = %s WHERE device_id = %s", [moved_at, device])
    city.execute(
        "INSERT INTO device_installation (device_id, valid_from, lon, lat) VALUES (%s, %s, %s, %s)",
        [device, moved_at, *EAST],
    )
    last = len(read_current_segments(city)) - 1

    assert loaded(city) == [
        (series, date(2026, 2, 1), 0),
        (series, date(2026, 2, 2), last),
        (series, date(2026, 2, 3), last),
        (other, date(2026, 2, 1), last),
    ]
