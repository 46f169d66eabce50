"""Risk from dated events alone: what it learns, and that it looks at nothing after the cut."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.event_history import EventHistory
from models.recurrence import Recurrence, TooShortHistoryError, WeatherDays, learn_before
from models.recurrence import predict as predict_from

DAYS, SEGMENTS, CUT, HORIZON = 900, 2000, 600, 200


def a_city(seed: int, *, street_spread: float = 1.0) -> EventHistory:
    """Segments of streets with gamma rates: streets differ, so that neighbours tell of each other."""
    rng = np.random.default_rng(seed)
    street = np.repeat(np.arange(SEGMENTS // 8), 8).astype(np.int32)
    rate = rng.gamma(2.0, 1 / 2.0, SEGMENTS) * np.exp(street_spread * rng.normal(size=street.max() + 1))[street]
    counts = rng.poisson(0.6 * rate * DAYS / 365.25)
    segment = np.repeat(np.arange(SEGMENTS), counts).astype(np.int32)
    day = rng.integers(0, DAYS, len(segment))
    position = np.stack([np.arange(SEGMENTS) % 8 * 100.0, street * 150.0], axis=1)[segment]
    ids = tuple(f"s{i:05d}" for i in range(SEGMENTS))
    return EventHistory(ids, segment, day.astype(np.int64), street, position + rng.normal(0, 8, position.shape))


def predict(history: EventHistory, cut: int, horizon_days: int, **options) -> Recurrence:
    return predict_from(learn_before(history, cut, horizon_days), **options)


def outcome(history: EventHistory, segment_ids: tuple[str, ...]) -> np.ndarray:
    place = {name: i for i, name in enumerate(history.segment_ids)}
    return history.counts(CUT, CUT + HORIZON)[[place[name] for name in segment_ids]] > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_it_is_calibrated_and_better_than_the_count_so_far(seed):
    history = a_city(seed)

    result = predict(history, CUT, HORIZON)

    happened = outcome(history, result.segment_ids)
    assert result.probability.sum() == pytest.approx(happened.sum(), rel=0.12)
    ours, count = (roc_auc_score(happened, x) for x in (result.probability, result.events_so_far))
    assert ours > count + 0.01
    assert {"events_a_year", "street_rate", "near_rate", "spread"} <= set(result.features)


def test_nothing_after_the_cut_is_looked_at():
    history = a_city(3)
    past = history.day < CUT
    other_future = replace(
        history,
        segment=np.concatenate([history.segment[past], np.full(500, 7, np.int32)]),
        day=np.concatenate([history.day[past], np.full(500, CUT, np.int64)]),
        position_m=np.concatenate([history.position_m[past], np.full((500, 2), 1e4)]),
    )
    weather = WeatherDays(np.arange(DAYS), np.random.default_rng(1).normal(size=(DAYS, 2)), ("a", "b"))
    warmer_later = replace(weather, values=np.where(np.arange(DAYS)[:, None] < CUT, weather.values, 99.0))

    first = predict(history, CUT, 60, weather=weather)
    again = predict(other_future, CUT, 60, weather=warmer_later)

    assert first.segment_ids == again.segment_ids
    assert np.array_equal(first.probability, again.probability)


def test_shuffled_segments_after_the_cut_give_no_skill():
    history = a_city(4)
    late = history.day >= CUT
    shuffled = replace(
        history, segment=np.where(late, np.random.default_rng(5).permutation(history.segment), history.segment)
    )
    result = predict(shuffled, CUT, HORIZON)
    rng = np.random.default_rng(6)
    happened = rng.permutation(outcome(shuffled, result.segment_ids))

    assert roc_auc_score(happened, result.probability) == pytest.approx(0.5, abs=0.04)


def test_the_longer_the_window_the_more_likely():
    history = a_city(5)

    probability = [predict(history, CUT, days).probability for days in (30, 120, 300)]

    assert np.mean(probability[0]) < np.mean(probability[1]) < np.mean(probability[2])


def test_attributes_tell_of_segments_without_any_event():
    history = a_city(6, street_spread=0.0)
    rng = np.random.default_rng(7)
    old = rng.random(SEGMENTS) < 0.5
    keep = old[history.segment] | (rng.random(len(history.segment)) < 0.25)  # new roads: a quarter of the events
    columns = np.stack([np.where(rng.random(SEGMENTS) < 0.2, np.nan, old * 30.0), np.full(SEGMENTS, np.nan)], axis=1)
    history = replace(
        history,
        segment=history.segment[keep],
        day=history.day[keep],
        position_m=None,
        street=None,
        attributes=columns,
        attribute_names=("age", "never measured"),
    )

    result = predict(history, CUT, HORIZON)

    never = result.events_so_far == 0
    assert len(result.segment_ids) == SEGMENTS
    assert result.probability[never & old].mean() > 1.3 * result.probability[never & ~old].mean()
    assert "never measured" not in result.features
    assert result.probability.sum() == pytest.approx(outcome(history, result.segment_ids).sum(), rel=0.12)


def test_weather_takes_part_only_where_it_helped():
    """Busy weeks after wet ones: with the wet weather known, it is used; noise in its place is not."""
    rng = np.random.default_rng(8)
    history = a_city(8)
    wet = np.repeat(rng.random(DAYS // 28 + 1), 28)[:DAYS]
    lagged = np.concatenate([np.zeros(28), wet[:-28]])
    keep = rng.random(len(history.day)) < (0.15 + 0.85 * lagged)[history.day]
    history = replace(
        history, segment=history.segment[keep], day=history.day[keep], position_m=history.position_m[keep]
    )

    def used(values: np.ndarray) -> bool:
        weather = WeatherDays(np.arange(DAYS), values[:, None], ("rain",))
        return predict(history, 616, 28, weather=weather).uses_weather

    assert used(wet)
    assert not used(np.random.default_rng(11).normal(size=DAYS))
    assert not predict(history, 616, 365, weather=WeatherDays(np.arange(DAYS), wet[:, None], ("rain",))).uses_weather


@pytest.mark.parametrize("cut", [0, 140])
def test_a_short_record_is_refused(cut):
    with pytest.raises(TooShortHistoryError, match="expected at least 148"):
        predict(a_city(9), cut, 30)


def test_forecasts_of_the_same_lessons_are_those_of_lessons_of_their_own():
    history = a_city(10)
    lessons = learn_before(history, CUT, HORIZON)

    for options in ({}, {"only": ("events_a_year",)}, {"only": ()}):
        shared, own = predict_from(lessons, **options), predict(history, CUT, HORIZON, **options)
        np.testing.assert_array_equal(shared.probability, own.probability)
        assert shared.features == own.features == options.get("only", shared.features)
