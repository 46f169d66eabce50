import numpy as np
import pytest

from models.state.fields import Estimate
from models.state.weather import (
    base_modulus_share,
    freeze_thaw_cycles,
    frost_days_sd_cd,
    over_offsets,
    surface_temp_from_weather_c,
)

NAN = float("nan")


def a(*values):
    return np.array(values, dtype=float)


def test_sun_warms_the_surface_wind_cools_it_and_unknown_sun_is_uncertain():
    surface = surface_temp_from_weather_c(a(-2, 20, 20, 20, NAN), a(0, 700, 700, NAN, 700), a(3, 1, 10, NAN, 1))

    assert surface.value[0] == -2.0
    assert 20.0 < surface.value[2] < surface.value[1] < 60.0
    assert surface.sd[3] > surface.sd[0]
    assert np.isnan(surface.sd[4])


@pytest.mark.parametrize(
    ("series", "cycles"),
    [
        ([5, -5, 5, -5, 5], 2),
        ([0.9, -0.9, 0.9, -0.9], 0),  # noise about zero
        ([-5, 0, -5, 0, 5], 1),  # it froze through
        ([5, -5, 0.5], 0),  # not thawed yet
        ([5, -5, NAN, 5, 5, 5], 1),
    ],
)
def test_a_cycle_is_a_frost_and_a_thaw_with_hysteresis(series, cycles):
    assert freeze_thaw_cycles(a(*series)) == cycles


def test_a_series_that_is_hardly_known_has_no_count():
    assert np.isnan(freeze_thaw_cycles(a(5, NAN, NAN, -5)))
    assert np.isnan(freeze_thaw_cycles(a()))
    assert np.isnan(base_modulus_share(a(NAN, NAN, 3.0)))


def test_the_base_weakens_as_frost_thaws_and_recovers_in_four_months():
    frost = [-5.0] * 14
    weakest = base_modulus_share(a(*frost, *[4.0] * 4))
    later = [base_modulus_share(a(*frost, *[4.0] * days)) for days in (4, 40, 124)]

    assert base_modulus_share(a(*frost)) == 1.0  # frozen ground is not weak
    assert weakest == pytest.approx(0.35, abs=0.04)
    assert later[0] < later[1] < later[2]
    assert later[2] > 0.95


def test_a_night_of_frost_hardly_weakens_and_frost_again_keeps_the_weakness():
    assert base_modulus_share(a(-1.0, *[5.0] * 10)) > 0.95
    twice = base_modulus_share(a(*[-3.0] * 4, *[6.0] * 2, *[-3.0] * 4, *[6.0] * 2))
    assert twice < base_modulus_share(a(*[-3.0] * 4, *[6.0] * 2))


def test_a_place_that_is_surely_colder_differs_and_one_that_may_be_is_uncertain():
    def frosts(offset_c):
        return float(np.count_nonzero(np.arange(-5, 15) + offset_c < 0))

    felt = over_offsets(frosts, Estimate(a(0, -3, 0), a(0, 0, 2)))

    assert felt.value[:2] == pytest.approx([5, 8])
    assert felt.sd[:2] == pytest.approx([0, 0])
    assert felt.sd[2] == pytest.approx(2, abs=0.5)
    assert np.isnan(over_offsets(lambda _: NAN, Estimate(a(0), a(1))).value[0])


def test_a_frost_index_of_days_near_zero_is_as_uncertain_as_many_draws_of_them():
    mean_c, rng = np.array([-8.0, -1.0, 0.0, 0.5, 2.0, 12.0, NAN]), np.random.default_rng(3)
    drawn = np.maximum(-(mean_c + rng.normal(0, 1.5, (20_000, 7))), 0)

    assert frost_days_sd_cd(mean_c, day_error_c=1.5) == pytest.approx(np.nansum(drawn, axis=1).std(), rel=0.03)
    assert frost_days_sd_cd(a(20.0, 25.0)) == pytest.approx(0, abs=1e-9)
    assert frost_days_sd_cd(a(NAN)) == 0
