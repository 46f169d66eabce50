"""What vehicles see and feel of segments: cracks, patches, roughness, and when one passed last."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.days import local_day_start
from models.state.damage import (
    CRACK_GROWTH_PCT,
    PATCH_GROWTH_PCT,
    camera_exposure,
    damage_rate,
    merge,
    patches_left,
    patches_pct,
    share_from_camera_pct,
    survey_now,
)
from models.state.fields import Estimate
from models.state.presence import WINDOW_DAYS
from models.state.roughness import VEHICLE_SPREAD, Shaking, roughness_mps2
from roadtwin.network.matching import MATCHER_VERSION
from roadtwin.records.segment_days import (
    FIT_FRAME_BLUR_MAX,
    FIT_FRAME_LIGHT_MIN,
    FIT_FRAME_WET_MAX,
    ROUGHNESS_REFERENCE_SPEED_MPS,
    ROUGHNESS_SPEED_MIN_MPS,
)
from roadtwin.storage.twin import read_last_passes
from roadtwin.storage.twin_facts import FrameLimits, SegmentShaking, read_shaking
from roadtwin.twin.setting import Columns, Floats, Quantity, Setting, datetimes, latest, named

CAMERA_WINDOW_DAYS = 90
"""Passes of this many local days make the crack index and the roughness."""
DAY_SD_D = 12**-0.5
"""A pass is known by its day: uniform within it. [d]"""
RAW_DAYS = 28
"""Raw readings of this many days tell vehicles apart, and patches. [d]"""
FIT_FRAMES = FrameLimits(FIT_FRAME_BLUR_MAX, FIT_FRAME_WET_MAX, FIT_FRAME_LIGHT_MIN)


class Passes:
    """Camera days and what came before them, by segment: read once for all that cameras tell."""

    def __init__(self, setting: Setting) -> None:
        self.first_day = setting.today - np.timedelta64(WINDOW_DAYS - 1, "D")
        self.rows: Columns = setting.read("camera_days", first_day=self.first_day.astype(object))
        renewals = setting.read("renewals", matcher_version=MATCHER_VERSION)
        n = len(setting.network.ids)
        self.renewed_at = setting.newest(renewals["segment"], renewals["observed_at"])
        surveys = setting.read("surveys")
        self.surveyed_at = setting.newest(surveys["segment"], surveys["observed_at"])
        self.grade, self.crack_pct, self.patch_pct = (np.full(n, np.nan) for _ in range(3))
        for column, name in (
            (self.grade, "total_grade"),
            (self.crack_pct, "crack_pct"),
            (self.patch_pct, "patch_pct"),
        ):
            column[surveys["segment"]] = surveys[name]
        # Of a surface that is gone a survey tells nothing.
        gone = self.surveyed_at < self.renewed_at
        for column in (self.grade, self.crack_pct, self.patch_pct):
            column[gone] = np.nan

    def cracks(self, setting: Setting) -> tuple[Estimate, Floats, Floats, list[datetime | None]]:
        """Weighted cracks a pass and 100 m; passes with fit frames and exposure (n,), and their newest recording."""
        since = setting.today - np.timedelta64(CAMERA_WINDOW_DAYS - 1, "D")
        rows = {name: column[self.rows["day"] >= since] for name, column in self.rows.items()}
        return self._rate(setting, rows, rows["linear"], rows["alligator"])

    def patches(self, setting: Setting) -> tuple[Estimate, Floats, Floats, list[datetime | None]]:
        """The same of patches, by the passes of those cameras that report any."""
        rows = setting.read(
            "patch_days",
            since=setting.days_ago(RAW_DAYS),
            cameras=setting.parameters.patch_cameras,
            limits=FIT_FRAMES,
            matcher_version=MATCHER_VERSION,
        )
        return self._rate(setting, rows, rows["patches"], np.zeros(len(rows["day"])))

    def _rate(
        self, setting: Setting, rows: Columns, linear: NDArray[Any], alligator: NDArray[Any]
    ) -> tuple[Estimate, Floats, Floats, list[datetime | None]]:
        """What was counted on the present surface a pass and 100 m; the rest as in `cracks`."""
        renewed = self.renewed_at[rows["segment"]]
        counts = np.isnat(renewed) | (local_day_start(rows["day"], setting.zone) >= renewed)
        segment, length_m = rows["segment"][counts], setting.network.length_m
        one, area, good, poor = (
            np.bincount(segment, column[counts], len(length_m)).astype(np.float64)
            for column in (linear, alligator, rows["good"], rows["poor"])
        )
        newest = datetimes(setting.newest(segment, rows["recorded_at"][counts]))
        return damage_rate(one, area, good, poor, length_m), good, camera_exposure(good, poor, length_m), newest


def camera_quantities(setting: Setting, passes: Passes) -> tuple[dict[str, Quantity], Estimate]:
    """Cracks, patches, roughness and the age of the newest pass; and the cracks by cameras alone."""
    rate, good, _, newest = passes.cracks(setting)
    camera = share_from_camera_pct(rate, setting.parameters.cracks)
    age_years = setting.years_since(passes.surveyed_at)
    merged = merge(camera, survey_now(passes.crack_pct, age_years, CRACK_GROWTH_PCT))
    surveyed = np.isfinite(passes.crack_pct)
    survey_at = datetimes(np.where(surveyed, passes.surveyed_at, np.datetime64("NaT", "us")))
    source = np.select(
        [np.isnan(merged.value), surveyed & np.isfinite(camera.value), surveyed],
        ["none", "camera+survey", "survey"],
        "camera",
    )
    cracks = Quantity(
        merged.value,
        merged.sd,
        (good + surveyed).astype(int).tolist(),
        [latest(seen, at) for seen, at in zip(newest, survey_at, strict=True)],
        source.tolist(),
    )
    quantities = {
        "crack_index_pct": cracks,
        "patch_pct": _patches(setting, passes, survey_at),
        "roughness_mps2": _roughness(setting, passes),
        "last_pass_age_d": _last_pass(setting, passes),
    }
    return quantities, camera


def _patches(setting: Setting, passes: Passes, survey_at: list[datetime | None]) -> Quantity:
    rows = setting.read("patched", matcher_version=MATCHER_VERSION)
    n, segment = len(setting.network.ids), rows["segment"]
    surveyed = np.isfinite(passes.patch_pct)
    nat = np.datetime64("NaT", "us")
    since = np.fmax(passes.renewed_at, np.where(surveyed, passes.surveyed_at, nat))[segment]
    after = np.isnat(since) | (rows["observed_at"] > since)
    left = patches_left(rows["area_m2"].astype(np.float64), setting.years_since(rows["observed_at"]))
    patched_m2 = np.bincount(segment[after], left[after], n).astype(np.float64)
    usual = setting.parameters.usual_patch_pct or (np.nan, np.nan)
    renewed = ~np.isnat(passes.renewed_at)
    fresh = survey_now(np.zeros(n), np.nan_to_num(setting.years_since(passes.renewed_at)), PATCH_GROWTH_PCT)
    before = Estimate(np.where(renewed, 0.0, usual[0]), np.where(renewed, fresh.sd, usual[1]))
    area_m2 = setting.network.length_m * setting.network.width_m
    recorded = patches_pct(passes.patch_pct, setting.years_since(passes.surveyed_at), patched_m2, area_m2, before)
    rate, good, _, passed_at = passes.patches(setting)
    camera = share_from_camera_pct(rate, setting.parameters.patches)
    patches = merge(recorded, camera)
    repairs = np.bincount(segment[after], minlength=n)
    repaired = (repairs > 0) & np.isfinite(recorded.value)
    told = {"camera": np.isfinite(camera.value), "survey": surveyed, "repairs": repaired}
    source = [
        "none" if value != value else "+".join(name for name, by in told.items() if by[row]) or "usual"
        for row, value in enumerate(patches.value.tolist())
    ]
    newest = datetimes(setting.newest(segment[after], rows["observed_at"][after]))
    at = [latest(*times) for times in zip(newest, survey_at, passed_at, strict=True)]
    return Quantity(patches.value, patches.sd, (repairs + surveyed + good).astype(int).tolist(), at, source)


def shaking_of(setting: Setting) -> list[SegmentShaking]:
    """How segments shook vehicles in the last weeks."""
    return read_shaking(
        setting.conn,
        setting.scope,
        since=setting.days_ago(RAW_DAYS),
        reference_speed_mps=ROUGHNESS_REFERENCE_SPEED_MPS,
        speed_min_mps=ROUGHNESS_SPEED_MIN_MPS,
        matcher_version=MATCHER_VERSION,
    )


def _roughness(setting: Setting, passes: Passes) -> Quantity:
    """By vehicle where raw readings tell; else of the segment-days, which do not know the vehicle."""
    n = len(setting.network.ids)
    rows, since = passes.rows, setting.today - np.timedelta64(CAMERA_WINDOW_DAYS - 1, "D")
    known = np.isfinite(rows["roughness_mps2"]) & (rows["day"] >= since)
    segment, measured = rows["segment"][known], rows["roughness_mps2"][known].astype(np.float64)
    days = np.bincount(segment, minlength=n)
    mean = np.bincount(segment, measured, n) / np.maximum(days, 1)
    spread = np.bincount(segment, (measured - mean[segment]) ** 2, n) / np.maximum(days - 1, 1)
    value = np.where(days > 0, mean, np.nan)
    by_counting = np.where(days > 1, np.sqrt(spread / np.maximum(days, 1)), VEHICLE_SPREAD * mean)
    sd = np.where(days > 0, np.hypot(by_counting, VEHICLE_SPREAD * mean), np.nan)
    count, newest = days.tolist(), datetimes(setting.newest(segment, rows["recorded_at"][known]))
    source = named("camera", value)

    position = {segment_id: row for row, segment_id in enumerate(setting.network.ids.tolist())}
    shaken = [row for row in shaking_of(setting) if row.segment_id in position]
    if shaken:
        vehicles = sorted({row.calibration_id for row in shaken})
        code = {name: number for number, name in enumerate(vehicles)}
        at = np.array([position[row.segment_id] for row in shaken])
        shaking = Shaking(
            at,
            np.array([code[row.calibration_id] for row in shaken]),
            np.array([row.log_mps2 for row in shaken]),
            np.array([float(row.passes) for row in shaken]),
        )
        learnt = [setting.parameters.vehicles.get(name, (0.0, VEHICLE_SPREAD)) for name in vehicles]
        effect = Estimate(*(np.array(column, np.float64) for column in zip(*learnt, strict=True)))
        by_vehicle = roughness_mps2(shaking, effect, n)
        value, sd = (
            np.where(np.isfinite(by_vehicle.value), better, worse)
            for better, worse in ((by_vehicle.value, value), (by_vehicle.sd, sd))
        )
        for row, of in zip(at.tolist(), shaken, strict=True):
            if source[row] != "vehicles":
                source[row], count[row], newest[row] = "vehicles", 0, None
            count[row] += of.passes
            newest[row] = latest(newest[row], of.newest_at)
    return Quantity(value, sd, count, newest, source)


def _last_pass(setting: Setting, passes: Passes) -> Quantity:
    last, n = read_last_passes(setting.conn, setting.scope), len(setting.network.ids)
    days: list[date | None] = [last.get(segment_id) for segment_id in setting.network.ids.tolist()]
    today: date = setting.today.astype(object)
    age_d = np.array([np.nan if day is None else float((today - day).days) for day in days], np.float64)
    since = setting.today - np.timedelta64(CAMERA_WINDOW_DAYS - 1, "D")
    rows = passes.rows
    recent = rows["day"] >= since
    driven = np.bincount(rows["segment"][recent], (rows["good"] + rows["poor"])[recent], n).astype(int).tolist()
    began = [
        None if day is None else datetime(day.year, day.month, day.day, tzinfo=setting.zone).astimezone(UTC)
        for day in days
    ]
    return Quantity(age_d, np.where(np.isnan(age_d), np.nan, DAY_SD_D), driven, began, named("camera", age_d))
