from datetime import date

import numpy as np
import pytest

from models.draw import draw, draw_for, draw_for_any, estimate_total, places_by_lot, seed_of

IDS = [f"register:{n}:0-100" for n in range(400)]


def test_the_same_day_and_city_give_the_same_draw_in_whatever_order_the_segments_come():
    seed = seed_of("Essen", date(2026, 1, 9))
    first = [IDS[i] for i in draw(IDS, 20, seed=seed)]
    assert first == [IDS[::-1][i] for i in draw(IDS[::-1], 20, seed=seed)]
    assert len(set(first)) == 20
    assert first[:5] == [IDS[i] for i in draw(IDS, 5, seed=seed)]
    assert first != [IDS[i] for i in draw(IDS, 20, seed=seed_of("Essen", date(2026, 1, 10)))]
    assert first != [IDS[i] for i in draw(IDS, 20, seed=seed_of("Herne", date(2026, 1, 9)))]


def test_over_days_every_segment_is_drawn_about_as_often():
    days = 300
    counts = np.zeros(len(IDS))
    for day in range(days):
        counts[draw(IDS, 40, seed=f"Essen|{day}")] += 1
    expected, p = days * 0.1, 0.1
    # Chi-square over the segments: mean n − 1, standard deviation √(2 (n − 1)); five of them are allowed.
    statistic = ((counts - expected) ** 2 / (days * p * (1 - p))).sum()
    assert abs(statistic - (len(IDS) - 1)) < 5 * np.sqrt(2 * len(IDS))


def test_a_small_frame_is_drawn_whole():
    assert sorted(draw(IDS[:3], 5, seed="x")) == [0, 1, 2]


@pytest.mark.parametrize(("capacity", "share", "places"), [(120, 0.05, 6), (1, 0.05, 1), (30, 0.05, 2), (50, 0.0, 0)])
def test_the_share_gives_at_least_one_place_unless_it_is_zero(capacity, share, places):
    assert places_by_lot(capacity, share) == places


def test_weighted_by_the_probability_a_draw_tells_the_total_of_the_frame():
    rng = np.random.default_rng(1)
    holes = rng.poisson(0.3, len(IDS)).astype(float)
    estimates, errors = [], []
    for day in range(300):
        drawn = draw(IDS, 40, seed=f"Essen|{day}")
        total, error = estimate_total(holes[drawn], np.full(40, 0.1))
        estimates.append(total)
        errors.append(error)
    assert np.mean(estimates) == pytest.approx(holes.sum(), rel=0.05)
    assert np.std(estimates) == pytest.approx(np.mean(errors), rel=0.15)
    assert np.isnan(estimate_total(np.array([1.0]), np.array([0.1]))[1])


@pytest.mark.parametrize("share", [0.0, 0.05, 0.4, 1.0])
def test_what_is_stored_for_any_capacity_holds_the_draw_of_each_among_all_that_its_list_leaves_out(share):
    seed, most = "Essen|2026-01-09", 60
    stored = draw_for_any(IDS, most, share, seed=seed)
    positions = [index + 1 for index in stored]
    for capacity in range(1, most + 1):
        places = places_by_lot(capacity, share)
        top = capacity - places
        frame = IDS[top:]
        drawn = [IDS[stored[at]] for at in draw_for(positions, capacity, share)]
        assert drawn == [frame[at] for at in draw(frame, places, seed=seed)]
    assert len(stored) == len(set(stored))


def test_of_a_small_capacity_all_below_its_own_top_are_drawn_about_as_often():
    days, ids, share, capacity = 2000, IDS[:40], 0.2, 5
    counts = np.zeros(len(ids))
    for day in range(days):
        stored = draw_for_any(ids, 30, share, seed=f"Essen|{day}")
        for at in draw_for([index + 1 for index in stored], capacity, share):
            counts[stored[at]] += 1
    p = 1 / 36  # of five places one is drawn, among all but the four worst
    assert counts[:4].sum() == 0
    statistic = ((counts[4:] - days * p) ** 2 / (days * p * (1 - p))).sum()
    assert abs(statistic - 35) < 5 * np.sqrt(2 * 35)
