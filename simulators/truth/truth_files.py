"""The truth of a world as files, and the world again from them. Only evaluation may read them.

`truth/world.json` holds all that makes the same world again, and what is drawn once for it; `segments.csv` what each
segment hides; `hazard.npy` the expected new holes of each day (rows: `days.csv`) and segment (columns: `segments.csv`),
with what patches add; `potholes.csv` every hole that was open at any time of the period.
"""

import csv
import hashlib
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import numpy as np

from roadtwin.errors import RoadtwinError, SimulationError
from roadtwin.network.geojson import ReadOptions, read_geojson
from roadtwin.network.sections import RoadSection
from simulators.instants import us_of
from simulators.scenario import from_values, to_values
from simulators.truth.frailty import LEAK_FACTOR
from simulators.truth.holes import STILL_OPEN_US
from simulators.truth.kernel import patch_factor
from simulators.truth.truth import Truth, local_day, truth_of
from simulators.world import SIMULATOR_VERSION, World, build_world

FOLDER, WORLD_FILE = "truth", "world.json"
_NETWORK_FILE = "network.geojson"


class WorldFile(msgspec.Struct, frozen=True, kw_only=True):
    """What `world.json` holds. All but `hidden` makes the world again."""

    simulator_version: int
    seed: int
    length_km: float
    timezone: str
    epoch: date
    today: date
    segment_length_m: int
    scenario: dict[str, Any]
    network_source: str | None
    """Source of the sections of a network that was given; None for a made-up one."""
    weather_file: str | None
    segments_sha256: str
    """Of ids and attributes of all segments: tells whether the same city was made again."""
    hidden: dict[str, Any]
    """What was drawn once for this world, to look at."""


def write_truth(world: World, directory: Path, start: datetime, end: datetime) -> dict[str, int]:
    """Write `directory`/truth for the local days from that of `start` to that of `end`; returns rows by file.

    One day is held in memory at a time. Raises SimulationError if a file cannot be written.
    """
    folder = directory / FOLDER
    first, last = local_day(world, start), local_day(world, end)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        truth = truth_of(world)
        (folder / WORLD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(_world_file(world, truth))) + b"\n")
        days = _write_hazard(truth, folder, first, last)
        counts = {
            "segments.csv": _write_segments(truth, folder),
            "days.csv": days,
            "hazard.npy": days,
            "potholes.csv": _write_potholes(truth, folder, start, end, last),
        }
    except OSError as exc:
        raise SimulationError(f"{folder}: cannot be written: {exc.strerror or exc}.") from None
    return {f"{FOLDER}/{name}": count for name, count in counts.items()}


def _world_file(world: World, truth: Truth) -> WorldFile:
    condition, calibration = truth.condition, truth.hazard.calibration
    regime = condition.regime
    return WorldFile(
        simulator_version=SIMULATOR_VERSION,
        seed=world.seed,
        length_km=world.length_km,
        timezone=world.timezone,
        epoch=world.epoch,
        today=world.today,
        segment_length_m=world.segment_length_m,
        scenario=to_values(world.scenario),
        network_source=world.sections[0].source if world.is_imported else None,
        weather_file=world.weather.file.name if world.weather.file is not None else None,
        segments_sha256=_digest(world),
        hidden={
            "effects": asdict(condition.effects),
            "base_rate_per_100_m_week": calibration.base_rate,
            "weather_strength": calibration.strength,
            "regime_changes_on": regime.changes_on,
            "regime_traffic_diverted_from": regime.diverted_from,
            "regime_patch_effect_factor": regime.patch_effect_factor,
            "regime_patch_life_days": regime.patch_life_days,
            "report_app_since": truth.citizens.app_since,
        },
    )


def _digest(world: World) -> str:
    return hashlib.sha256(msgspec.json.encode([(s.public_id, s.attributes) for s in world.segments])).hexdigest()


def _write_segments(truth: Truth, folder: Path) -> int:
    world, condition = truth.world, truth.condition
    columns = {
        "segment_id": world.segment_ids,
        "length_m": condition.length_m.round(2).tolist(),
        "frailty": condition.frailty.round(5).tolist(),
        "leaking_sewer": (condition.hidden >= LEAK_FACTOR).astype(int).tolist(),
        "recorded_multiplier": condition.recorded(world.epoch.year, world.epoch.month).round(4).tolist(),
        "heavy_traffic_factor_after_regime": condition.regime.heavy_factor[condition.section].tolist(),
        "report_propensity": truth.citizens.propensity(world.epoch).round(4).tolist(),
    }
    with (folder / "segments.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return len(world.segments)


def _write_hazard(truth: Truth, folder: Path, first: date, last: date) -> int:
    count = (last - first).days + 1
    shape = count, len(truth.world.segments)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with (
        (folder / "days.csv").open("w", encoding="utf-8", newline="") as file,
        (folder / "hazard.npy").open("wb") as array,  # not mapped to memory: a full disk would end the process
    ):
        np.lib.format.write_array_header_1_0(array, header)
        writer = csv.writer(file)
        writer.writerow(["day", "expected_holes", "new_holes"])
        for events in truth.days(first, last + timedelta(days=1)):
            factor = patch_factor(truth.condition, events.day, events.patches.astype(np.float64))
            expected = truth.hazard.expected_holes(events.day, factor)
            array.write(expected.astype("<f4").tobytes())
            writer.writerow([events.day.isoformat(), f"{expected.sum():.4f}", len(events.born)])
    return count


def _write_potholes(truth: Truth, folder: Path, start: datetime, end: datetime, last: date) -> int:
    truth.run_to(last)
    holes, ids, clock = truth.holes, truth.world.segment_ids, truth.day(last).clock
    first_us, last_us = (us_of(t) for t in (start, end))
    numbers = np.arange(len(holes))
    inside = numbers[(holes.born_us[numbers] < last_us) & (holes.closed_us[numbers] > first_us)]
    with (folder / "potholes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = ("segment_id", "station_m", "offset_m", "born_at", "known_at", "secured_at", "closed_at", "severity")
        writer.writerow(names)
        severity = np.where(holes.grade[inside] > 0, holes.grade[inside], holes.severity(inside, clock))
        for hole, grade in zip(inside.tolist(), severity.tolist(), strict=True):
            times = (holes.born_us[hole], holes.known_us[hole], holes.secured_us[hole], holes.closed_us[hole])
            place = f"{holes.station_m[hole]:.2f}", f"{holes.offset_m[hole]:.2f}"
            writer.writerow([ids[holes.segment[hole]], *place, *(_text(int(at), last_us) for at in times), grade])
    return len(inside)


def _text(at_us: int, last_us: int) -> str:
    """An instant (RFC 3339), or nothing if it lies after the period."""
    if at_us >= min(last_us, STILL_OPEN_US):
        return ""
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_world(directory: Path, weather_file: Path | None = None) -> World:
    """The world whose truth was written to `directory`/truth (or to `directory` itself).

    Parameters
    ----------
    directory : Path
        As given to `write_truth`. An imported network is read again from network.geojson in it.
    weather_file : Path, optional
        Where the measured weather is, for a world that has it.

    Raises
    ------
    SimulationError
        If a file is missing or damaged, comes from another version of the simulator, or another city came out.
    """
    folder = directory / FOLDER if (directory / FOLDER / WORLD_FILE).is_file() else directory
    path = folder / WORLD_FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=WorldFile)
    except OSError as exc:
        raise SimulationError(f"{path}: cannot be read: {exc.strerror}; expected the files of a simulation.") from None
    except msgspec.DecodeError as exc:
        raise SimulationError(f"{path}: got no description of a world: {str(exc).rstrip('.')}.") from None
    if found.simulator_version != SIMULATOR_VERSION:
        raise SimulationError(
            f"{path}: got a world of the simulator's version {found.simulator_version}, expected {SIMULATOR_VERSION}: "
            "simulate it again."
        )
    if (found.weather_file is None) != (weather_file is None):
        wanted = "none" if found.weather_file is None else f"the file {found.weather_file}"
        got = "none" if weather_file is None else str(weather_file)
        raise SimulationError(f"Measured weather: got {got}, expected {wanted}.")
    source = found.network_source
    world = build_world(
        seed=found.seed,
        length_km=found.length_km,
        timezone=found.timezone,
        start=datetime(found.epoch.year, found.epoch.month, found.epoch.day, 12, tzinfo=_zone(found.timezone)),
        scenario=from_values(found.scenario),
        today=found.today,
        network=None if source is None else _network(folder, source),
        segment_length_m=found.segment_length_m,
        weather_file=weather_file,
    )
    if _digest(world) != found.segments_sha256:
        raise SimulationError(f"{path}: got another city when it was made again, expected the same one.")
    return world


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise SimulationError(f"Time zone: got {name!r}, expected a name of the IANA data base.") from None


def _network(folder: Path, source: str) -> list[RoadSection]:
    for path in (folder / _NETWORK_FILE, folder.parent / _NETWORK_FILE):
        if path.is_file():
            try:
                return read_geojson(path.read_bytes(), ReadOptions(source=source))[0]
            except (OSError, RoadtwinError) as exc:
                raise SimulationError(f"{path}: cannot be read: {exc}") from None
    raise SimulationError(f"{folder.parent}: got no {_NETWORK_FILE}, expected the network of this world.")
