"""What vehicles see and feel of segments: cracks, patches, roughness, and when one passed last."""

from datetime import UTC, date, datetime

import numpy as np

from models.days import local_day_start
from models.state.damage import (
    CRACK_GROWTH_PCT,
    PATCH_GROWTH_PCT,
    camera_exposure,
    crack_rate,
    cracks_from_camera_pct,
    merge,
    patches_left,
    patches_pct,
    survey_now,
)
from models.state.fields import Estimate
from models.state.presence import WINDOW_DAYS
from models.state.roughness import VEHICLE_SPREAD, Shaking, roughness_mps2
from roadtwin.network.matching import MATCHER_VERSION
from roadtwin.records.segment_days import ROUGHNESS_REFERENCE_SPEED_MPS, ROUGHNESS_SPEED_MIN_MPS
from roadtwin.storage.twin import read_last_passes
from roadtwin.storage.twin_facts import SegmentShaking, read_shaking
from roadtwin.twin.setting import Columns, Floats, Quantity, Setting, datetimes, latest, named

CAMERA_WINDOW_DAYS = 90
"""Passes of this many local days make the crack index and the roughness."""
DAY_SD_D = 12**-0.5
"""A pass is known by its day: uniform within it. [d]"""
SHAKING_DAYS = 28
"""Raw readings of this many days tell vehicles apart. [d]"""


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
        rows, n = self.rows, len(setting.network.ids)
        since = setting.today - np.timedelta64(CAMERA_WINDOW_DAYS - 1, "D")
        begins = local_day_start(rows["day"], setting.zone)
        renewed = self.renewed_at[rows["segment"]]
        counts = (rows["day"] >= since) & (np.isnat(renewed) | (begins >= renewed))
        segment = rows["segment"][counts]
        linear, alligator, good, poor = (
            np.bincount(segment, rows[name][counts], n).astype(np.float64)
            for name in ("linear", "alligator", "good", "poor")
        )
        newest = setting.newest(segment, rows["recorded_at"][counts])
        length_m = setting.network.length_m
        exposure = camera_exposure(good, poor, length_m)
        return crack_rate(linear, alligator, good, poor, length_m), good, exposure, datetimes(newest)


def camera_quantities(setting: Setting, passes: Passes) -> tuple[dict[str, Quantity], Estimate]:
    """Cracks, patches, roughness and the age of the newest pass; and the cracks by cameras alone."""
    rate, good, _, newest = passes.cracks(setting)
    camera = cracks_from_camera_pct(rate, setting.parameters.cracks)
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
    patches = patches_pct(passes.patch_pct, setting.years_since(passes.surveyed_at), patched_m2, area_m2, before)
    repairs = np.bincount(segment[after], minlength=n)
    source = np.select(
        [np.isnan(patches.value), surveyed & (repairs > 0), surveyed, repairs > 0],
        ["none", "survey+repairs", "survey", "repairs"],
        "usual",
    )
    newest = datetimes(setting.newest(segment[after], rows["observed_at"][after]))
    at = [latest(repaired, seen) for repaired, seen in zip(newest, survey_at, strict=True)]
    return Quantity(patches.value, patches.sd, (repairs + surveyed).tolist(), at, source.tolist())


def shaking_of(setting: Setting) -> list[SegmentShaking]:
    """How segments shook vehicles in the last weeks."""
    return read_shaking(
        setting.conn,
        setting.scope,
        since=setting.days_ago(SHAKING_DAYS),
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
