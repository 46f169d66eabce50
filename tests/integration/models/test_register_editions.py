"""A new edition of the register changes features from its import on, and none before."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from roadtwin.jobs.importing import import_network
from roadtwin.jobs.inputs import load_city, to_instant
from roadtwin.jobs.simulated import read_simulated_city, world_of
from roadtwin.network.sections import Attributes

NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)
BEFORE, IMPORTED = NOW - timedelta(days=100), NOW - timedelta(days=50)


@pytest.fixture
def sections(conn):
    return world_of(read_simulated_city(conn), "Europe/Berlin").sections


def features(conn, settings, *, known_at, as_of):
    return FeatureBuilder(load_city(conn, settings, now=known_at)).at(to_instant(as_of))


def test_features_before_a_new_edition_stay_bit_for_bit(simulated, conn, sections):
    before, after = (features(conn, simulated.settings, known_at=NOW, as_of=at) for at in (BEFORE, NOW))
    other = [
        replace(
            section,
            attributes=Attributes(
                wearing_course_year=1970 + number % 40, drainage=("good", "fair", "poor")[number % 3],
                trench_area_pct=float(number % 30), tree_cover_pct=float(number % 50), width_m=6.0 + number % 4,
            ),
        )
        for number, section in enumerate(sections)
    ]  # fmt: skip
    counts = import_network(conn, other, recorded_at=IMPORTED, source_version="2")
    assert (counts.updated, counts.segments_added) == (len(sections), 0)

    for known_at in (BEFORE, IMPORTED - timedelta(seconds=1), NOW):
        np.testing.assert_array_equal(features(conn, simulated.settings, known_at=known_at, as_of=BEFORE), before)
    now = features(conn, simulated.settings, known_at=NOW, as_of=NOW)
    changed = {name for column, name in enumerate(FEATURE_SET.names)
               if not np.array_equal(now[:, column], after[:, column], equal_nan=True)}  # fmt: skip
    assert {"wearing_course_age_years", "drainage", "trench_area_pct", "width_m", "thickness_cm"} <= changed
    assert "length_m" not in changed
    sensors = {FEATURE_SET.names[i] for i in FEATURE_SET.columns(["sensors"])}
    assert changed & sensors == {name for name in sensors if np.isfinite(after[:, FEATURE_SET.index(name)]).any()}

    current = load_city(conn, simulated.settings, now=NOW, current=True)
    assert current.editions == ()
    np.testing.assert_array_equal(FeatureBuilder(current).at(to_instant(NOW)), now)


def test_a_register_that_was_imported_again_unchanged_has_one_edition(simulated, conn, sections):
    import_network(conn, sections, recorded_at=IMPORTED, source_version="2")

    assert load_city(conn, simulated.settings, now=NOW).editions == ()
