"""Tables into the arrays of `models.inputs`, as recorded by a time."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
from scipy.spatial import cKDTree

from models.days import local_day_start
from models.features.windows import HISTORY_DAYS
from models.inputs import (
    CityInputs,
    Evidence,
    Floats,
    Inspections,
    Instant,
    Ints,
    Looks,
    OpenSpells,
    Potholes,
    Repairs,
    SegmentTable,
    SensorDays,
    Surveys,
    TrenchPermits,
    WeatherForecasts,
    WeatherHours,
)
from models.plausible import without_absurd_forecasts, without_absurd_hours
from models.potholes import RULE_VERSION, derive, to_spells, to_table
from roadtwin.jobs.camera_days import read_recent_days, to_table_of_days
from roadtwin.jobs.on_segments import Columns, Heirs, on_segments
from roadtwin.network.matching import MATCHER_VERSION
from roadtwin.network.ranks import drainage_rank, pavement_rank
from roadtwin.network.sections import ROAD_CLASSES, plausible_attributes
from roadtwin.settings import Settings
from roadtwin.storage.city import City, read_city
from roadtwin.storage.model_inputs import (
    ModelSegment,
    Part,
    read_changed_attributes,
    read_columns,
    read_model_segments,
)
from roadtwin.storage.network import read_heirs
from roadtwin.storage.potholes import Derivation, read_derivation
from roadtwin.telemetry import get_logger

log = get_logger(__name__)

_SENSOR_NEAR_M = 1000.0  # a sensor farther from every segment is none of this network
_M_PER_DEG = 111_195.0
_NO_ATTRIBUTES = frozenset(
    ("segment_id", "section_id", "from_station_m", "to_station_m", "length_m", "mid_lon", "mid_lat", "district",
     "districts", "road_class")
)  # fmt: skip
"""Columns of segments that an edition of the register does not change."""
_SETTLING_DAYS = 30  # of weather before its windows: whether an hour is plausible depends on those before it


def to_instant(at: datetime) -> Instant:
    """An aware datetime as the instant that tables use."""
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")


def to_datetime(at: int) -> datetime:
    """Microseconds since 1970 UTC as an aware datetime."""
    return datetime.fromtimestamp(at // 1_000_000, tz=UTC).replace(microsecond=at % 1_000_000)


def load_evidence(
    conn: psycopg.Connection[Any], *, now: datetime, section_ids: Sequence[int] | None = None
) -> Evidence:
    """Evidence of potholes that is matched to the network and was recorded by `now`.

    Of some sections, what was collected for them (`storage.potholes.collect_evidence`); else everything there is.
    """
    what = "evidence" if section_ids is None else "collected_evidence"
    columns = read_columns(conn, what, now=now, part=Part(section_ids=section_ids))
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


def load_looks(conn: psycopg.Connection[Any], *, now: datetime, segment_ids: Sequence[int] | None = None) -> Looks:
    """Looks of persons and of good camera passes recorded by `now`, at all segments or at some."""
    heirs = Heirs(read_heirs(conn))
    part = Part(segment_ids=None if segment_ids is None else heirs.with_former(segment_ids))
    return _looks(
        heirs.of_days(read_columns(conn, "segment_days", now=now, part=part)),
        heirs.of_facts(read_columns(conn, "inspections", now=now, part=part)),
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


def load_city(conn: psycopg.Connection[Any], settings: Settings, *, now: datetime, current: bool = False) -> CityInputs:
    """Everything the risk model may see, as recorded by `now`; potholes are derived from the evidence of then.

    Facts on segments that a new edition of the register replaced count for the segments that hold the greatest part of
    them today; those on segments that ended without one are left out, and sensors that are farther than 1 km from all
    segments. Of what sensors measured the sensor-days are loaded. What cannot have been is NaN (`models.plausible`,
    `roadtwin.network.sections`). Attributes are those of the register's edition known at `now`; the former ones stand
    beside it.

    With `current`, only what features as of `now` read: of weather and segment-days their windows and each segment's
    last look before, and of inspections the newest of each segment. These features are the same (tested); those as of
    an earlier time are not. Potholes come from their table where it is as of `now`, which is the same, too.
    """
    city = read_city(conn)
    segments, editions = _register(read_model_segments(conn), read_changed_attributes(conn), now, current=current)
    ids = segments.segment_id
    heirs = Heirs(read_heirs(conn))
    if current:
        weather, forecasts = _weather(conn, now, from_hour=now - timedelta(days=HISTORY_DAYS + _SETTLING_DAYS))
        all_days = read_recent_days(conn, ids, heirs, now, now.astimezone(_day_zone(city)).date())
        all_inspections = heirs.of_facts(read_columns(conn, "last_inspections", now=now))
    else:
        weather, forecasts = _weather(conn, now)
        all_days = heirs.of_days(read_columns(conn, "segment_days", now=now))
        all_inspections = heirs.of_facts(read_columns(conn, "inspections", now=now))
    if read_derivation(conn) == Derivation(now, RULE_VERSION, MATCHER_VERSION):
        potholes, open_spells = _derived_potholes(conn, ids, now)
    else:
        looks = load_looks(conn, now=now) if current else _looks(all_days, all_inspections, _day_zone(city))
        holes = derive(load_evidence(conn, now=now), looks, to_instant(now))
        potholes, open_spells = to_table(holes, ids), to_spells(holes, ids)
    segment_days = to_table_of_days(all_days, ids)
    inspections = on_segments(all_inspections, ids)
    repairs = on_segments(read_columns(conn, "repairs", now=now), ids)
    permits = on_segments(heirs.of_facts(read_columns(conn, "trench_permits", now=now)), ids)
    surveys = on_segments(heirs.of_facts(read_columns(conn, "surveys", now=now)), ids)
    return CityInputs(
        segments=segments,
        weather=weather,
        forecasts=forecasts,
        potholes=potholes,
        open_spells=open_spells,
        segment_days=segment_days,
        sensor_days=_sensor_days(conn, segments, now),
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
            cold_mix=repairs["cold_mix"],
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
        editions=editions,
    )


def _register(
    rows: list[ModelSegment], changed: list[tuple[int, datetime, dict[str, Any]]], now: datetime, *, current: bool
) -> tuple[SegmentTable, tuple[tuple[Instant, SegmentTable], ...]]:
    """The segments as the register was known at `now`, and its former editions with the times they were replaced at.

    `changed`, oldest first: the first edition of a segment counts from always, for nobody knows what was before it.
    With `current` there are no former ones. A register that is brought in every night has hundreds: of each, only the
    segments that it changes are read, and columns that it leaves alone are those of the edition before.
    """
    place = {row.segment_id: number for number, row in enumerate(rows)}
    at_first: dict[int, dict[str, Any]] = {}
    later: dict[datetime, dict[int, dict[str, Any]]] = {}
    for segment_id, recorded_at, attributes in changed:
        if segment_id not in place:
            continue  # an import came in between two queries
        if segment_id not in at_first:
            at_first[segment_id] = attributes
        elif recorded_at <= now:
            later.setdefault(recorded_at, {})[segment_id] = attributes
    if current:
        at_first = {segment_id: told for edition in (at_first, *later.values()) for segment_id, told in edition.items()}
        later = {}

    def with_attributes(told: dict[int, dict[str, Any]]) -> list[ModelSegment]:
        return [rows[place[segment_id]]._replace(attributes=attributes) for segment_id, attributes in told.items()]

    rows = rows.copy()
    for row in with_attributes(at_first):
        rows[place[row.segment_id]] = row
    table, former = to_segment_table(rows), []
    for replaced_at, told in later.items():
        former.append((to_instant(replaced_at), table))
        index = np.array([place[segment_id] for segment_id in told])
        table = _changed(table, index, to_segment_table(with_attributes(told)))
    return table, tuple(former)


def _changed(table: SegmentTable, index: Ints, segments: SegmentTable) -> SegmentTable:
    """The table with the attributes of these segments (m,), which stand at `index` (m,) in it."""
    columns = {}
    for column in {field.name for field in fields(SegmentTable)} - _NO_ATTRIBUTES:
        before, after = getattr(table, column), getattr(segments, column)
        if not np.array_equal(before[index], after, equal_nan=True):
            columns[column] = before.copy()
            columns[column][index] = after
    return replace(table, **columns)


def _derived_potholes(conn: psycopg.Connection[Any], segment_ids: Ints, now: datetime) -> tuple[Potholes, OpenSpells]:
    holes, spells = (
        on_segments(read_columns(conn, name, now=now), segment_ids) for name in ("potholes", "open_spells")
    )
    return (
        Potholes(
            segment_index=holes["segment_index"],
            first_recorded_at=holes["first_recorded_at"],
            confirmed_at=holes["confirmed_at"],
            secured_at=holes["secured_at"],
        ),
        OpenSpells(segment_index=spells["segment_index"], opened_at=spells["opened_at"], closed_at=spells["closed_at"]),
    )


def _weather(
    conn: psycopg.Connection[Any], now: datetime, from_hour: datetime | None = None
) -> tuple[WeatherHours, WeatherForecasts]:
    """Weather and forecasts without what cannot have been; how much that is goes to the log."""
    part = Part(from_hour=from_hour)
    weather, forecasts = (read_columns(conn, name, now=now, part=part) for name in ("weather", "forecasts"))
    hours, absurd_hours = without_absurd_hours(
        WeatherHours(
            recorded_at=weather["recorded_at"],
            observed_at=weather["observed_at"],
            station=weather["station"],
            air_temp_c=weather["air_temp_c"].astype(np.float64),
            rain_mm=weather["rain_mm"].astype(np.float64),
        )
    )
    issued, absurd_forecasts = without_absurd_forecasts(
        WeatherForecasts(
            recorded_at=forecasts["recorded_at"],
            issued_at=forecasts["issued_at"],
            valid_at=forecasts["valid_at"],
            station=forecasts["station"],
            air_temp_c=forecasts["air_temp_c"].astype(np.float64),
            rain_mm=forecasts["rain_mm"].astype(np.float64),
        )
    )
    if absurd_hours or absurd_forecasts:
        log.warning(
            "weather that cannot have been is left out",
            action="absurd_weather_left_out",
            hours=absurd_hours,
            forecasts=absurd_forecasts,
        )
    return hours, issued


def _sensor_days(conn: psycopg.Connection[Any], segments: SegmentTable, now: datetime) -> SensorDays:
    rows = read_columns(conn, "sensor_days", now=now)
    if not len(segments):
        return SensorDays.empty()
    scale = np.array([np.cos(np.radians(segments.mid_lat.mean())), 1.0])
    tree = cKDTree(np.column_stack([segments.mid_lon, segments.mid_lat]) * scale)
    distance_deg, segment = tree.query(np.column_stack([rows["lon"], rows["lat"]]) * scale)
    near = distance_deg * _M_PER_DEG <= _SENSOR_NEAR_M
    if not near.all():
        log.warning(
            "sensors outside the network", action="sensors_left_out", sensors=np.unique(rows["sensor"][~near]).size
        )
    rows = {name: column[near] for name, column in rows.items()}
    return SensorDays(
        recorded_at=rows["recorded_at"],
        sensor=rows["sensor"],
        segment_index=segment[near].astype(np.int32),
        day=rows["day"],
        quantity=rows["quantity"],
        minimum=rows["minimum"].astype(np.float64),
        mean=rows["mean"].astype(np.float64),
        maximum=rows["maximum"].astype(np.float64),
        freeze_thaw_cycles=rows["freeze_thaw_cycles"].astype(np.float64),
    )


def to_segment_table(rows: list[ModelSegment]) -> SegmentTable:
    """Segments in the order given, which must be that of their ids; unknown attributes are NaN."""
    districts = tuple(sorted({row.district for row in rows}))
    class_of = {name: i for i, name in enumerate(ROAD_CLASSES)}
    district_of = {name: i for i, name in enumerate(districts)}

    def numbers(name: str) -> Floats:
        return plausible_attributes(name, (row.attributes.get(name) for row in rows))

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
        pavement_class=np.array([pavement_rank(row.attributes.get("pavement_class")) for row in rows], np.float64),
        heavy_vehicles_per_day=numbers("heavy_vehicles_per_day"),
        bus_route=numbers("bus_route"),
        trench_area_pct=numbers("trench_area_pct"),
        frost_deficit_cm=numbers("frost_deficit_cm"),
        drainage=np.array([drainage_rank(row.attributes.get("drainage")) for row in rows], np.float64),
        tree_cover_pct=numbers("tree_cover_pct"),
        width_m=numbers("width_m"),
        axle_passes_per_day=numbers("axle_passes_per_day"),
        thickness_cm=numbers("thickness_cm"),
        gully_spacing_m=numbers("gully_spacing_m"),
        construction_year=built,
    )
