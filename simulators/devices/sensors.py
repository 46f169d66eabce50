"""What the sensors send: values from weather, pavement and traffic, as the bytes of real devices.

How the world becomes values is in `simulators.devices.sensor_values`; the bytes are those of `ingest.codecs`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ingest import codecs
from simulators.devices.device_kinds import DeviceKind
from simulators.devices.sensor_faults import SensorFaults, dying_voltage
from simulators.devices.sensor_values import BIASES, MODELS, Samples, Sites, Values
from simulators.devices.surroundings import Floats, Ints, Surroundings
from simulators.devices.traffic_flow import vehicles_per_day
from simulators.instants import DAY_US
from simulators.truth.condition import Condition
from simulators.weather.weather import weather_year, weather_year_of


@dataclass(frozen=True, slots=True)
class Uplinks:
    """What n samples of devices of one kind are on the air: bytes, and what they say."""

    kind: DeviceKind
    device: NDArray[np.int32]
    """Numbers in `World.devices`."""
    index: Ints
    """Number of the sample since 1970."""
    at_us: Ints
    """When it was measured, true time [µs since 1970, UTC]."""
    f_port: int
    payloads: list[bytes]
    values: dict[str, Floats]
    """What was sent, by the codec's names of fields, each (n,)."""
    battery_v: Floats
    battery_pct: Floats
    """Charge left, 0 to 100: what a device tells its network server on request."""


class Sensors:
    """All sensors of a world."""

    def __init__(self, condition: Condition) -> None:
        world = condition.world
        self._world, self._streams = world, world.streams
        self._faults = SensorFaults(world)
        self._sites = _sites(condition, lru_cache(maxsize=None)(self._rain_before_mm))
        numbers = np.arange(len(world.devices))
        self._bias = ndtri(self._streams.uniforms("sensors/bias", numbers, 0, BIASES))
        self._battery_phase, self._battery_size = self._streams.uniforms("sensors/battery", numbers, 0, 2)
        self._epoch_us = world.day_bounds_us(world.epoch)[0]
        self._first_year = weather_year_of(world.epoch)
        self._around = lru_cache(maxsize=6)(self._surroundings)

    def uplinks(self, kind: DeviceKind, device: NDArray[np.int32], index: Ints, at_us: Ints) -> Uplinks:
        """What devices of one kind send.

        Parameters
        ----------
        device : numpy.ndarray, shape (n,)
            Numbers in `World.devices`, in any order.
        index, at_us : numpy.ndarray, shape (n,)
            Number of each sample since 1970, at the interval of its kind, and its time [µs since 1970, UTC]. The same
            sample is the same in whatever company it is asked for.
        """
        values = self.values(kind, device, index, at_us)
        battery_v, battery_pct = self._battery(kind, device, at_us)
        values |= self._of_the_device(kind, device, battery_v, battery_pct)
        codec = codecs.find(kind.codec)
        assert codec is not None, "named by a kind of device"
        f_port, payloads = codec.encode_many(values)
        return Uplinks(kind, device, index, at_us, f_port, payloads, values, battery_v, battery_pct)

    def values(self, kind: DeviceKind, device: NDArray[np.int32], index: Ints, at_us: Ints) -> Values:
        """What `uplinks` would say of the same samples, but for the battery, without making the bytes."""
        measured_us = self._faults.stuck_since(device, at_us)
        measured_index = np.where(measured_us == at_us, index, measured_us // (kind.interval_s * 1_000_000))
        values = self._measured(kind, device, measured_index, measured_us)
        self._faults.distort(kind, device, index, at_us, values)
        for field in kind.measured:
            values[field.name] = np.round(values[field.name], field.decimals)
        return values

    def is_alive(self, device: NDArray[np.int32], at_us: Ints) -> NDArray[np.bool_]:
        """Whether devices still have a battery that carries them, at instants."""
        alive: NDArray[np.bool_] = at_us < self._faults.dead_us[device]
        return alive

    # -- values ----------------------------------------------------------------------------------------------------
    def _measured(self, kind: DeviceKind, device: NDArray[np.int32], index: Ints, at_us: Ints) -> Values:
        years = _weather_years(at_us)
        present = np.unique(years).tolist()
        if len(present) < 2:
            return self._measured_in(present[0] if present else self._first_year, kind, device, index, at_us)
        values: Values = {}
        for year in present:
            rows = np.flatnonzero(years == year)
            for name, column in self._measured_in(year, kind, device[rows], index[rows], at_us[rows]).items():
                values.setdefault(name, np.empty(len(at_us)))[rows] = column
        return values

    def _measured_in(self, year: int, kind: DeviceKind, device: NDArray[np.int32], index: Ints, at_us: Ints) -> Values:
        model = MODELS[kind.short]
        key = device.astype(np.int64) * 2**34 + index
        uniform = self._streams.uniforms("sensors/noise", key, 0, model.draws)
        samples = Samples(
            kind=kind,
            device=device,
            at_us=at_us,
            around=self._around(year),
            year=year,
            sites=self._sites,
            noise=ndtri(uniform),
            uniform=uniform,
            bias=self._bias[:, device],
        )
        return model.make(samples)

    def _surroundings(self, year: int) -> Surroundings:
        return Surroundings(self._world.weather, year, self._world.zone, has_past=year > self._first_year)

    def _rain_before_mm(self, year: int) -> float:
        return sum(
            float(np.sum(weather_year(self._world.weather, before).rain_mm)) for before in range(self._first_year, year)
        )

    # -- batteries -------------------------------------------------------------------------------------------------
    def _battery(self, kind: DeviceKind, device: NDArray[np.int32], at_us: Ints) -> tuple[Floats, Floats]:
        """Voltage and charge left: by the time since the battery was changed, the cold, and a fault that empties it."""
        battery = kind.battery
        life_days = battery.life_days * (0.85 + 0.3 * self._battery_size[device])
        used = ((at_us - self._epoch_us) / DAY_US / life_days + self._battery_phase[device]) % 1.0
        cold_k, sun = self._cold_and_sun(at_us)
        if battery.solar:
            used = 0.45 - 0.4 * sun
        run_down = self._faults.run_down(device, at_us)
        charge = (1 - used) * (1 - run_down)
        volts = battery.empty_v + (battery.full_v - battery.empty_v) * (1 - used) - battery.cold_v_per_k * cold_k
        volts = dying_voltage(volts + 0.01 * self._bias[-1, device], run_down)
        return volts, np.clip(20 + 80 * charge - 0.2 * cold_k - 20 * run_down, 0, 100)

    def _cold_and_sun(self, at_us: Ints) -> tuple[Floats, Floats]:
        cold_k, sun = np.empty(len(at_us)), np.empty(len(at_us))
        years = _weather_years(at_us)
        for year in np.unique(years).tolist():
            rows, around = np.flatnonzero(years == year), self._around(year)
            cold_k[rows] = np.clip(5 - around.at(at_us[rows], around.air_temp_c), 0, 30)
            sun[rows] = np.clip(around.at(at_us[rows], around.radiation_w_per_m2) / 900.0, 0, 1)
        return cold_k, sun

    def _of_the_device(
        self, kind: DeviceKind, device: NDArray[np.int32], battery_v: Floats, battery_pct: Floats
    ) -> Values:
        """What a device says of itself: its battery, and its number where its payload has one."""
        battery = kind.battery
        told = battery_pct if battery.per_volt is None else battery_v * battery.per_volt
        whole = battery.per_volt is None or battery.per_volt > 1
        values = {battery.field: np.round(told, 0 if whole else 3)}
        if kind.codec.startswith("decentlab/"):
            values["device_id"] = (device % 2**16).astype(np.float64)
        return values


def _weather_years(at_us: Ints) -> NDArray[np.int64]:
    """Weather year in which each instant lies."""
    months = (at_us // DAY_US).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    years: NDArray[np.int64] = (months - 6) // 12 + 1970
    return years


def _sites(condition: Condition, rain_before_mm: Callable[[int], float]) -> Sites:
    world = condition.world
    segment = np.array([device.segment_index for device in world.devices], np.intp)
    attributes = [world.segments[index].attributes for index in segment.tolist()]
    road_class = np.array([world.segments[index].road_class for index in segment.tolist()])
    numbers = np.arange(len(segment))
    # What a counter counts is not what the register says.
    own = np.exp(0.2 * world.streams.normal("sensors/traffic", numbers))
    heavy = np.array([a.heavy_vehicles_per_day or 10.0 for a in attributes]) * own
    age = np.array([world.epoch.year - (a.wearing_course_year or world.epoch.year - 15) for a in attributes])
    return Sites(
        exposure=condition.exposure[segment].astype(np.intp),
        drainage=condition.drainage[segment].astype(np.intp),
        vehicles_per_day=vehicles_per_day(heavy, road_class),
        heavy_per_day=heavy,
        speed_kmh=np.array([a.speed_limit_kmh or 50.0 for a in attributes]) * 0.94,
        unevenness=np.clip(0.15 + age / 35, 0.15, 1.0),
        rain_before_mm=rain_before_mm,
    )
