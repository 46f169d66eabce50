"""A small city with a known law of potholes, for tests of the models. No product code uses it.

Weekly hazard of a new hole on a segment: base × frailty × exp(effects of frost, cracks, age). Cameras pass every week
and see a hole with probability 0.8 a pass; a walker reports some; crews repair after about ten days.
"""

from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from models.days import local_day_start
from models.inputs import (
    CityInputs,
    Evidence,
    EvidenceKind,
    Inspections,
    Instant,
    Looks,
    Repairs,
    SegmentDayTable,
    SegmentTable,
    SensorDays,
    Surveys,
    TrenchPermits,
    WeatherForecasts,
    WeatherHours,
)
from models.potholes import derive, to_spells, to_table

DAY = np.timedelta64(86_400_000_000, "us")
BERLIN = ZoneInfo("Europe/Berlin")
START = np.datetime64("2023-10-01T00:00", "us")


@dataclass(frozen=True)
class City:
    """Inputs, the evidence that the potholes were derived from, and the end of the data."""

    inputs: CityInputs
    evidence: Evidence
    looks: Looks
    until: Instant


def make_segments(count: int, rng: np.random.Generator) -> SegmentTable:
    """A grid of streets: ten segments of 100 m a section."""
    index = np.arange(count)
    unknown = rng.random(count) < 0.1
    return SegmentTable(
        segment_id=(index + 1000).astype(np.int32),
        section_id=(index // 10 + 1).astype(np.int32),
        from_station_m=(index % 10) * 100.0,
        to_station_m=(index % 10) * 100.0 + 100.0,
        length_m=np.full(count, 100.0),
        mid_lon=7.0 + (index % 10) * 0.00144,
        mid_lat=51.4 + (index // 10) * 0.0018,
        district=(index % 3).astype(np.int32),
        districts=("Nord", "Süd", "West"),
        road_class=(index // 10 % 3).astype(np.int32),
        wearing_course_year=np.where(unknown, np.nan, rng.integers(1975, 2022, count)),
        pavement_class=rng.integers(0, 5, count).astype(float),
        heavy_vehicles_per_day=rng.gamma(2.0, 100.0, count),
        bus_route=(rng.random(count) < 0.2).astype(float),
        trench_area_pct=rng.gamma(1.0, 4.0, count),
        frost_deficit_cm=rng.normal(0, 8, count),
        drainage=rng.integers(0, 3, count).astype(float),
        tree_cover_pct=np.full(count, np.nan),  # a quantity that this city lacks entirely
        width_m=rng.uniform(4, 8, count),
        axle_passes_per_day=np.linspace(5.0, 400.0, count),
        thickness_cm=np.full(count, np.nan),
        gully_spacing_m=np.full(count, 45.0),
        construction_year=np.linspace(1950.0, 2010.0, count),
    )


def make_weather(days: int, rng: np.random.Generator) -> WeatherHours:
    """Hourly weather of one station, recorded ten minutes after each hour."""
    hours = np.arange(24 * days)
    day = hours // 24
    spell = np.convolve(rng.normal(0, 1, days + 8), np.ones(8) / 8, "valid")[:days] * 8
    year = 10.0 + 9.0 * np.cos(2 * np.pi * (day + 273 - 200) / 365.25)
    temp_c = year + spell[day] + 4 * np.sin(2 * np.pi * (hours % 24 - 9) / 24) + rng.normal(0, 0.5, hours.size)
    wet = np.convolve(rng.random(days + 1) < 0.3, [1, 0.7], "valid")[:days] > rng.random(days)
    rain_mm = np.where(wet[day] & (rng.random(hours.size) < 0.25), rng.exponential(1.2, hours.size), 0.0)
    at = START + (hours + 1) * np.timedelta64(3_600_000_000, "us")
    return WeatherHours(
        recorded_at=at + np.timedelta64(600_000_000, "us"),
        observed_at=at,
        station=np.zeros(hours.size, np.int32),
        air_temp_c=temp_c,
        rain_mm=rain_mm,
    )


def make_city(segment_count: int = 200, days: int = 1095, *, seed: int = 1) -> City:
    """A city of a given size; the same seed gives the same city."""
    rng = np.random.default_rng(seed)
    segments, weather = make_segments(segment_count, rng), make_weather(days, rng)
    daily = weather.air_temp_c.reshape(days, 24)
    cycle = (daily.min(axis=1) < 0) & (daily.max(axis=1) > 0)
    cycles_30d = np.convolve(cycle, np.ones(30))[:days]
    cracks = rng.gamma(0.5, 2.0, segment_count)  # visible, and a part of the frailty
    frailty = rng.gamma(1.0, 1.0, segment_count)
    age = np.nan_to_num(2026 - segments.wearing_course_year, nan=25.0)
    log_effect = 0.25 * np.minimum(cracks, 6) + 0.02 * (age - 25)
    weekly = 0.012 * frailty * np.exp(log_effect)[None] * np.exp(0.09 * cycles_30d)[:, None]
    born_day, born_segment = np.nonzero(rng.random((days, segment_count)) < -np.expm1(-weekly / 7))
    evidence, repairs = _observe(segments, born_day, born_segment, days, rng)
    until = START + days * DAY
    passes = _passes(segment_count, days, cracks, rng)
    looks = Looks(
        recorded_at=passes.recorded_at,
        observed_from=local_day_start(passes.day, BERLIN),
        segment_id=segments.segment_id[passes.segment_index],
        by_person=np.zeros(len(passes), bool),
    )
    holes = derive(evidence, looks, until)
    inputs = CityInputs(
        segments=segments,
        weather=weather,
        forecasts=WeatherForecasts.empty(),
        potholes=to_table(holes, segments.segment_id),
        open_spells=to_spells(holes, segments.segment_id),
        segment_days=passes,
        sensor_days=SensorDays.empty(),
        inspections=Inspections(
            recorded_at=np.zeros(0, "datetime64[us]"),
            observed_at=np.zeros(0, "datetime64[us]"),
            segment_index=np.zeros(0, np.int32),
        ),
        repairs=repairs,
        trench_permits=TrenchPermits(
            recorded_at=START + np.array([200, 400]) * DAY,
            observed_at=START + np.array([190, 390]) * DAY,
            segment_index=np.array([0, 5], np.int32),
            area_m2=np.array([20.0, 40.0]),
        ),
        surveys=Surveys.empty(),
        timezone=BERLIN,
    )
    return City(inputs, evidence, looks, until)


def _passes(count: int, days: int, cracks: np.ndarray, rng: np.random.Generator) -> SegmentDayTable:
    """One pass a week over each segment, one in twelve of them missed."""
    day, segment = np.nonzero(np.arange(days)[:, None] % 7 == np.arange(count)[None] % 7)
    kept = rng.random(day.size) > 0.08
    day, segment = day[kept], segment[kept]
    return SegmentDayTable(
        recorded_at=START + (day + 1) * DAY + np.timedelta64(3_600_000_000, "us"),
        segment_index=segment.astype(np.int32),
        day=(START + day * DAY).astype("datetime64[D]").astype(np.int32),
        good_passes=np.ones(day.size),
        linear_cracks=rng.poisson(1.0, day.size).astype(float),
        alligator_cracks=rng.poisson(0.7 * cracks[segment]).astype(float),
        roughness_mps2=np.where(rng.random(day.size) < 0.5, rng.gamma(4, 0.3, day.size), np.nan),
    )


def _observe(
    segments: SegmentTable, born_day: np.ndarray, born_segment: np.ndarray, days: int, rng: np.random.Generator
) -> tuple[Evidence, Repairs]:
    rows: list[tuple[float, float, int, int, float, float, int]] = []
    for day, segment in zip(born_day.tolist(), born_segment.tolist(), strict=True):
        station = float(segments.from_station_m[segment] + rng.uniform(0, 100))
        repaired = day + 4 + rng.exponential(8.0)
        passes = np.arange(day + (segment - day) % 7, min(repaired, days), 7)
        rows.extend(
            (pass_day + 0.4, pass_day + 1.0, 1, segment, station + rng.normal(0, 1.0), 1.5, int(pass_day))
            for pass_day in passes[rng.random(passes.size) < 0.8].tolist()
        )
        if rng.random() < 0.3:
            rows.append((day + 0.5, day + 0.6, 3, segment, station + rng.normal(0, 1.5), 2.0, -1))
        rows.append((repaired, repaired + 0.2, 4, segment, station, 1.0, -1))
    rows = sorted(row for row in rows if row[1] < days)
    observed, recorded, kind, segment, station, accuracy, pass_no = (np.array(c) for c in zip(*rows, strict=True))
    count, unknown = len(rows), np.full(len(rows), np.nan)
    evidence = Evidence(
        recorded_at=START + (recorded * 86_400_000_000).astype("timedelta64[us]"),
        observed_at=START + (observed * 86_400_000_000).astype("timedelta64[us]"),
        kind=kind.astype(np.int8),
        evidence_id=np.array([UUID(int=i + 1) for i in range(count)], dtype=object),
        part_no=np.zeros(count, np.int32),
        section_id=segments.section_id[segment],
        segment_id=segments.segment_id[segment],
        station_m=station,
        accuracy_m=accuracy,
        lon=segments.mid_lon[segment],
        lat=segments.mid_lat[segment],
        pass_no=pass_no.astype(np.int32),
        width_m=unknown,
        depth_m=unknown,
        severity=np.zeros(count, np.int8),
    )
    mended = kind == EvidenceKind.REPAIR
    repairs = Repairs(
        recorded_at=evidence.recorded_at[mended],
        observed_at=evidence.observed_at[mended],
        segment_index=segment[mended].astype(np.int32),
        renewal=np.zeros(int(mended.sum()), bool),
        cold_mix=np.arange(int(mended.sum())) % 3 > 0,
    )
    return evidence, repairs
