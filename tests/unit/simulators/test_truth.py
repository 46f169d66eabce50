"""The hidden truth against the numbers of Essen."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from roadtwin.errors import SimulationError
from simulators.truth.calibration import CALIBRATION_YEARS
from simulators.truth.holes import STILL_OPEN_US
from simulators.truth.repairs import TREATMENT_SHARE_PER_YEAR
from simulators.truth.truth import Truth, truth_of
from simulators.world import build_world

FIRST = date(2018, 7, 1)


@pytest.fixture(scope="module")
def city():
    """The calibration period of a city of 50 km: every day's births, sightings and works."""
    world = build_world(seed=21, length_km=50, start=datetime(2018, 6, 30, 22, tzinfo=UTC))
    truth = truth_of(world)
    found = SimpleNamespace(world=world, truth=truth, days=[], born=[], true=0, false=0, works=[], visits=0, treated=[])
    found.longest = dict.fromkeys((1, 2, 3), 0.0)
    for events in truth.days(FIRST, FIRST.replace(year=FIRST.year + CALIBRATION_YEARS)):
        found.days.append(events.day)
        found.born.append(len(events.born))
        found.true += sum(s.hole >= 0 for s in events.sightings)
        found.false += sum(s.hole < 0 for s in events.sightings)
        found.works.extend(events.works)
        found.visits += len(events.visits)
        found.treated += events.treated
        _, end_us = world.day_bounds_us(events.day)
        still = np.flatnonzero(truth.holes.closed_us[: len(truth.holes)] >= end_us)
        for grade in found.longest:
            graded = still[truth.holes.grade[still] == grade]
            days = (end_us - truth.holes.grade_since_us[graded]).max(initial=0) / 86_400e6
            found.longest[grade] = max(found.longest[grade], days)
    found.born = np.array(found.born)
    found.month = np.array([day.month for day in found.days])
    return found


def test_the_yearly_mean_is_that_of_essen(city):
    hundreds = city.truth.condition.length_m.sum() / 100

    assert city.born.mean() * 7 / hundreds == pytest.approx(0.0375, rel=0.10)


def test_midwinter_has_two_and_a_half_times_as_many(city):
    ratio = city.born[city.month <= 2].mean() / city.born.mean()

    assert ratio == pytest.approx(2.5, rel=0.20)


def test_holes_cluster_as_a_saturating_gamma_frailty_of_one_half_makes_them(city):
    holes = city.truth.holes
    counts = np.sort(np.bincount(holes.segment[: len(holes)], minlength=len(city.world.segments)))[::-1]

    assert 0.3 < counts[: len(counts) // 10].sum() / counts.sum() < 0.6
    assert city.truth.condition.frailty.mean() == pytest.approx(1.0, rel=0.25)


def test_no_stretch_is_left_to_fall_to_pieces(city):
    """The most holes that break open on one segment in any 90 days."""
    holes, count = city.truth.holes, len(city.truth.holes)
    day = ((holes.born_us[:count] - holes.born_us[:count].min()) // 86_400_000_000).astype(int)
    per_day = np.zeros((len(city.world.segments), day.max() + 1), int)
    np.add.at(per_day, (holes.segment[:count], day), 1)
    total = np.cumsum(per_day, axis=1)
    worst = (total[:, 90:] - total[:, :-90]).max(axis=1)

    assert worst.max() <= 15
    assert np.mean(worst > 10) < 0.02


def test_where_patching_does_not_help_a_segment_gets_a_new_wearing_course(city):
    condition, treatments = city.truth.condition, city.treated
    years = Counter(treatment.decided_on.year for treatment in treatments)
    first = treatments[0]
    after = first.done_on + timedelta(days=45)

    assert max(years.values()) <= max(1, round(TREATMENT_SHARE_PER_YEAR * len(city.world.segments)))
    assert all(t.decided_on + timedelta(days=21) <= t.done_on for t in treatments)
    assert all((t.done_on - t.decided_on).days < 120 for t in treatments)
    assert condition.crack_pct(after.year, after.month)[first.segment] < 0.1
    assert (
        condition.multiplier(after.year, after.month)[first.segment]
        < 0.6 * condition.multiplier(after.year, after.month, treated=False)[first.segment]
    )


def test_no_hole_stays_open_for_longer_than_its_severity_allows(city):
    """Low: weeks to months, medium: four weeks, severe: three days."""
    most = city.longest

    assert most[1] <= 80
    assert most[2] <= 28
    assert most[3] <= 3


def test_the_number_of_holes_follows_the_true_hazard(city):
    """Without patches the hazard is a lower bound; with all that they can add, an upper one."""
    expected = sum(city.truth.expected_holes(day).sum() for day in city.days)

    assert 1.0 < city.born.sum() / expected < 2.0


def test_the_detector_has_about_the_published_precision(city):
    assert city.true / (city.true + city.false) == pytest.approx(0.75, abs=0.08)


def test_crews_keep_up_and_every_hole_is_closed_once(city):
    holes, count = city.truth.holes, len(city.truth.holes)
    closed = holes.closed_us[:count] < STILL_OPEN_US
    days_open = (holes.closed_us[:count][closed] - holes.born_us[:count][closed]) / 86_400e6
    repaired = [work.hole for work in city.works if work.kind == "repaired"]

    assert len(repaired) == len(set(repaired))
    assert days_open.min() > 0
    assert np.median(days_open) < 28
    assert closed.mean() > 0.97
    assert {work.kind for work in city.works} == {"repaired", "secured"}


def test_holes_lie_in_their_segment_and_grow(city):
    holes, which = city.truth.holes, np.arange(len(city.truth.holes))
    geometry = city.world.geometry
    start = geometry.segment_from_m[holes.segment[which]]

    assert np.all(holes.station_m[which] >= start)
    assert np.all(holes.station_m[which] <= start + geometry.segment_length_m[holes.segment[which]])
    assert np.all(holes.depth_m(which, 1e9) >= holes.depth_at_birth_m[which])
    assert set(holes.severity(which, 0.0).tolist()) <= {1, 2, 3}


def test_renewals_and_trenches_change_the_road(city):
    condition, year = city.truth.condition, 2021
    renewal = condition.renewals_of(year)[0]
    segments = condition.segments_of(renewal.section)

    assert condition.crack_pct(year + 1, 1)[segments].max() < condition.crack_pct(year, 1)[segments].max()
    assert condition.trench_pct(year + 1, 1).sum() > condition.trench_pct(year, 1).sum()
    assert all(renewal.decided_on < renewal.done_on for renewal in condition.renewals_of(year))


def test_a_day_is_the_same_whenever_it_is_asked_for(small_world):
    truth, fresh = truth_of(small_world), Truth(small_world)
    day = small_world.epoch + timedelta(days=70)
    list(truth.days(small_world.epoch, day + timedelta(days=60)))

    again, first = truth.day(day), fresh.day(day)

    assert again.works == first.works
    assert again.sightings == first.sightings
    assert again.visits == first.visits
    assert again.reports == first.reports
    assert again.born.tolist() == first.born.tolist()


def test_no_camera_sees_a_hole_before_it_is_there_or_after_it_is_closed(small_world):
    truth = truth_of(small_world)
    for events in truth.days(small_world.epoch, small_world.epoch + timedelta(days=120)):
        for sighting in events.sightings:
            if sighting.hole >= 0:
                assert truth.holes.born_us[sighting.hole] <= sighting.time_us < truth.holes.closed_us[sighting.hole]
                assert events.passes.section[sighting.row] == truth.holes.section[sighting.hole]


def test_every_segment_is_passed_once_a_fortnight(small_world):
    truth, seen = truth_of(small_world), set()
    for events in truth.days(small_world.epoch, small_world.epoch + timedelta(days=14)):
        seen |= set(events.passes.section.tolist())

    assert seen == set(range(len(small_world.sections)))


def test_days_before_the_world_are_refused(small_world):
    with pytest.raises(SimulationError, match="expected no day before the world's first one, 2024-10-01"):
        list(truth_of(small_world).days(date(2024, 9, 30), date(2024, 10, 2)))
