from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from roadtwin.errors import SimulationError
from roadtwin.records.schema import RECORD_KINDS
from simulators.history import live_records, simulate_history
from simulators.world import build_world

START = datetime(2024, 9, 30, 22, tzinfo=UTC)
END = datetime(2025, 3, 20, 23, tzinfo=UTC)


def gathered(chunks):
    records, readings, days = {kind: [] for kind in RECORD_KINDS}, [], []
    for chunk in chunks:
        for kind, found in chunk.records.items():
            records[kind] += found
        readings += chunk.readings
        columns = chunk.segment_days
        days += zip(
            columns.segment_index.tolist(), columns.day.tolist(), columns.recorded_at.tolist(), columns.passes.tolist(),
            columns.good_passes.tolist(), columns.longitudinal_cracks.tolist(), columns.transverse_cracks.tolist(),
            columns.alligator_cracks.tolist(), columns.potholes_seen.tolist(),
            np.nan_to_num(columns.roughness_mps2, nan=-1.0).tolist(),
            strict=True,
        )  # fmt: skip
    return records, readings, days


@pytest.fixture(scope="module")
def history(small_world):
    return gathered(simulate_history(small_world, start=START, end=END))


def test_history_in_two_parts_is_history_in_one(history):
    world = build_world(seed=11, length_km=15, start=START)
    cut = datetime(2024, 12, 24, 14, 23, 11, tzinfo=UTC)

    records, readings, days = gathered(
        [*simulate_history(world, start=START, end=cut), *simulate_history(world, start=cut, end=END)]
    )

    assert records == history[0]
    assert readings == history[1]
    assert days == history[2]


def test_an_early_part_is_the_same_after_a_later_one_was_made(small_world, history):
    end = START + timedelta(days=40)
    records, readings, days = gathered(simulate_history(small_world, start=START, end=end))

    assert readings == [r for r in history[1] if r.observed_at <= end]
    assert days == [d for d in history[2] if d[2] <= end.replace(tzinfo=None)]
    assert records["repair"] == [r for r in history[0]["repair"] if r.recorded_at <= end]


def test_every_record_is_valid_and_was_known_after_it_was_true(history):
    for kind, records in history[0].items():
        again = msgspec.json.decode(msgspec.json.encode(records), type=list[RECORD_KINDS[kind]])
        assert again == records
        assert len({record.record_id for record in records}) == len(records)
        assert all(record.observed_at <= record.recorded_at <= END for record in records)
        assert [r.recorded_at for r in records] == sorted(r.recorded_at for r in records)


def test_the_kinds_that_a_city_keeps_are_there(history, small_world):
    counts = {kind: len(records) for kind, records in history[0].items()}

    assert counts["weather"] == (END - START) / timedelta(hours=1)
    assert counts["weather_forecast"] == 171 * 52  # midnights, UTC
    assert counts["inspection"] > 20 * len(small_world.segments) * 0.2
    assert counts["repair"] > 20
    assert min(counts["report"], counts["survey"], counts["trench_permit"], counts["planned_work"]) > 0
    assert any(inspection.findings for inspection in history[0]["inspection"])


def test_readings_show_potholes_and_stand_near_the_road(history, small_world):
    assert len(history[1]) > 20
    lines = np.concatenate([section.line for section in small_world.sections])
    low, high = lines.min(axis=0) - 0.001, lines.max(axis=0) + 0.001
    for reading in history[1]:
        assert reading.detections
        assert {detection.class_code for detection in reading.detections} == {"D40"}
        assert low[0] < reading.position.lon < high[0]
        assert low[1] < reading.position.lat < high[1]
        assert 1.0 <= reading.position.accuracy_m <= 30.0  # as stated: right on average, not each time


def test_segment_days_count_what_readings_show(history):
    days = history[2]

    assert len({(segment, day) for segment, day, *_ in days}) == len(days)
    assert all(0 <= good <= passes for _, _, _, passes, good, *_ in days)
    assert sum(day[8] for day in days) == sum(len(reading.detections) for reading in history[1])
    assert sum(day[4] for day in days) < sum(day[3] for day in days)  # some passes were wet or dark


def test_live_records_go_on_where_history_ended(small_world, history):
    end = END + timedelta(days=7)
    both = gathered(simulate_history(small_world, start=START, end=end))[0]

    live = live_records(small_world, start=END, end=end)

    assert {kind: history[0][kind] + live[kind] for kind in RECORD_KINDS} == both


@pytest.mark.parametrize(
    ("start", "end", "sentence"),
    [
        (datetime(2024, 9, 1, tzinfo=UTC), END, "Begin: got 2024-09-01"),
        (END, START, "Period: got an end"),
        (START.replace(tzinfo=None), END, "without zone"),
    ],
)
def test_a_period_that_cannot_be_is_refused(small_world, start, end, sentence):
    with pytest.raises(SimulationError, match=sentence):
        list(simulate_history(small_world, start=start, end=end))
