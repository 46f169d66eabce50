import numpy as np
import pytest

from roadtwin.network.trace_smoothing import smoothed

ACCURACY_M = 6.0


def one_drive(count=200, *, seed, error_m=ACCURACY_M):
    """A drive at 10 m/s round bends: truth (n, 2), and what is told of it as arguments of `smoothed`."""
    rng = np.random.default_rng(seed)
    course = np.cumsum(rng.normal(0, 0.1, count))
    ahead = np.column_stack([np.sin(course), np.cos(course)])
    truth = np.cumsum(10 * (ahead + np.roll(ahead, 1, axis=0)) / 2, axis=0)
    told = {
        "position": truth + error_m * rng.normal(size=truth.shape),
        "accuracy_m": np.full(count, ACCURACY_M),
        "heading_deg": np.degrees(course + np.radians(4) * rng.normal(size=count)) % 360,
        "way_m": 10 * (1 + 0.03 * rng.normal(size=count)),
        "stands": np.zeros(count, bool),
        "run": np.zeros(count, np.intp),
    }
    return truth, told


def rms_m(error):
    return float(np.sqrt((error**2).mean()))


def test_of_errors_that_are_new_in_each_reading_less_than_a_third_is_left():
    truth, told = one_drive(400, seed=1)

    assert rms_m(smoothed(**told) - truth) < rms_m(told["position"] - truth) / 3


def test_an_error_that_stays_for_good_cannot_be_told():
    truth, told = one_drive(seed=2, error_m=0)
    position = truth + np.array([8.0, 0.0])

    assert smoothed(**told | {"position": position}) == pytest.approx(position, abs=3)


def test_the_result_solves_the_least_squares_of_the_documentation():
    _, told = one_drive(30, seed=3)
    told["accuracy_m"] = np.linspace(4, 9, 30)
    course = np.radians(told["heading_deg"])
    ahead = np.column_stack([np.sin(course), np.cos(course)])
    step = told["way_m"][1:, None] * (ahead[1:] + ahead[:-1]) / 2
    bend = ((ahead[1:] - ahead[:-1]) ** 2).sum(axis=1) / 24
    variance = told["way_m"][1:] ** 2 * (0.26**2 + bend) + 0.1**2
    share = np.append(1.0, told["way_m"][1:] / 100)
    weight = np.sqrt(np.concatenate([share / told["accuracy_m"] ** 2, 1 / variance]))[:, None]
    equations = np.concatenate([np.eye(30), np.diff(np.eye(30), axis=0)])
    solution, *_ = np.linalg.lstsq(weight * equations, weight * np.concatenate([told["position"], step]))

    assert smoothed(**told) == pytest.approx(solution, abs=1e-6)


@pytest.mark.parametrize("missing", ["way_m", "heading_deg"])
def test_without_speed_or_heading_positions_stay_as_they_are(missing):
    _, told = one_drive(seed=4)

    result = smoothed(**told | {missing: np.full(200, np.nan)})

    assert np.array_equal(result, told["position"])


@pytest.mark.parametrize("wrong", ["headings across", "headings backwards", "three times the speed"])
def test_steps_that_lead_elsewhere_than_the_positions_are_not_believed(wrong):
    _, told = one_drive(seed=5)
    if wrong == "three times the speed":
        told["way_m"] = 3 * told["way_m"]
    else:
        told["heading_deg"] = told["heading_deg"] + (90 if wrong == "headings across" else 180)

    result = smoothed(**told)

    assert np.abs(result - told["position"])[3:-3].max() == 0


def test_positions_of_a_vehicle_that_stands_are_one():
    _, told = one_drive(120, seed=6)
    told["position"] = ACCURACY_M * np.random.default_rng(7).normal(size=(120, 2))
    told |= {"heading_deg": np.full(120, np.nan), "way_m": np.zeros(120), "stands": np.ones(120, bool)}

    assert np.ptp(smoothed(**told), axis=0).max() < 1


def test_drives_do_not_change_each_other_nor_does_a_position_that_is_no_number():
    _, one = one_drive(50, seed=8)
    _, other = one_drive(60, seed=9)
    together = {name: np.concatenate([one[name], other[name]]) for name in one}
    together["run"] = np.repeat([0, 1], [50, 60])
    alone = np.concatenate([smoothed(**one), smoothed(**other)])

    assert smoothed(**together) == pytest.approx(alone, abs=1e-9)
    together["position"][20] = np.inf, np.nan
    result = smoothed(**together)
    assert np.isfinite(result).all(axis=1).tolist() == [i != 20 for i in range(110)]
    assert np.array_equal(result[50:], smoothed(**other))


def test_no_positions_are_no_positions():
    _, told = one_drive(5, seed=1)

    assert smoothed(**{name: values[:0] for name, values in told.items()}).shape == (0, 2)


def test_a_receiver_that_claims_to_be_exact_is_left_alone():
    _, told = one_drive(50, seed=10)

    assert np.array_equal(smoothed(**told | {"accuracy_m": np.zeros(50)}), told["position"])
