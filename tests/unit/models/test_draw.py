from datetime import date

import numpy as np
import pytest

from models.draw import draw, estimate_total, places_by_lot, seed_of

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
