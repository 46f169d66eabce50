"""The simulated city: what its registers know. What they do not know is in `simulators.truth.truth`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from roadtwin.errors import SimulationError
from roadtwin.network.sections import RoadSection, Segment
from roadtwin.network.split import split_network
from simulators.devices.device_kinds import KINDS
from simulators.devices.devices import Device, Gateway, device_rows
from simulators.devices.placement import place_devices, place_gateways
from simulators.geometry import RoadGeometry
from simulators.instants import us_of
from simulators.network import build_plan, plan_of_network
from simulators.randomness import Streams
from simulators.scenario import Scenario, read_scenario
from simulators.scenario_check import check_names
from simulators.weather.weather import WeatherSource
from simulators.weather.weather_files import WeatherFile, read_weather_file

EPOCH = date(2021, 7, 1)
"""Day on which every world begins unless told otherwise; nothing can be simulated before it."""
SIMULATOR_VERSION = 2
"""Raised whenever the same arguments make another city, or give it another past or future."""
MAX_DEVICES = 100_000
CITY_NAME = "Lohrsiepen"
"""Invented, in the manner of the Ruhr: no municipality of this name is known to us, and none is meant."""


@dataclass(frozen=True, eq=False)
class World:
    """A city at its epoch. Two worlds of the same seed, length, zone and epoch are the same in every number."""

    seed: int
    length_km: float
    timezone: str
    epoch: date
    sections: tuple[RoadSection, ...]
    segments: tuple[Segment, ...]
    bus_routes: tuple[NDArray[np.int32], ...]
    """Per route: section indexes in driving order."""
    gateways: tuple[Gateway, ...]
    devices: tuple[Device, ...]
    segment_length_m: int
    """Nominal length of a segment [m]."""
    is_imported: bool
    """Whether the streets are those of a network that was given: then it is needed to make the same world again."""
    scenario: Scenario
    today: date
    """The day to which relative times of the scenario refer."""
    climate: WeatherSource
    """Weather without the scenario's changes: the hidden truth is calibrated in it."""
    weather: WeatherSource
    """Weather as it is."""
    streams: Streams = field(repr=False)
    kept: dict[str, Any] = field(default_factory=dict, repr=False)
    """What was made from this world and lives as long as it, by name."""

    @cached_property
    def zone(self) -> ZoneInfo:
        """The city's time zone."""
        return ZoneInfo(self.timezone)

    @cached_property
    def segment_ids(self) -> tuple[str, ...]:
        """Public ids of the segments, in their order."""
        return tuple(segment.public_id for segment in self.segments)

    @cached_property
    def segment_middles(self) -> NDArray[np.float64]:
        """Longitude and latitude of the middle of each segment, shape (n, 2) [°]."""
        return _middles(self.segments)

    @cached_property
    def geometry(self) -> RoadGeometry:
        """Where stations of sections lie, and which segment they belong to."""
        return RoadGeometry(self.sections, self.segments)

    def day_start(self, day: date) -> datetime:
        """Begin of a local day, UTC."""
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    @lru_cache(maxsize=512)  # noqa: B019 - some days of a world that lives as long as its program does
    def day_bounds_us(self, day: date) -> tuple[int, int]:
        """Begin and end of a local day [µs since 1970, UTC]; 23 to 25 hours apart."""
        begin, end = self.day_start(day), self.day_start(day + timedelta(days=1))
        return us_of(begin), us_of(end)

    def device_rows(self) -> list[dict[str, str]]:
        """The device register in the columns of `roadtwin import devices`."""
        return device_rows(self.devices, self.sections, self.epoch)


def build_world(
    *,
    seed: int,
    length_km: float,
    timezone: str = "Europe/Berlin",
    start: datetime | None = None,
    scenario: Scenario | None = None,
    today: date | None = None,
    network: Sequence[RoadSection] | None = None,
    segment_length_m: int = 100,
    device_count: int | None = None,
    weather_file: Path | None = None,
) -> World:
    """Make a city.

    Parameters
    ----------
    seed : int
        Decides everything; 0 to 2⁶³ - 1.
    length_km : float
        Length of the street network, 5 to 20,000; met within 5 %. [km]
    timezone : str
        IANA name of the city's time zone: its days and schedules follow it.
    start : datetime, optional
        Aware; the local day in which it lies is the first day of the world, `EPOCH` if left out. Every later day is
        simulated from it on, so that it does not depend on where a run begins.
    scenario : Scenario, optional
        What is special; the ordinary one of the library if left out.
    today : date, optional
        Day to which relative times of the scenario refer; four years after the first day if left out.
    network : sequence of RoadSection, optional
        An existing network in place of a made-up one; `length_km` is not used then. What its register does not know
        is drawn.
    segment_length_m : int
        Nominal length of a segment, 10 to 1000; below 100 nested in pieces of 100 m. [m]
    device_count : int, optional
        Sensors in all, from one of each kind to 100,000; about 37 a 100 km if left out.
    weather_file : Path, optional
        Measured weather (`weather.weather_files`) in place of generated; it has to cover the first day, and a day
        more than what is simulated. The city and its hidden hazards are the same.

    Raises
    ------
    SimulationError
        If an argument is outside its range; says what was got and expected.
    """
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise SimulationError(f"Seed: got {seed!r}, expected a whole number from 0 to 2⁶³ - 1.")
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise SimulationError(f"Time zone: got {timezone!r}, expected a name of the IANA data base.") from None
    if start is not None and start.tzinfo is None:
        raise SimulationError("Start of the world: got a time without zone, expected one with an offset.")
    epoch = EPOCH if start is None else start.astimezone(zone).date()
    streams = Streams(seed)
    scenario = read_scenario("ordinary") if scenario is None else scenario
    today = date(epoch.year + 4, epoch.month, 1) if today is None else today
    plan = build_plan(streams, length_km, epoch) if network is None else plan_of_network(network, streams, epoch)
    if not 10 <= segment_length_m <= 1000:
        raise SimulationError(f"Length of a segment: got {segment_length_m} m, expected 10 to 1,000 m.")
    if device_count is not None and not len(KINDS) <= device_count <= MAX_DEVICES:
        raise SimulationError(f"Devices: got {device_count}, expected {len(KINDS)} to {MAX_DEVICES:,}.")
    segments = tuple(split_network(plan.sections, segment_length_m))
    lon, lat = plan.centre
    check_names(scenario, (kind.profile_name for kind in KINDS), (s.district for s in plan.sections if s.district))
    changes = scenario.weather
    measured = None if weather_file is None else _measured(weather_file, scenario, epoch)
    middles = _middles(segments)
    return World(
        seed=seed,
        length_km=plan.length_km,
        timezone=timezone,
        epoch=epoch,
        sections=plan.sections,
        segments=segments,
        bus_routes=plan.bus_routes,
        gateways=place_gateways(middles, streams),
        devices=place_devices(
            segments,
            middles,
            plan.length_km,
            streams,
            tts_share=scenario.lora.tts_share,
            device_count=device_count,
        ),
        segment_length_m=segment_length_m,
        is_imported=network is not None,
        scenario=scenario,
        today=today,
        climate=WeatherSource(streams, (), None, timezone, lat, lon),
        weather=WeatherSource(streams, changes, today if changes else None, timezone, lat, lon, file=measured),
        streams=streams,
    )


def _measured(path: Path, scenario: Scenario, epoch: date) -> WeatherFile:
    if scenario.weather:
        raise SimulationError(
            f"Weather: got a file and the scenario {scenario.name!r}, which changes the weather, expected one of them."
        )
    file = read_weather_file(path)
    if not file.first <= epoch <= file.last:
        raise SimulationError(f"Weather: {file.period}, got {epoch} as the world's first day, expected one of these.")
    return file


def _middles(segments: tuple[Segment, ...]) -> NDArray[np.float64]:
    """Middle of each segment's line; by vertices, which is near enough for placing things."""
    return np.array(
        [
            segment.line[[0, -1]].mean(axis=0) if len(segment.line) < 3 else segment.line[len(segment.line) // 2]
            for segment in segments
        ]
    )
