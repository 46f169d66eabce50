"""Where camera vehicles drive, and that they could."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from simulators.holidays import is_holiday, public_holidays, rounds_on
from simulators.vehicles.fleet import BUS, CAR, TRUCK
from simulators.vehicles.traffic import Timetable
from simulators.world import build_world

MONDAY = date(2024, 12, 2)


@pytest.fixture(scope="module", params=[3, 4])
def timetable(request):
    return Timetable(build_world(seed=request.param, length_km=60, start=datetime(2024, 9, 30, 22, tzinfo=UTC)))


def drives(timetable, days):
    """(day, passes, kind of each)."""
    for day in days:
        passes = timetable.passes_on(day)
        yield day, passes, timetable.fleet.kind(passes.vehicle)


def days_from(first, count):
    return [first + timedelta(days=i) for i in range(count)]


def places(timetable, passes):
    """Begin and end of each drive [m], shape (n, 2) each."""
    begin, end = (timetable._graph.place[n] for n in timetable._graph.nodes(passes.section, passes.direction))
    metres = 111_320 * np.array([np.cos(np.radians(51.45)), 1.0])
    return begin * metres, end * metres


def test_holidays_are_those_of_the_law():
    assert sorted(public_holidays(2025)) == [
        date(2025, 1, 1), date(2025, 4, 18), date(2025, 4, 21), date(2025, 5, 1), date(2025, 5, 29), date(2025, 6, 9),
        date(2025, 6, 19), date(2025, 10, 3), date(2025, 11, 1), date(2025, 12, 25), date(2025, 12, 26),
    ]  # fmt: skip


@pytest.mark.parametrize("year", range(2020, 2031))
def test_every_round_of_a_week_is_driven_once_and_on_a_working_day(year):
    monday = date(year, 1, 1) - timedelta(days=date(year, 1, 1).weekday())
    for week in range(53):
        days = days_from(monday + timedelta(weeks=week), 7)
        driven = [number for day in days for number in rounds_on(day)]
        assert driven == [0, 1, 2, 3, 4]
        assert not any(rounds_on(day) for day in days if day.weekday() == 6 or is_holiday(day))
        assert max(len(rounds_on(day)) for day in days) <= 2


def test_refuse_trucks_pass_every_street_on_both_sides_in_a_fortnight_also_at_christmas(timetable):
    for first in (MONDAY, date(2024, 12, 16)):
        passed = []
        for _, passes, kind in drives(timetable, days_from(first, 14)):
            passed += (2 * passes.section + (passes.direction > 0))[kind == TRUCK].tolist()
        assert sorted(passed) == list(range(2 * len(timetable.world.sections)))


def test_inspectors_pass_every_street_in_both_directions_in_four_weeks(timetable):
    passed = []
    for _, passes, kind in drives(timetable, days_from(MONDAY + timedelta(weeks=5), 28)):
        passed += (2 * passes.section + (passes.direction > 0))[kind == CAR].tolist()
    assert sorted(passed) == list(range(2 * len(timetable.world.sections)))


def test_buses_drive_every_bus_street_every_day_there_and_back_and_hardly_any_other(timetable):
    served = set(np.concatenate(timetable.world.bus_routes).tolist())
    length = timetable.world.geometry.section_length_m
    for _, passes, kind in drives(timetable, days_from(MONDAY + timedelta(days=20), 8)):  # Christmas among them
        for direction in (1, -1):
            driven = passes.section[(kind == BUS) & (passes.direction == direction)]
            assert served <= set(driven.tolist())
            assert length[driven].sum() < 1.5 * length[list(served)].sum()


def test_nobody_is_in_two_places_and_nobody_flies(timetable):
    for _, passes, kind in drives(timetable, days_from(MONDAY, 28)):
        begin, end = places(timetable, passes)
        over_us = passes.start_us + timetable.world.geometry.section_length_m[passes.section] / passes.speed_mps * 1e6
        for vehicle in np.unique(passes.vehicle):
            rows = np.flatnonzero(passes.vehicle == vehicle)
            rows = rows[np.argsort(passes.start_us[rows])]
            pause_s = (passes.start_us[rows[1:]] - over_us[rows[:-1]]) / 1e6
            way_m = np.hypot(*(begin[rows[1:]] - end[rows[:-1]]).T)
            assert pause_s.min() > 0
            assert (way_m / pause_s).max() < 50 / 3.6
        assert len(np.unique(passes.key)) == len(passes.key)
        limit = np.array([s.attributes.speed_limit_kmh for s in timetable.world.sections])[passes.section] / 3.6
        assert np.all(passes.speed_mps < limit)
        assert passes.speed_mps[kind == TRUCK].max(initial=0) < 9


def test_walks_hang_together_where_the_streets_do(timetable):
    """Buses always; a truck or car only jumps where its part of the town falls into pieces."""
    jumps = drives_ = 0
    for _, passes, kind in drives(timetable, days_from(MONDAY, 5)):
        begin, end = places(timetable, passes)
        for vehicle in np.unique(passes.vehicle):
            rows = np.flatnonzero(passes.vehicle == vehicle)
            rows = rows[np.argsort(passes.start_us[rows])]
            gaps = np.hypot(*(begin[rows[1:]] - end[rows[:-1]]).T) > 1
            if kind[rows[0]] == BUS:
                assert not gaps.any()
            jumps, drives_ = jumps + gaps.sum(), drives_ + len(rows)
    assert jumps < 0.05 * drives_


def test_shifts_are_kept(timetable):
    for day, passes, kind in drives(timetable, days_from(MONDAY, 14)):
        midnight_us, _ = timetable.world.day_bounds_us(day)
        hour = (passes.start_us - midnight_us) / 3.6e9
        assert hour.min() >= 7
        assert hour[kind == TRUCK].max(initial=0) < 16  # a slow day is an hour longer
        assert hour[kind == BUS].max() < 17.5
        assert (day.weekday() > 4) == (not np.any(kind != BUS))  # no holiday among them


def test_a_day_is_the_same_from_any_timetable_of_the_world(timetable):
    again = Timetable(timetable.world)
    for name in ("section", "direction", "vehicle", "start_us", "speed_mps", "key"):
        assert np.array_equal(getattr(again.passes_on(MONDAY), name), getattr(timetable.passes_on(MONDAY), name))
