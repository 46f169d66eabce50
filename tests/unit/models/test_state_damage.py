import numpy as np
import pytest

from models.state.damage import (
    PATCH_CAMERA,
    DamageCamera,
    damage_rate,
    fit_camera,
    merge,
    patches_pct,
    share_from_camera_pct,
    survey_now,
)
from models.state.fields import Estimate
from models.state.roughness import Shaking, roughness_mps2, vehicle_effects

NAN = float("nan")


def a(*values):
    return np.array(values, dtype=float)


def test_more_passes_make_the_rate_surer_poor_ones_count_less_and_none_leaves_it_unknown():
    rate = damage_rate(a(3, 30, 3, 0, 3), a(1, 10, 1, 0, 1), a(2, 20, 1, 5, 0), a(0, 0, 1, 0, 9), np.full(5, 100.0))

    assert rate.value[0] == pytest.approx(rate.value[1])
    assert rate.sd[1] < rate.sd[0]
    assert rate.value[2] > rate.value[0]
    assert rate.value[3] == 0
    assert rate.sd[3] > 0
    assert np.isnan(rate.value[4])


def test_a_short_segment_with_the_same_cracks_is_worse():
    rate = damage_rate(a(5, 5), a(0, 0), a(5, 5), a(0, 0), a(100, 50))

    assert rate.value[1] == pytest.approx(2 * rate.value[0])


def test_cameras_are_calibrated_on_surveys():
    rng = np.random.default_rng(2)
    share = rng.gamma(1.0, 8.0, 300)
    passes = 30.0
    counts = rng.poisson(passes * (0.25 + 0.3 * share)).astype(float)
    rate = damage_rate(counts, np.zeros(300), np.full(300, passes), np.zeros(300), np.full(300, 100.0))

    camera = fit_camera(rate, np.full(300, passes), share * np.exp(rng.normal(0, 0.15, 300)), DamageCamera())
    found = share_from_camera_pct(rate, camera)

    assert camera.per_pct == pytest.approx(0.3, rel=0.1)
    assert camera.false == pytest.approx(0.25, abs=0.12)
    off = (found.value - share) / found.sd
    assert 0.8 < (np.abs(off) < 1.645).mean() <= 1.0


def test_patches_are_told_by_cameras_roughly_at_first_and_as_well_as_surveys_calibrate_them():
    rng = np.random.default_rng(8)
    share, size = rng.gamma(1.5, 2.0, 300), np.exp(rng.normal(0, 0.2, 300))
    counts = rng.poisson(8 * 4.0 * share / size).astype(float)  # patches are smaller than assumed
    rate = damage_rate(counts, np.zeros(300), np.full(300, 8.0), np.zeros(300), np.full(300, 100.0))

    camera = fit_camera(rate, np.full(300, 8.0), np.where(np.arange(300) < 80, share, NAN), PATCH_CAMERA)
    rough, fitted = (share_from_camera_pct(rate, one) for one in (PATCH_CAMERA, camera))

    assert camera.per_pct == pytest.approx(4.0, rel=0.2)
    off = {name: np.abs(one.value - share)[80:] / one.sd[80:] for name, one in (("rough", rough), ("fitted", fitted))}
    assert (off["fitted"] < 1.645).mean() > 0.8
    assert (off["rough"] < 1.645).mean() > 0.5  # 2.5 times as many as assumed
    assert fitted.sd[80:].mean() < 0.5 * rough.sd[80:].mean()


def test_few_surveys_calibrate_nothing():
    rate = Estimate(np.full(30, 2.0), np.ones(30))

    assert fit_camera(rate, np.full(30, 9.0), np.where(np.arange(30) < 10, 4.0, NAN), DamageCamera()) is None


def test_an_old_survey_yields_to_the_camera_and_a_fresh_one_leads():
    camera = Estimate(a(15, 15), a(3, 3))

    merged = merge(camera, survey_now(a(5, 5), a(0.1, 30), 1.0))

    assert 5 < merged.value[0] < 7
    assert 11 < merged.value[1] < 15
    assert np.all(merged.sd < 3)
    assert np.isnan(merge(Estimate(a(NAN), a(NAN)), Estimate(a(NAN), a(1))).value[0])


def test_repairs_add_to_a_survey_and_without_either_patches_are_unknown():
    usual = Estimate(a(3, 3, NAN, 3), a(2, 2, NAN, 2))

    patches = patches_pct(a(5, NAN, NAN, NAN), a(1, NAN, NAN, NAN), a(7, 7, 7, 7), a(700, 700, 700, NAN), usual)

    assert patches.value[:2] == pytest.approx([6, 4])
    assert patches.sd[0] < patches.sd[1]
    assert np.isnan(patches.value[2:]).all()
    assert np.isnan(patches.sd[2:]).all()


def fleet(rng, vehicles, segments, passes=4):
    effect = rng.normal(0, 0.15, vehicles)
    road = np.log(rng.uniform(0.3, 1.2, segments))
    segment, vehicle = (part.reshape(-1) for part in np.meshgrid(np.arange(segments), np.arange(vehicles)))
    driven = rng.random(segment.size) < 0.4
    segment, vehicle = segment[driven], vehicle[driven]
    noise = rng.normal(0, 0.15 / np.sqrt(passes), segment.size)
    shaking = Shaking(segment, vehicle, road[segment] + effect[vehicle] + noise, np.full(segment.size, float(passes)))
    return shaking, effect, np.exp(road)


def test_vehicles_that_shake_more_are_told_from_rough_roads():
    rng = np.random.default_rng(6)
    shaking, effect, road = fleet(rng, 12, 200)

    found = vehicle_effects(shaking)
    smooth = roughness_mps2(shaking, found, 200)

    known = np.isfinite(smooth.value)
    level = effect.mean()  # that of the mean vehicle cannot be told from the roads
    assert np.abs(found.value - (effect - level)).max() < 0.06
    off = (smooth.value - road * np.exp(level))[known] / smooth.sd[known]
    assert 0.6 < off.std() < 1.4
    raw = np.bincount(shaking.segment, np.exp(shaking.log_mps2), 200) / np.bincount(shaking.segment, minlength=200)
    level_road = road * np.exp(level)
    assert np.nanstd(np.log(smooth.value / level_road)) < np.nanstd(np.log(raw / level_road))


def test_a_vehicle_alone_on_its_roads_cannot_be_told_and_its_roads_are_less_sure():
    alone = Shaking(np.array([0, 1, 1]), np.array([0, 1, 2]), np.log(a(0.8, 0.6, 0.6)), a(5, 5, 5))

    effect = vehicle_effects(alone)
    road = roughness_mps2(alone, effect, 3)

    assert effect.value[0] == pytest.approx(0.0, abs=0.05)
    assert effect.sd[0] == pytest.approx(0.15)
    assert road.sd[0] / road.value[0] > road.sd[1] / road.value[1]
    assert np.isnan(road.value[2])
