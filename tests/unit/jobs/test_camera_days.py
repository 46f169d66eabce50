"""Segment-days in the order that features are made in."""

import numpy as np

from roadtwin.jobs.camera_days import to_table_of_days

SEGMENTS = np.array([3, 5, 9], np.int32)


def test_days_are_ordered_and_editions_of_one_by_the_time_of_their_recording() -> None:
    rng = np.random.default_rng(4)
    count = 500
    segment_id = rng.choice(np.array([3, 4, 5, 9], np.int32), count)  # 4 is no segment of now
    day = np.datetime64("2026-01-01") + rng.integers(0, 20, count)  # so few that most days have several editions
    recorded_at = day.astype("datetime64[us]") + rng.integers(0, 10**12, count)
    passes = np.arange(count, dtype=np.int16)
    cracks = rng.integers(0, 65_535, count).astype(np.int32)
    columns = {
        "segment_id": segment_id.copy(),
        "day": day.copy(),
        "recorded_at": recorded_at.copy(),
        "good_passes": passes.copy(),
        "linear_cracks": cracks.copy(),
        "alligator_cracks": np.zeros(count, np.int32),
        "roughness_mps2": np.full(count, 0.5, np.float32),
    }
    table = to_table_of_days(columns, SEGMENTS)

    known = np.flatnonzero(segment_id != 4)
    expected = known[np.lexsort((recorded_at[known], segment_id[known], day[known]))]
    assert table.good_passes.tolist() == passes[expected].tolist()
    assert table.linear_cracks.tolist() == cracks[expected].tolist()
    assert (table.day.astype("datetime64[D]") == day[expected]).all()
    assert (table.recorded_at == recorded_at[expected]).all()
    assert (SEGMENTS[table.segment_index] == segment_id[expected]).all()
    assert not columns  # they were let go
