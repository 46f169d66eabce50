"""Tables into the arrays of `models.inputs`, as recorded by a time."""

from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
from numpy.typing import NDArray

from models.days import local_day_start
from models.inputs import (
    CityInputs,
    Evidence,
    Floats,
    Inspections,
    Instant,
    Ints,
    Looks,
    Repairs,
    SegmentDayTable,
    SegmentTable,
    Surveys,
    TrenchPermits,
    WeatherForecasts,
    WeatherHours,
)
from models.potholes import derive, to_spells, to_table
from roadtwin.network.sections import ROAD_CLASSES
from roadtwin.settings import Settings
from roadtwin.storage.city import City, read_city
from roadtwin.storage.model_inputs import ModelSegment, read_columns, read_model_segments

_DRAINAGE = {"good": 0.0, "fair": 1.0, "poor": 2.0}
_PAVEMENT_CLASSES = ("bk0.3", "bk1.0", "bk1.8", "bk3.2", "bk10", "bk32", "bk100")

Columns = dict[str, NDArray[Any]]


def to_instant(at: datetime) -> Instant:
    """An aware datetime as the instant that tables use."""
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")


def to_datetime(at: int) -> datetime:
    """Microseconds since 1970 UTC as an aware datetime."""
    return datetime.fromtimestamp(at // 1_000_000, tz=UTC).replace(microsecond=at % 1_000_000)


def load_evidence(conn: psycopg.Connection[Any], *, now: datetime) -> Evidence:
    """Evidence of potholes that is matched to the network and was recorded by `now`."""
    columns = read_columns(conn, "evidence", now=now)
    return Evidence(
        recorded_at=columns["recorded_at"],
        observed_at=columns["observed_at"],
        kind=columns["kind"].astype(np.int8),
        evidence_id=np.array([UUID(bytes=raw.tobytes()) for raw in columns["evidence_id"]], dtype=np.object_),
        part_no=columns["part_no"],
        section_id=columns["section_id"],
        segment_id=columns["segment_id"],
        station_m=columns["station_m"],
        accuracy_m=columns["accuracy_m"],
        lon=columns["lon"],
        lat=columns["lat"],
        pass_no=columns["pass_no"],
        width_m=columns["width_m"].astype(np.float64),
        depth_m=columns["depth_m"].astype(np.float64),
        severity=columns["severity"].astype(np.int8),
    )


def load_looks(conn: psycopg.Connection[Any], *, now: datetime) -> Looks:
    """Looks of persons and of good camera passes recorded by `now`."""
    return _looks(
        read_columns(conn, "segment_days", now=now),
        read_columns(conn, "inspections", now=now),
        _day_zone(read_city(conn)),
    )


def _day_zone(city: City | None) -> tzinfo:
    return ZoneInfo(city.timezone) if city is not None else UTC


def _looks(segment_days: Columns, inspections: Columns, zone: tzinfo) -> Looks:
    good = segment_days["good_passes"] > 0
    began = local_day_start(segment_days["day"][good], zone)
    by_person = np.repeat([False, True], [began.size, inspections["segment_id"].size])
    return Looks(
        recorded_at=np.concatenate([segment_days["recorded_at"][good], inspections["recorded_at"]]),
        observed_from=np.concatenate([began, inspections["observed_at"]]),
        segment_id=np.concatenate([segment_days["segment_id"][good], inspections["segment_id"]]),
        by_person=by_person,
    )


def load_city(conn: psycopg.Connection[Any], settings: Settings, *, now: datetime) -> CityInputs:
    """Everything the risk model may see, as recorded by `now`; potholes are derived from the evidence of then.

    Facts on segments that are no longer valid are left out. Device observations are not loaded: the present feature
    set has none.
    """
    city = read_city(conn)
    segments = to_segment_table(read_model_segments(conn))
    ids = segments.segment_id
    weather, forecasts = (read_columns(conn, name, now=now) for name in ("weather", "forecasts"))
    all_days, all_inspections = (read_columns(conn, name, now=now) for name in ("segment_days", "inspections"))
    looks = _looks(all_days, all_inspections, _day_zone(city))
    holes = derive(load_evidence(conn, now=now), looks, to_instant(now))
    days, inspections = _on_segments(all_days, ids), _on_segments(all_inspections, ids)
    repairs = _on_segments(read_columns(conn, "repairs", now=now), ids)
    permits = _on_segments(read_columns(conn, "trench_permits", now=now), ids)
    surveys = _on_segments(read_columns(conn, "surveys", now=now), ids)
    return CityInputs(
        segments=segments,
        weather=WeatherHours(
            recorded_at=weather["recorded_at"],
            observed_at=weather["observed_at"],
            station=weather["station"],
            air_temp_c=weather["air_temp_c"].astype(np.float64),
            rain_mm=weather["rain_mm"].astype(np.float64),
        ),
        forecasts=WeatherForecasts(
            recorded_at=forecasts["recorded_at"],
            issued_at=forecasts["issued_at"],
            valid_at=forecasts["valid_at"],
            station=forecasts["station"],
            air_temp_c=forecasts["air_temp_c"].astype(np.float64),
            rain_mm=forecasts["rain_mm"].astype(np.float64),
        ),
        potholes=to_table(holes, ids),
        open_spells=to_spells(holes, ids),
        segment_days=SegmentDayTable(
            recorded_at=days["recorded_at"],
            segment_index=days["segment_index"],
            day=days["day"],
            good_passes=days["good_passes"].astype(np.float64),
            linear_cracks=days["linear_cracks"].astype(np.float64),
            alligator_cracks=days["alligator_cracks"].astype(np.float64),
            roughness_mps2=days["roughness_mps2"].astype(np.float64),
        ),
        inspections=Inspections(
            recorded_at=inspections["recorded_at"],
            observed_at=inspections["observed_at"],
            segment_index=inspections["segment_index"],
        ),
        repairs=Repairs(
            recorded_at=repairs["recorded_at"],
            observed_at=repairs["observed_at"],
            segment_index=repairs["segment_index"],
            renewal=repairs["renewal"],
        ),
        trench_permits=TrenchPermits(
            recorded_at=permits["recorded_at"],
            observed_at=permits["observed_at"],
            segment_index=permits["segment_index"],
            area_m2=permits["area_m2"].astype(np.float64),
        ),
        surveys=Surveys(
            recorded_at=surveys["recorded_at"],
            observed_at=surveys["observed_at"],
            segment_index=surveys["segment_index"],
            crack_pct=surveys["crack_pct"].astype(np.float64),
            patch_pct=surveys["patch_pct"].astype(np.float64),
            rut_depth_mm=surveys["rut_depth_mm"].astype(np.float64),
            total_grade=surveys["total_grade"].astype(np.float64),
        ),
        timezone=ZoneInfo(city.timezone) if city is not None else settings.timezone,
    )


def _on_segments(columns: Columns, segment_ids: Ints) -> Columns:
    """Rows on these (sorted) segments, with `segment_index` in place of the id."""
    position = np.searchsorted(segment_ids, columns["segment_id"])
    known = position < segment_ids.size
    known[known] = segment_ids[position[known]] == columns["segment_id"][known]
    rows = {name: column[known] for name, column in columns.items() if name != "segment_id"}
    return rows | {"segment_index": position[known].astype(np.int32)}


def to_segment_table(rows: list[ModelSegment]) -> SegmentTable:
    """Segments in the order given, which must be that of their ids; unknown attributes are NaN."""
    districts = tuple(sorted({row.district for row in rows}))
    class_of = {name: i for i, name in enumerate(ROAD_CLASSES)}
    district_of = {name: i for i, name in enumerate(districts)}

    def numbers(name: str) -> Floats:
        values = [row.attributes.get(name) for row in rows]
        return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)

    def plain(name: str) -> Floats:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)

    built = numbers("construction_year")
    surfaced = numbers("wearing_course_year")
    return SegmentTable(
        segment_id=np.array([row.segment_id for row in rows], dtype=np.int32),
        section_id=np.array([row.section_id for row in rows], dtype=np.int32),
        from_station_m=plain("from_station_m"),
        to_station_m=plain("to_station_m"),
        length_m=plain("length_m"),
        mid_lon=plain("mid_lon"),
        mid_lat=plain("mid_lat"),
        district=np.array([district_of[row.district] for row in rows], dtype=np.int32),
        districts=districts,
        road_class=np.array([class_of.get(row.road_class, class_of["other"]) for row in rows], dtype=np.int32),
        # A road that was never resurfaced still has the wearing course that it was built with.
        wearing_course_year=np.where(np.isnan(surfaced), built, surfaced),
        pavement_class=np.array([_pavement_rank(row.attributes.get("pavement_class")) for row in rows], np.float64),
        heavy_vehicles_per_day=numbers("heavy_vehicles_per_day"),
        bus_route=numbers("bus_route"),
        trench_area_pct=numbers("trench_area_pct"),
        frost_deficit_cm=numbers("frost_deficit_cm"),
        drainage=np.array([_DRAINAGE.get(str(row.attributes.get("drainage")), np.nan) for row in rows], np.float64),
        tree_cover_pct=numbers("tree_cover_pct"),
        width_m=numbers("width_m"),
        axle_passes_per_day=numbers("axle_passes_per_day"),
        thickness_cm=numbers("thickness_cm"),
        gully_spacing_m=numbers("gully_spacing_m"),
    )


def _pavement_rank(name: object) -> float:
    """Rank of an RStO class, also written with a decimal comma; NaN for what is none."""
    text = str(name).strip().lower().replace(",", ".").replace(" ", "")
    return float(_PAVEMENT_CLASSES.index(text)) if text in _PAVEMENT_CLASSES else float("nan")
