"""Segment-days that are loaded with history, and those that are rolled up from raw readings of the same days."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ingest.offline import ingest_directly
from roadtwin.jobs.match import match_new
from roadtwin.jobs.simulated import SimulatedCity, found_city
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from simulators.history import simulate_history
from simulators.messages import messages
from simulators.scenario import read_scenario

EPOCH = datetime(2024, 11, 30, 23, tzinfo=UTC)
START = datetime(2025, 1, 12, 23, tzinfo=UTC)
END = START + timedelta(days=3)


@pytest.fixture
def rolled_up(database_url, tmp_path):
    """The world, and (public id, day) → (passes, good passes, roughness, cracks, potholes) from raw messages."""
    settings = Settings(data_dir=tmp_path, pseudonym_key="a key of many random bytes", database_url=database_url)
    world = found_city(
        database_url, settings, SimulatedCity(11, 15, EPOCH, EPOCH, read_scenario("ordinary"), EPOCH.date())
    )
    feed = messages(world, start=START, end=END + timedelta(hours=2))
    ingest_directly(database_url, feed, settings, on_progress=None)
    with connect(database_url) as conn:
        match_new(conn, settings, now=END + timedelta(hours=2))
        found = conn.execute(
            "SELECT DISTINCT ON (s.public_id, d.day) s.public_id, d.day, d.passes, d.good_passes, d.roughness_mps2,"
            " d.longitudinal_cracks + d.transverse_cracks + d.alligator_cracks, d.potholes_seen"
            " FROM segment_day AS d JOIN segment AS s USING (segment_id)"
            " ORDER BY s.public_id, d.day, d.recorded_at DESC"
        ).fetchall()
    return world, {(segment, day): values for segment, day, *values in found}


def test_loaded_and_rolled_up_segment_days_agree(rolled_up):
    world, replayed = rolled_up
    loaded = {}
    for chunk in simulate_history(world, start=START, end=END):
        d = chunk.segment_days
        for i, day in zip(d.segment_index.tolist(), d.day.tolist(), strict=True):
            loaded[world.segment_ids[i], day] = len(loaded)
        cracks = d.longitudinal_cracks + d.transverse_cracks + d.alligator_cracks
        columns = np.stack([d.passes, d.good_passes, d.roughness_mps2, cracks, d.potholes_seen], axis=1).astype(float)
    both = sorted(set(loaded) & set(replayed))
    ours = columns[[loaded[key] for key in both]]
    theirs = np.array([replayed[key] for key in both], dtype=float)

    assert len(both) > 0.95 * len(loaded)
    assert np.nanmean(theirs[:, 2]) == pytest.approx(np.nanmean(ours[:, 2]), rel=0.03)
    assert theirs[:, 0].mean() == pytest.approx(ours[:, 0].mean(), rel=0.25)  # neighbours catch some readings
    assert theirs[:, 1].sum() / theirs[:, 0].sum() == pytest.approx(ours[:, 1].sum() / ours[:, 0].sum(), abs=0.05)
    assert theirs[:, 3].sum() == pytest.approx(ours[:, 3].sum(), rel=0.05)
    assert theirs[:, 4].sum() == pytest.approx(ours[:, 4].sum(), rel=0.15)  # some tens
