"""Forecasts of the simulator go through the importer as files of a weather service would."""

from datetime import UTC, datetime, timedelta

import msgspec

from roadtwin.jobs.importing import import_records_file
from simulators.weather.forecasts import Forecasts
from simulators.world import build_world


def test_simulated_forecasts_are_imported_once_and_the_newest_can_be_told(db, tmp_path):
    start = datetime(2021, 7, 2, tzinfo=UTC)
    records = list(Forecasts(build_world(seed=1, length_km=6)).issued(start, start + timedelta(days=14)))
    path = tmp_path / "weather_forecast.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(record) for record in records))

    first = import_records_file(db, "weather_forecast", path)
    second = import_records_file(db, "weather_forecast", path)

    assert (first.received, first.stored, first.rejections) == (len(records), len(records), ())
    assert second.stored == 0
    # What was known of a noon two days before it.
    noon, known = start + timedelta(days=10, hours=12), start + timedelta(days=8, hours=12)
    row = db.execute(
        "SELECT issued_at, air_temp_c FROM weather_forecast WHERE valid_at = %s AND recorded_at <= %s "
        "ORDER BY issued_at DESC LIMIT 1",
        (noon, known),
    ).fetchone()
    expected = next(r for r in records if r.valid_at == noon and r.issued_at == start + timedelta(days=8))
    assert row == (expected.issued_at, expected.air_temp_c)
