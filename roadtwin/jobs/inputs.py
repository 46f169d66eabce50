"""Tables into the arrays of `models.inputs`, as recorded by a time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.days import local_day_start
from models.features.windows import CAMERA_DAYS, HISTORY_DAYS
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
    SegmentDayTable,
    SegmentTable,
    SensorDays,
    Surveys,
    TrenchPermits,
    WeatherForecasts,
    WeatherHours,
)
from models.plausible import without_absurd_forecasts, without_absurd_hours
from models.potholes import RULE_VERSION, derive, to_spells, to_table
from roadtwin.network.matching import MATCHER_VERSION
from roadtwin.network.ranks import drainage_rank, pavement_rank
from roadtwin.network.sections import ROAD_CLASSES, plausible_attribute
from roadtwin.records.segment_days import ACCEL_MAX_MPS2
from roadtwin.settings import Settings
from roadtwin.storage.city import City, read_city
from roadtwin.storage.model_inputs import ModelSegment, Part, read_columns, read_model_segments
from roadtwin.storage.network import Heir, read_heirs
from roadtwin.storage.potholes import Derivation, read_derivation
from roadtwin.telemetry import get_logger

log = get_logger(__name__)

_SENSOR_NEAR_M = 1000.0  # a sensor farther from every segment is none of this network
_M_PER_DEG = 111_195.0
_SETTLING_DAYS = 30  # of weather before its windows: whether an hour is plausible depends on those before it

Columns = dict[str, NDArray[Any]]


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
    heirs = _Heirs(read_heirs(conn))
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
    `roadtwin.network.sections`).

    With `current`, only what features as of `now` read: of weather and segment-days their windows and each segment's
    last look before, and of inspections the newest of each segment. These features are the same (tested); those as of
    an earlier time are not. Potholes come from their table where it is as of `now`, which is the same, too.
    """
    city = read_city(conn)
    segments = to_segment_table(read_model_segments(conn))
    ids = segments.segment_id
    heirs = _Heirs(read_heirs(conn))
    if current:
        weather, forecasts = _weather(conn, now, from_hour=now - timedelta(days=HISTORY_DAYS + _SETTLING_DAYS))
        all_days = _recent_days(conn, ids, heirs, now, now.astimezone(_day_zone(city)).date())
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
    days, inspections = _in_order_of_days(_on_segments(all_days, ids), len(ids)), _on_segments(all_inspections, ids)
    del all_days
    repairs = _on_segments(read_columns(conn, "repairs", now=now), ids)
    permits = _on_segments(heirs.of_facts(read_columns(conn, "trench_permits", now=now)), ids)
    surveys = _on_segments(heirs.of_facts(read_columns(conn, "surveys", now=now)), ids)
    return CityInputs(
        segments=segments,
        weather=weather,
        forecasts=forecasts,
        potholes=potholes,
        open_spells=open_spells,
        segment_days=SegmentDayTable(
            recorded_at=days["recorded_at"],
            segment_index=days["segment_index"],
            day=days["day"],
            good_passes=days.pop("good_passes").astype(np.float32),
            linear_cracks=days.pop("linear_cracks").astype(np.float32),
            alligator_cracks=days.pop("alligator_cracks").astype(np.float32),
            roughness_mps2=np.where(
                days["roughness_mps2"] <= ACCEL_MAX_MPS2, days["roughness_mps2"], np.float32("nan")
            ),
        ),
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


def _in_order_of_days(days: Columns, segment_count: int) -> Columns:
    """The rows by day, segment and time of recording, as camera features want them: they then need no second copy."""
    key = days["day"].astype(np.int64) * max(segment_count, 1) + days["segment_index"]
    order = np.argsort(key, kind="stable")
    key.sort()
    if (key[1:] == key[:-1]).any():  # editions of one day
        order = np.lexsort((days["recorded_at"], days["segment_index"], days["day"]))
    del key
    for name in days:  # one by one: memory holds a single column twice
        days[name] = days[name][order]
    return days


def _derived_potholes(conn: psycopg.Connection[Any], segment_ids: Ints, now: datetime) -> tuple[Potholes, OpenSpells]:
    holes, spells = (
        _on_segments(read_columns(conn, name, now=now), segment_ids) for name in ("potholes", "open_spells")
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


class _Heirs:
    """Which present segment stands for a former one: the one that holds the greatest part of it."""

    def __init__(self, rows: list[Heir]) -> None:
        rows = sorted(rows, key=lambda row: row.old_segment_id)
        self._old = np.array([row.old_segment_id for row in rows], np.int32)
        self._new = np.array([row.new_segment_id for row in rows], np.int32)
        # Of several former segments with one heir, the longest alone tells how a day was: passes do not add up.
        first: dict[int, Heir] = {}
        for row in rows:
            if row.new_segment_id not in first or row.length_m > first[row.new_segment_id].length_m:
                first[row.new_segment_id] = row
        self._main = np.array([first[row.new_segment_id] is row for row in rows], bool)

    def with_former(self, segment_ids: Sequence[int]) -> list[int]:
        """These present segments and the former ones for which they stand."""
        return [*segment_ids, *self._old[np.isin(self._new, segment_ids)].tolist()]

    def of_facts(self, columns: Columns) -> Columns:
        """Rows with the present segment's id in the place of a former one's."""
        if not self._old.size:
            return columns
        segment_id, old, place = self._places(columns)
        segment_id[old] = self._new[place[old]]
        return columns | {"segment_id": segment_id}

    def of_days(self, columns: Columns) -> Columns:
        """The same for segment-days: one former segment stands for each present one, where that has no row of its own.

        Raw readings are matched again to the new segments, which makes their days anew.
        """
        if not self._old.size:
            return columns  # years of segment-days are not copied for nothing
        _, old, place = self._places(columns)
        kept = ~old
        kept[old] = self._main[place[old]]
        moved = self.of_facts({name: column[kept] for name, column in columns.items()})
        key = moved["segment_id"].astype(np.int64) << 32 | moved["day"].astype(np.int64)
        inherited = old[kept]
        used = ~(inherited & np.isin(key, key[~inherited]))
        return {name: column[used] for name, column in moved.items()}

    def _places(self, columns: Columns) -> tuple[Ints, NDArray[np.bool_], NDArray[np.intp]]:
        segment_id = columns["segment_id"].copy()
        place = np.searchsorted(self._old, segment_id)
        old = place < self._old.size
        old[old] = self._old[place[old]] == segment_id[old]
        return segment_id, old, place


def _recent_days(
    conn: psycopg.Connection[Any], segment_ids: Ints, heirs: _Heirs, now: datetime, today: date
) -> Columns:
    """Segment-days of the window of camera features, and the last look of segments that have none in it."""
    part = Part(from_day=today - timedelta(days=CAMERA_DAYS))
    window = heirs.of_days(read_columns(conn, "segment_days", now=now, part=part))
    place = np.searchsorted(segment_ids, window["segment_id"])
    good = np.bincount(place, weights=window["good_passes"] > 0, minlength=segment_ids.size)[: segment_ids.size]
    # A row that another edition of its day takes back may have been the only good one.
    key = np.sort(window["segment_id"].astype(np.int64) << 32 | window["day"].astype(np.int64))
    corrected = np.isin(segment_ids, np.unique(key[1:][key[1:] == key[:-1]] >> 32))
    unseen = heirs.with_former(segment_ids[(good == 0) | corrected].tolist())
    before = heirs.of_days(read_columns(conn, "last_looks", now=now, part=replace(part, segment_ids=unseen)))
    return {name: np.concatenate([column, before[name]]) for name, column in window.items()}


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


def _on_segments(columns: Columns, segment_ids: Ints) -> Columns:
    """Rows on these (sorted) segments, with `segment_index` in place of the id."""
    position = np.searchsorted(segment_ids, columns["segment_id"])
    known = position < segment_ids.size
    known[known] = segment_ids[position[known]] == columns["segment_id"][known]
    if not known.all():  # else nothing is copied
        columns, position = {name: column[known] for name, column in columns.items()}, position[known]
    rows = {name: column for name, column in columns.items() if name != "segment_id"}
    return rows | {"segment_index": position.astype(np.int32)}


def to_segment_table(rows: list[ModelSegment]) -> SegmentTable:
    """Segments in the order given, which must be that of their ids; unknown attributes are NaN."""
    districts = tuple(sorted({row.district for row in rows}))
    class_of = {name: i for i, name in enumerate(ROAD_CLASSES)}
    district_of = {name: i for i, name in enumerate(districts)}

    def numbers(name: str) -> Floats:
        return np.array([plausible_attribute(name, row.attributes.get(name)) for row in rows], dtype=np.float64)

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
    )
