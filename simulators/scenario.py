"""Scenarios: what is special about a simulated world, as a TOML file with named changes and faults.

A scenario changes the weather and adds faults; the city itself follows from its seed. Every change has a window in time
and, where it concerns devices or vehicles, a share of them, drawn by their number: the same ones in every run.
"""

import json
import re
import tomllib
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from roadtwin.errors import SimulationError
from simulators.scenario_errors import nearest, plain
from simulators.spans import Windowed, spans_of

LIBRARY = resources.files("simulators") / "scenarios"

Share = Annotated[float, Meta(gt=0, le=1)]
"""Part of the devices, vehicles or messages concerned."""
Positive = Annotated[float, Meta(gt=0, le=1e6)]
Factor = Annotated[float, Meta(ge=0, le=100)]


class WeatherChange(Windowed, frozen=True, kw_only=True):
    """Weather other than the climate's. It comes in over the first week of its window and goes over the last one."""

    air_temp_shift_c: Annotated[float, Meta(ge=-15, le=15)] = 0.0
    air_temp_spread_factor: Annotated[float, Meta(ge=0.2, le=3)] = 1.0
    """Of the day-to-day variation about the normal."""
    rain_factor: Annotated[float, Meta(ge=0, le=5)] = 1.0
    """Of the mean sum of rain, from however many wet days."""
    wet_days_factor: Annotated[float, Meta(ge=0, le=2)] = 1.0
    """Of the share of days with rain."""
    cloud_shift: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    wind_factor: Annotated[float, Meta(ge=0.1, le=3)] = 1.0


class Fault(Windowed, frozen=True, kw_only=True, tag_field="kind"):
    """A fault by name."""


class DeviceFault(Fault, frozen=True, kw_only=True):
    """A fault of some devices: a share of those whose sensor profile's name contains `devices` (all if left out)."""

    devices: str = ""
    share: Share = 1.0


class SensorOutage(DeviceFault, frozen=True, kw_only=True, tag="sensor-outage"):
    """Devices are silent; they keep their session and go on with their frame counter."""


class SensorDrift(DeviceFault, frozen=True, kw_only=True, tag="sensor-drift"):
    """What devices measure runs away, linearly from the begin of the window on: `per_day` in units of the sensor's
    typical range (0.01: a hundredth of it a day)."""

    per_day: Annotated[float, Meta(ge=-1, le=1)] = 0.01


class SensorStuck(DeviceFault, frozen=True, kw_only=True, tag="sensor-stuck"):
    """Devices go on sending the values of the window's begin."""


class SensorSpikes(DeviceFault, frozen=True, kw_only=True, tag="sensor-spikes"):
    """A share of the samples has one absurd value."""

    samples: Share = 0.02


class BatteryDeath(DeviceFault, frozen=True, kw_only=True, tag="battery-death"):
    """The battery runs down over `days` before it dies somewhere in the window; the device is silent from then on."""

    days: Annotated[float, Meta(ge=0.1, le=400)] = 20.0


class PacketLoss(DeviceFault, frozen=True, kw_only=True, tag="packet-loss"):
    """Uplinks are lost on the air."""

    probability: Share = 0.3


class CounterReset(DeviceFault, frozen=True, kw_only=True, tag="counter-reset"):
    """Devices start anew (brown-out) `per_day` times a day on average, without a join: their counter begins at 0."""

    per_day: Positive = 0.2


class LateUplinks(DeviceFault, frozen=True, kw_only=True, tag="late-uplinks"):
    """A share of the uplinks is published late and out of order, up to `up_to_h` hours."""

    uplinks: Share = 0.2
    up_to_h: Annotated[float, Meta(gt=0, le=72)] = 6.0


class DuplicateUplinks(DeviceFault, frozen=True, kw_only=True, tag="duplicate-uplinks"):
    """A share of the uplinks is published twice."""

    uplinks: Share = 0.1


class GatewayOutage(Fault, frozen=True, kw_only=True, tag="gateway-outage"):
    """Gateways are off the air."""

    share: Share = 0.5


class GatewayClock(Fault, frozen=True, kw_only=True, tag="gateway-clock"):
    """Clocks of gateways are wrong by `offset_s` and run away by `drift_s_per_day`. [s]"""

    share: Share = 0.5
    offset_s: Annotated[float, Meta(ge=-1e9, le=1e9)] = 0.0
    drift_s_per_day: Annotated[float, Meta(ge=-86_400, le=86_400)] = 0.0


class BrokerOutage(Fault, frozen=True, kw_only=True, tag="broker-outage"):
    """The broker is away: whatever is due in the window is kept by its senders and published at its end, in a burst."""


class VehicleFault(Fault, frozen=True, kw_only=True):
    """A fault of some vehicles: a share of those whose name begins with `vehicles` (all if left out)."""

    vehicles: str = ""
    share: Share = 1.0


class VehicleOutage(VehicleFault, frozen=True, kw_only=True, tag="vehicle-outage"):
    """Vehicles do not drive, or their box is off: nothing is seen."""


class BoxOffline(VehicleFault, frozen=True, kw_only=True, tag="box-offline"):
    """Boxes have no network and send their readings afterwards, `delay_h` hours later."""

    delay_h: Annotated[float, Meta(gt=0, le=72)] = 8.0


class GnssBias(VehicleFault, frozen=True, kw_only=True, tag="gnss-bias"):
    """Positions are off by a constant, which the stated accuracy does not tell. [m]"""

    east_m: Annotated[float, Meta(ge=-500, le=500)] = 0.0
    north_m: Annotated[float, Meta(ge=-500, le=500)] = 0.0


class GnssNoise(VehicleFault, frozen=True, kw_only=True, tag="gnss-noise"):
    """The scatter of positions is `factor` times the usual one."""

    factor: Factor = 3.0


class VehicleClock(VehicleFault, frozen=True, kw_only=True, tag="vehicle-clock"):
    """Clocks of boxes are wrong by `offset_s`. [s]"""

    offset_s: Annotated[float, Meta(ge=-1e9, le=1e9)] = -3600.0


class CameraUpdate(VehicleFault, frozen=True, kw_only=True, tag="camera-update"):
    """A new version of the detector: confidence, recall and the number of false alarms change."""

    version: str = "2.0.0"
    confidence_shift: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    recall_factor: Annotated[float, Meta(ge=0, le=2)] = 1.0
    false_alarm_factor: Factor = 1.0


class ClassConfusion(VehicleFault, frozen=True, kw_only=True, tag="class-confusion"):
    """Detections get another class `factor` times as often as usual."""

    factor: Factor = 4.0


class ReportSurge(Fault, frozen=True, kw_only=True, tag="report-surge"):
    """Citizens report `factor` times as much (a press campaign), or less; `district` limits it to one."""

    factor: Factor = 4.0
    district: str = ""


class RegisterDelay(Fault, frozen=True, kw_only=True, tag="register-delay"):
    """Crews and inspectors enter their records `delay_h` hours later than usual."""

    delay_h: Annotated[float, Meta(gt=0, le=72)] = 48.0


AnyFault = (
    SensorOutage
    | SensorDrift
    | SensorStuck
    | SensorSpikes
    | BatteryDeath
    | PacketLoss
    | CounterReset
    | LateUplinks
    | DuplicateUplinks
    | GatewayOutage
    | GatewayClock
    | BrokerOutage
    | VehicleOutage
    | BoxOffline
    | GnssBias
    | GnssNoise
    | VehicleClock
    | CameraUpdate
    | ClassConfusion
    | ReportSurge
    | RegisterDelay
)


class Lora(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The LoRaWAN network of a scenario."""

    chirpstack_marshaler: Literal["json", "protobuf"] = "json"
    tts_share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    """Part of the devices that is on The Things Stack; the others are on ChirpStack v4."""
    confirmed_share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """Part of the devices that sends confirmed uplinks."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a scenario file holds."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
    title: Annotated[str, Meta(min_length=1, max_length=120)]
    title_de: Annotated[str, Meta(min_length=1, max_length=120)]
    summary: Annotated[str, Meta(min_length=1, max_length=1000)]
    lora: Lora = Lora()
    weather: tuple[WeatherChange, ...] = ()
    fault: tuple[AnyFault, ...] = ()


def read_scenario(name_or_path: str) -> Scenario:
    """A scenario of the library by its name, or a file by its path (which ends in .toml, or in .json with the
    same entries).

    Raises SimulationError with what is wrong: no such scenario, no TOML, an unknown or impossible entry.
    """
    if name_or_path.endswith((".toml", ".json")):
        try:
            text = Path(name_or_path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise SimulationError(f"Scenario {name_or_path}: cannot be read: {exc}.") from None
        return parse_scenario(text, name_or_path)
    file = LIBRARY / f"{name_or_path}.toml"
    if not re.fullmatch(r"[a-z0-9-]+", name_or_path) or not file.is_file():
        names = scenario_names()
        raise SimulationError(
            f"Scenario: got {name_or_path!r}, expected one of {', '.join(names)}, or a file ending in .toml"
            f"{nearest(name_or_path, names)}."
        )
    return parse_scenario(file.read_text("utf-8"), name_or_path)


def parse_scenario(text: str, origin: str = "text") -> Scenario:
    """A scenario from TOML (or JSON, if `origin` ends in .json); dates and times may stand without quotes in TOML.

    Raises SimulationError, which names `origin` and the entry.
    """
    values: dict[str, Any] = {}
    try:
        values = json.loads(text) if origin.endswith(".json") else _with_dates_as_text(tomllib.loads(text))
        scenario = msgspec.convert(values, Scenario)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, msgspec.ValidationError, RecursionError) as exc:
        raise SimulationError(f"Scenario {origin}: {_plain(exc, values)}.") from None
    for what, entries in (("weather", scenario.weather), ("fault", scenario.fault)):
        for number, entry in enumerate(entries, start=1):
            _check_window(f"Scenario {origin}: {what} {number}", entry)
    return scenario


def _with_dates_as_text(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _with_dates_as_text(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_with_dates_as_text(value) for value in values]
    return values.isoformat() if isinstance(values, date) else values


def fault_kinds() -> dict[str, type[Fault]]:
    """Every kind of fault by the name that a file gives it."""
    return {str(kind.__struct_config__.tag): kind for kind in get_args(AnyFault)}


def scenario_structs() -> tuple[type[msgspec.Struct], ...]:
    """Every table that a file can hold."""
    return (Scenario, Lora, WeatherChange, *get_args(AnyFault))


def _plain(exc: Exception, values: Any) -> str:
    return plain(exc, values, scenario_structs(), fault_kinds())


def scenario_names() -> list[str]:
    """Names of the library's scenarios."""
    return sorted(entry.name.removesuffix(".toml") for entry in LIBRARY.iterdir() if entry.name.endswith(".toml"))


def _check_window(where: str, entry: Windowed) -> None:
    try:
        spans = spans_of(entry, date(2024, 1, 1), ZoneInfo("UTC"), date(2023, 1, 1), date(2024, 12, 31))
    except ValueError as exc:
        raise SimulationError(f"{where}: {exc}.") from None
    if any(span.begin and span.end and span.begin >= span.end for span in spans):
        raise SimulationError(f"{where}: got a window from {entry.begins} until {entry.ends}, expected its end later.")


def to_values(scenario: Scenario) -> dict[str, Any]:
    """Plain values of a scenario; `from_values` is the inverse."""
    result: dict[str, Any] = msgspec.to_builtins(scenario)
    return result


def from_values(values: dict[str, Any]) -> Scenario:
    """A scenario from `to_values`. Raises SimulationError."""
    try:
        return msgspec.convert(values, Scenario)
    except msgspec.ValidationError as exc:
        raise SimulationError(f"Scenario: {_plain(exc, values)}.") from None
