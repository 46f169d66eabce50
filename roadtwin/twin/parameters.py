"""What the twin has learnt of a city as a whole, kept with its time: a state uses what was learnt before."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from models.state.damage import PATCH_CAMERA, DamageCamera
from models.state.fields import SOIL_MOISTURE_FIELD, SURFACE_TEMP_FIELD, Field, SensorSkill
from models.state.skill import Skill
from roadtwin.storage import twin_facts

USUAL_NEW_PER_M_DAY = 0.0375 / 7 / 100
"""New potholes a metre and day: Essen's 120 repairs a working day on 1,600 km. [1/(m·d)]"""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of a city; the defaults are published or assumed values.

    `cameras` names model and version of the codes of `skill.camera_factors`, `patch_cameras` those that report patches.
    `new_per_m_day` [1/(m·d)] is the mean of a year, `season` how many times that the last two weeks had. `vehicles`
    gives for a calibration id how much more it shakes (logarithm) and the sd of that. `usual_patch_pct` is mean and sd
    over surveys. `fitted` names the fields that were fitted; the others are assumed. `sensor_skill` is that of leaving
    one sensor out, by quantity.
    """

    skill: Skill = field(default_factory=Skill)
    cameras: tuple[str, ...] = ()
    new_per_m_day: float = USUAL_NEW_PER_M_DAY
    season: float = 1.0
    cracks: DamageCamera = field(default_factory=DamageCamera)
    patches: DamageCamera = PATCH_CAMERA
    patch_cameras: tuple[str, ...] = ()
    vehicles: dict[str, tuple[float, float]] = field(default_factory=dict)
    usual_patch_pct: tuple[float, float] | None = None
    fields: dict[str, Field] = field(
        default_factory=lambda: {"surface_temp_c": SURFACE_TEMP_FIELD, "soil_moisture_pct": SOIL_MOISTURE_FIELD}
    )
    fitted: tuple[str, ...] = ()
    sensor_skill: dict[str, SensorSkill] = field(default_factory=dict)


def read_parameters(conn: psycopg.Connection[Any], *, now: datetime) -> Parameters:
    """The newest parameters from before `now`, else the published and assumed ones."""
    stored = twin_facts.read_parameters(conn, now=now)
    return Parameters() if stored is None else msgspec.convert(stored, Parameters)


def write_parameters(conn: psycopg.Connection[Any], parameters: Parameters, *, as_of: datetime) -> None:
    """Keep parameters. Part of the caller's transaction."""
    twin_facts.write_parameters(conn, msgspec.to_builtins(parameters), as_of=as_of)
