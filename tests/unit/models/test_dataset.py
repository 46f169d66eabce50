"""Rows and labels: what is known, when it is settled, and that no window crosses a cut."""

from dataclasses import replace
from datetime import UTC, time
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.dataset import (
    MATURITY_DAYS,
    TimeSplit,
    build_dataset,
    days,
    make_cuts,
    make_labels,
    mask_labels,
    spatial_blocks,
    split_in_time,
)
from models.inputs import instant
from roadtwin.types import HORIZONS_DAYS


def quiet(city):
    """The city without anybody looking."""
    return replace(
        city.inputs,
        segment_days=city.inputs.segment_days.take(np.zeros(0, int)),
        inspections=city.inputs.inspections.take(np.zeros(0, int)),
    )


def test_a_window_that_nobody_observed_is_unknown_and_never_zero(city):
    cut = city.until - days(300)

    assert np.isnan(make_labels(quiet(city), cut)).all()


def test_blurred_passes_are_no_look(city):
    blurred = replace(city.inputs.segment_days, good_passes=np.zeros(len(city.inputs.segment_days)))

    assert np.isnan(make_labels(replace(quiet(city), segment_days=blurred), city.until - days(300))).all()


def test_labels_count_confirmed_holes_first_recorded_in_the_window(city):
    cut = city.until - days(300)
    labels, holes = make_labels(city.inputs, cut), city.inputs.potholes
    for column, horizon in enumerate(HORIZONS_DAYS):
        inside = (holes.first_recorded_at > cut) & (holes.first_recorded_at <= cut + days(horizon))
        expected = np.unique(holes.segment_index[inside & ~np.isnat(holes.confirmed_at)])
        known = np.isfinite(labels[:, column])
        np.testing.assert_array_equal(np.flatnonzero(labels[:, column] == 1), expected[known[expected]])
        assert known.mean() > 0.95


def test_a_hole_first_recorded_before_the_cut_and_confirmed_after_it_is_no_new_one(city):
    holes = city.inputs.potholes
    waiting = np.flatnonzero(holes.confirmed_at - holes.first_recorded_at > days(5))[20]
    alone = replace(city.inputs, potholes=holes.take(np.array([waiting])))

    labels = make_labels(alone, holes.first_recorded_at[waiting] + days(1))

    assert np.nansum(labels) == 0


def test_no_label_window_crosses_a_cut_between_training_calibration_and_test(trained):
    split = trained.split
    for column, horizon in enumerate(HORIZONS_DAYS):

        def cuts_of(rows, column=column):
            return rows.cut[np.isfinite(rows.labels[:, column])]

        reach = days(horizon + MATURITY_DAYS)
        assert cuts_of(trained.train).max() + reach <= split.calibrate_from
        assert cuts_of(trained.calibrate).min() >= split.calibrate_from
        assert cuts_of(trained.calibrate).max() + reach <= split.test_from
        assert cuts_of(trained.test).min() >= split.test_from
        assert cuts_of(trained.test).max() + reach <= split.data_until
        embargo = cuts_of(trained.calibrate).min() - cuts_of(trained.train).max()
        assert embargo >= days(horizon)


def test_labels_that_are_not_settled_at_the_end_of_the_data_are_unknown(city):
    cuts = np.array([city.until - days(40)])

    rows = build_dataset(city.inputs, cuts, data_until=city.until)

    assert np.isfinite(rows.labels[:, 0]).all()  # 7 + 28 d
    assert np.isnan(rows.labels[:, 1:]).all()


def test_labels_do_not_depend_on_what_is_recorded_after_they_are_settled(city):
    cut = city.until - days(400)
    for horizon in HORIZONS_DAYS:
        settled = cut + days(horizon + MATURITY_DAYS)
        np.testing.assert_array_equal(
            make_labels(city.inputs, cut, horizons_days=[horizon]),
            make_labels(city.inputs.recorded_by(settled), cut, horizons_days=[horizon]),
        )


def test_thinning_keeps_about_so_many_rows_and_the_rate(city, trained):
    cuts = np.unique(trained.rows.cut)

    thinned = build_dataset(city.inputs, cuts, data_until=city.until, max_rows=5000, rng=np.random.default_rng(1))

    assert len(thinned) == pytest.approx(5000, rel=0.1)
    assert np.nanmean(thinned.labels[:, 1]) == pytest.approx(np.nanmean(trained.rows.labels[:, 1]), rel=0.15)
    with pytest.raises(ValueError, match="without rng"):
        build_dataset(city.inputs, cuts, data_until=city.until, max_rows=5000)


def test_cuts_are_evenly_spaced_days_up_to_the_last_at_the_hour_of_scoring_also_when_clocks_change():
    cuts = make_cuts(
        instant("2026-03-01"), instant("2026-04-10T02:00"), step_days=7, at=time(5), zone=ZoneInfo("Europe/Berlin")
    )

    # five o'clock is 4 h UTC before 29 March and 3 h after it; on 10 April it is yet to come
    assert [str(cut)[:16] for cut in cuts] == [
        "2026-03-05T04:00", "2026-03-12T04:00", "2026-03-19T04:00", "2026-03-26T04:00", "2026-04-02T03:00",
        "2026-04-09T03:00",
    ]  # fmt: skip


def test_there_are_no_cuts_where_the_first_comes_after_the_last():
    assert make_cuts(instant("2026-02-01"), instant("2026-01-31"), step_days=7, at=time(5), zone=UTC).size == 0


def test_a_city_without_segments_gives_no_rows(city):
    segments = city.inputs.segments.take(np.zeros(0, int))
    empty = replace(quiet(city), segments=segments, potholes=city.inputs.potholes.take(np.zeros(0, int)),
                    open_spells=city.inputs.open_spells.take(np.zeros(0, int)),
                    repairs=city.inputs.repairs.take(np.zeros(0, int)),
                    trench_permits=city.inputs.trench_permits.take(np.zeros(0, int)))  # fmt: skip

    assert len(build_dataset(empty, np.array([city.until - days(100)]), data_until=city.until)) == 0


def test_blocks_are_at_least_500_m_wide(city):
    position = city.inputs.segments.positions_m()
    block = spatial_blocks(position)

    for number in np.unique(block):
        assert np.ptp(position[block == number], axis=0).max() <= 500


def test_masked_rows_are_those_from_the_first_label_to_the_last_and_are_not_copied(trained):
    rows = trained.rows.take(np.arange(10))
    wanted = np.zeros(rows.labels.shape, bool)
    wanted[[2, 7]] = True
    masked = mask_labels(replace(rows, labels=np.ones(rows.labels.shape)), wanted)

    assert np.isfinite(masked.labels).any(axis=1).tolist() == [True, False, False, False, False, True]
    assert np.shares_memory(masked.features, rows.features)
    np.testing.assert_array_equal(masked.features, rows.features[2:8])
    assert len(mask_labels(rows, np.zeros(rows.labels.shape, bool))) == 0


def test_a_row_may_serve_one_horizon_and_not_another(trained):
    early, late = trained.split.calibrate_from - days(100), trained.split.calibrate_from - days(40)
    split = TimeSplit(trained.split.calibrate_from, trained.split.test_from, trained.split.data_until)
    train, _, _ = split_in_time(trained.rows, split)
    between = (train.cut > early) & (train.cut < late)

    assert np.isfinite(train.labels[between, 0]).any()
    assert np.isnan(train.labels[between, 2]).all()
