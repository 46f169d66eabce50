"""The state of segments as known at a time, and what is learnt of the city for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from models.state.damage import PATCH_CAMERA, SURVEY_SD_PCT, fit_camera
from models.state.fields import Measured, fit_field, sensor_skill
from models.state.roughness import Shaking, vehicle_effects
from roadtwin.storage.model_inputs import read_changed_attributes, read_model_segments
from roadtwin.storage.twin_facts import read_cameras, read_patch_cameras
from roadtwin.twin.cameras import CAMERA_WINDOW_DAYS, RAW_DAYS, Passes, camera_quantities, shaking_of
from roadtwin.twin.parameters import USUAL_NEW_PER_M_DAY, Parameters, read_parameters
from roadtwin.twin.people import SEASON_DAYS, Holes, grade_quantity, people_quantities
from roadtwin.twin.setting import Network, Quantity, Setting
from roadtwin.twin.weather import (
    city_weather,
    measured_moisture,
    measured_surface,
    moisture_by_rain,
    read_weather,
    surface_by_weather,
    weather_quantities,
)

PRIOR_HOLES = 20.0
"""The published rate of new potholes counts as much as so many potholes of the city's own."""
SEASON_HOLES = 4.0
"""That as many arise at present as in the mean of the year counts as much as so many potholes: a gamma distribution
about 1 with sd 1/√4, for a winter has up to two and a half times as many as the year. [-] Assumed."""
SENSOR_CHECK_HOURS = tuple(range(0, 48, 6))
"""Sensors are left out one at a time at these hours before now. [h]"""


class Register:
    """The valid segments, with the attributes that the register was known to give them at a time."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._segments = read_model_segments(conn)
        self._editions = read_changed_attributes(conn)  # oldest first
        self._networks: dict[int, Network] = {}

    def at(self, now: datetime) -> Network:
        """As known then; before its first edition was, as that says."""
        known = sum(recorded_at <= now for _, recorded_at, _ in self._editions)
        if known not in self._networks:
            attributes = {segment_id: given for segment_id, _, given in reversed(self._editions[known:])}
            attributes |= {segment_id: given for segment_id, _, given in self._editions[:known]}
            self._networks[known] = Network(
                [s._replace(attributes=attributes.get(s.segment_id, s.attributes)) for s in self._segments]
            )
        return self._networks[known]


def read_network(conn: psycopg.Connection[Any], *, now: datetime) -> Network:
    """All valid segments, with the register's attributes as known at a time."""
    return Register(conn).at(now)


def state_of(setting: Setting) -> dict[str, Quantity]:
    """Every quantity of the state of the segments, as recorded by `setting.now`; devices only if confirmed.

    What nobody measured is NaN, with the source "none": unknown is never good.
    """
    passes = Passes(setting)
    quantities = weather_quantities(setting)
    of_cameras, cracks = camera_quantities(setting, passes)
    quantities |= of_cameras
    quantities |= people_quantities(setting, passes, quantities["last_pass_age_d"])
    _, good, _, _ = passes.cracks(setting)
    quantities["condition_grade"] = grade_quantity(setting, passes, cracks, good, quantities["open_potholes_count"])
    return quantities


@dataclass(frozen=True, slots=True)
class SegmentState:
    """State of one segment at a time: by quantity the value, sd, count, newest time and source."""

    as_of: datetime
    state: dict[str, dict[str, Any]]


def state_entries(quantities: Mapping[str, Quantity]) -> Iterator[dict[str, dict[str, Any]]]:
    """The state of each segment as it is stored; unknown is None."""
    columns = {
        name: (
            _nullable(q.value),
            _nullable(np.maximum(q.sd, _LEAST_SD)),
            q.count,
            [_iso(at) for at in q.newest_at],
            q.source,
        )
        for name, q in quantities.items()
    }
    for row in zip(*(zip(*column, strict=True) for column in columns.values()), strict=True):
        yield {
            name: {"value": value, "sd": sd, "count": count, "newest_at": newest, "source": source}
            for name, (value, sd, count, newest, source) in zip(columns, row, strict=True)
        }


def states_at(
    conn: psycopg.Connection[Any], segment_id: int, times: Sequence[datetime], *, zone: tzinfo
) -> list[SegmentState]:
    """The state of one valid segment at several times, each from what was recorded by then.

    Parameters of the city are the newest that were learnt before each time. What
    lies on neighbouring segments is not read: a place across the border between two may count a little differently than
    in the state of the whole city.
    """
    register = Register(conn)
    result: list[SegmentState] = []
    if not times:
        return result
    newest = register.at(max(times))
    row = int(np.searchsorted(newest.ids, segment_id))
    weather = read_weather(Setting(conn, newest, newest, zone, max(times), Parameters()), first=min(times))
    for now in times:
        whole, parameters = register.at(now), read_parameters(conn, now=now)
        setting = Setting(conn, whole, whole.part([row]), zone, now, parameters, weather)
        (state,) = state_entries(state_of(setting))
        result.append(SegmentState(now, state))
    return result


def learn_parameters(conn: psycopg.Connection[Any], network: Network, *, zone: tzinfo, now: datetime) -> Parameters:
    """What the facts recorded by `now` tell of the city as a whole."""
    cameras = tuple(read_cameras(conn, now=now, since=now - timedelta(days=CAMERA_WINDOW_DAYS)))
    patch_cameras = tuple(read_patch_cameras(conn, now=now, since=now - timedelta(days=RAW_DAYS)))
    setting = Setting(conn, network, network, zone, now, Parameters(patch_cameras=patch_cameras))
    passes = Passes(setting)
    holes = Holes(setting, passes, cameras)
    rate, _, exposure, _ = passes.cracks(setting)
    age_years = setting.years_since(passes.surveyed_at)
    cracked, patches = (np.where(age_years <= 1.0, pct, np.nan) for pct in (passes.crack_pct, passes.patch_pct))
    patch_rate, _, patch_exposure, _ = passes.patches(setting)
    patched = passes.patch_pct[np.isfinite(passes.patch_pct)]
    counts = setting.read("pothole_counts", since=setting.days_ago(365), recent=setting.days_ago(SEASON_DAYS))
    length_m, total, newest = float(network.length_m.sum()), float(counts["count"].sum()), float(counts["recent"].sum())
    new_per_m_day = (PRIOR_HOLES + total) / (PRIOR_HOLES / USUAL_NEW_PER_M_DAY + 365 * length_m)
    usual = SEASON_DAYS * length_m * new_per_m_day
    # Where looking fell off, what was not found did arise as usual: no exposure is no zero.
    unseen = usual * (1 - holes.looked_lately(SEASON_DAYS))
    learnt = Parameters(
        skill=holes.learnt_skill(),
        cameras=cameras,
        new_per_m_day=new_per_m_day,
        season=(SEASON_HOLES + newest + unseen) / (SEASON_HOLES + usual),
        cracks=fit_camera(rate, exposure, cracked, Parameters().cracks) or Parameters().cracks,
        patches=fit_camera(patch_rate, patch_exposure, patches, PATCH_CAMERA) or PATCH_CAMERA,
        patch_cameras=patch_cameras,
        vehicles=_vehicles(setting),
        usual_patch_pct=(float(patched.mean()), float(np.hypot(patched.std(), SURVEY_SD_PCT)))
        if patched.size > 1
        else None,
    )
    return _with_sensors(learnt, setting)


def check_sensors(conn: psycopg.Connection[Any], network: Network, *, zone: tzinfo, now: datetime) -> Parameters:
    """Parameters in which only what sensors tell is learnt: fields, and how well sensors predict one another."""
    return _with_sensors(Parameters(), Setting(conn, network, network, zone, now, Parameters()))


def _vehicles(setting: Setting) -> dict[str, tuple[float, float]]:
    shaken = shaking_of(setting)
    if not shaken:
        return {}
    vehicles, vehicle = np.unique([row.calibration_id for row in shaken], return_inverse=True)
    _, segment = np.unique([row.segment_id for row in shaken], return_inverse=True)
    log_mps2 = np.array([row.log_mps2 for row in shaken], np.float64)
    effect = vehicle_effects(Shaking(segment, vehicle, log_mps2, np.array([float(row.passes) for row in shaken])))
    pairs = zip(effect.value.round(4).tolist(), effect.sd.round(4).tolist(), strict=True)
    return dict(zip(vehicles.tolist(), pairs, strict=True))


def _with_sensors(parameters: Parameters, setting: Setting) -> Parameters:
    """Fit how sensors tell of their surroundings, and judge that by leaving each of them out."""
    fields, fitted, skills = dict(parameters.fields), [], {}
    for quantity in fields:
        cases = sensor_cases(setting, quantity)
        # Learnt at every second time, judged at the others.
        field = fit_field(cases[::2], fields[quantity])
        if field is not None:
            fields[quantity] = field
            fitted.append(quantity)
        skill = sensor_skill(cases[1::2], fields[quantity])
        if skill is not None:
            skills[quantity] = skill
    return replace(parameters, fields=fields, fitted=tuple(fitted), sensor_skill=skills)


def sensor_cases(setting: Setting, quantity: str) -> list[tuple[Measured, float]]:
    """What sensors measured at hours of the last two days, each as recorded then, and the sd of the weather's word."""
    cases = []
    first = setting.now - timedelta(hours=max(SENSOR_CHECK_HOURS))
    setting = replace(setting, weather=read_weather(setting, first=first))
    for hours in SENSOR_CHECK_HOURS:
        then = replace(setting, now=setting.now - timedelta(hours=hours))
        weather = city_weather(then)
        if quantity == "surface_temp_c":
            measured, _ = measured_surface(then, weather)
            shared = float(surface_by_weather(then, weather).sd[0])
        else:
            measured, _ = measured_moisture(then, weather)
            shared = float(moisture_by_rain(weather).sd[0]) / 2
        known = np.flatnonzero(np.isfinite(measured.value) & np.isfinite(measured.expected))
        if known.size and np.isfinite(shared):
            cases.append((measured.take(known), shared))
    return cases


_LEAST_SD = 1e-4  # of what is stored with four decimals, nothing is known better


def _nullable(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else round(value, 4) for value in values.tolist()]


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
