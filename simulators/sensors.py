"""What the sensors measure: values from weather and pavement, quantised to the bytes that the devices send.

Payloads are big-endian, begin with a version byte (1) and end with the battery voltage (uint16, mV):

- surface-temperature: surface (int16, 0.01 °C), air (int16, 0.01 °C), humidity (uint8, 0.5 %)
- soil-moisture-profile: for 20, 40 and 80 cm moisture (uint16, 0.01 %) and temperature (int16, 0.01 °C)
- weather-station: air (int16, 0.01 °C), humidity (uint8, 0.5 %), rain (uint16, 0.01 mm), wind (uint16, 0.01 m/s),
  pressure (uint16, 0.1 hPa), radiation (uint16, 0.1 W/m²)
- water-level: level (int16, mm)
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from simulators.condition import Condition
from simulators.devices import Device, DeviceKind
from simulators.pavement import pavement_year, year_offset_days
from simulators.weather import weather_year, weather_year_of

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
_RAIN_TIP_MM = 0.2
DEPTHS_CM = (20, 40, 80)
_DEPTH_ROWS = (3, 4, 5)  # of simulators.pavement.DEPTHS_M


@dataclass(frozen=True, slots=True)
class Sample:
    """What a device sends once: bytes, and the fields that its codec makes of them."""

    data: bytes
    fields: dict[str, float]


@dataclass(frozen=True, slots=True)
class Uplinks:
    """What n samples of devices of one kind are on the air: bytes, and what they say."""

    kind: DeviceKind
    device: NDArray[np.int32]
    """Numbers in `World.devices`."""
    index: NDArray[np.int64]
    """Number of the sample since 1970."""
    at_us: NDArray[np.int64]
    """When it was measured, true time [µs since 1970, UTC]."""
    f_port: int
    payloads: list[bytes]
    values: dict[str, NDArray[np.float64]]
    """What was sent, by the codec's names of fields, each (n,)."""
    battery_v: NDArray[np.float64]


class Sensors:
    """All sensors of a world."""

    def __init__(self, condition: Condition) -> None:
        self._condition, self._streams = condition, condition.world.streams

    def samples(self, device: Device, index: NDArray[np.int64], at_us: NDArray[np.int64]) -> Iterator[Sample]:
        """Samples `index` of a device, taken at `at_us` (n,), within a few days of each other."""
        if not len(index):
            return
        hours = _Hours(self._condition, int(at_us[0]), int(at_us[-1]))
        maker = {
            "surface-temperature": self._surface,
            "soil-moisture-profile": self._soil,
            "weather-station": self._weather,
            "water-level": self._water,
        }[device.kind.profile_name]
        battery_mv = self._battery_mv(device, at_us, hours.at(at_us, hours.air_temp_c))
        yield from maker(device, index, at_us, hours, battery_mv)

    def uplinks(
        self, kind: DeviceKind, device: NDArray[np.int32], index: NDArray[np.int64], at_us: NDArray[np.int64]
    ) -> Uplinks:
        """Samples `index` of devices of one kind, taken at `at_us`, in any order, within a few weeks of each other."""
        samples: list[Sample | None] = [None] * len(device)
        for number in np.unique(device).tolist():
            own = np.flatnonzero(device == number)
            own = own[np.argsort(at_us[own], kind="stable")]
            made = self.samples(self._condition.world.devices[number], index[own], at_us[own])
            for at, sample in zip(own.tolist(), made, strict=True):
                samples[at] = sample
        made_all = [sample for sample in samples if sample is not None]
        names = made_all[0].fields if made_all else {}
        values = {name: np.array([sample.fields[name] for sample in made_all]) for name in names}
        battery_v = values.get("battery", np.zeros(0))
        return Uplinks(kind, device, index, at_us, kind.f_port, [s.data for s in made_all], values, battery_v)

    def is_alive(self, device: NDArray[np.int32], at_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether devices still have a battery that carries them, at instants."""
        return np.ones(np.broadcast(device, at_us).shape, bool)

    def _noise(self, device: Device, index: NDArray[np.int64], draws: int) -> NDArray[np.float64]:
        """Standard normal noise (draws, n) of the samples of a device."""
        from scipy.special import ndtri

        key = np.int64(device.number) * 2**34 + index
        result: NDArray[np.float64] = ndtri(self._streams.uniforms("sensors/noise", key, 0, draws))
        return result

    def _bias(self, device: Device, draws: int) -> list[float]:
        return self._streams.normals("sensors/bias", device.number, 0, draws)

    def _battery_mv(self, device: Device, at_us: NDArray[np.int64], temp_c: NDArray[np.float64]) -> NDArray[np.int64]:
        """A lithium cell: 3.6 V, two thousandths less a month, and less in the cold."""
        age_days = (at_us // _DAY_US - (self._condition.world.epoch - date(1970, 1, 1)).days) % 2500
        volts = 3.62 - 0.00007 * age_days - 0.004 * np.clip(5 - temp_c, 0, 30) + 0.01 * self._bias(device, 1)[0]
        return np.round(volts * 1000).astype(np.int64)

    def _surface(
        self, device: Device, index: NDArray[np.int64], at_us: NDArray[np.int64], hours: "_Hours", mv: NDArray[np.int64]
    ) -> Iterator[Sample]:
        noise, bias = self._noise(device, index, 3), self._bias(device, 2)
        exposure = int(self._condition.exposure[device.segment_index])
        surface = hours.at(at_us, hours.surface_temp_c[:, exposure]) + 0.25 * bias[0] + 0.08 * noise[0]
        air = hours.at(at_us, hours.air_temp_c) + 0.2 * bias[1] + 0.06 * noise[1]
        humidity = np.clip(hours.at(at_us, hours.humidity_pct) + 0.8 * noise[2], 0, 100)
        for s, a, h, v in zip(_int(surface, 100), _int(air, 100), _int(humidity, 2), mv.tolist(), strict=True):
            fields = {
                "surface_temperature": s / 100,
                "air_temperature": a / 100,
                "humidity": h / 2,
                "battery": v / 1000,
            }
            yield Sample(struct.pack(">BhhBH", 1, s, a, h, v), fields)

    def _soil(
        self, device: Device, index: NDArray[np.int64], at_us: NDArray[np.int64], hours: "_Hours", mv: NDArray[np.int64]
    ) -> Iterator[Sample]:
        noise, bias = self._noise(device, index, 6), self._bias(device, 6)
        drainage = int(self._condition.drainage[device.segment_index])
        columns: list[list[int]] = []
        for i, (lag_days, row) in enumerate(zip((1, 3, 8), _DEPTH_ROWS, strict=True)):
            moisture = (
                7.0 + 24.0 * hours.saturation_at(at_us, drainage, lag_days) + 0.8 * bias[2 * i] + 0.08 * noise[2 * i]
            )
            temp = hours.at(at_us, hours.ground_temp_c[:, row]) + 0.2 * bias[2 * i + 1] + 0.03 * noise[2 * i + 1]
            columns += [_int(np.clip(moisture, 0, 60), 100), _int(temp, 100)]
        for v, *values in zip(mv.tolist(), *columns, strict=True):
            fields: dict[str, float] = {}
            for i, depth in enumerate(DEPTHS_CM):
                fields[f"moisture_{depth}cm"] = values[2 * i] / 100
                fields[f"temperature_{depth}cm"] = values[2 * i + 1] / 100
            fields["battery"] = v / 1000
            yield Sample(struct.pack(">BHhHhHhH", 1, *values, v), fields)

    def _weather(
        self, device: Device, index: NDArray[np.int64], at_us: NDArray[np.int64], hours: "_Hours", mv: NDArray[np.int64]
    ) -> Iterator[Sample]:
        noise, bias = self._noise(device, index, 3), self._bias(device, 2)
        air = hours.at(at_us, hours.air_temp_c) + 0.2 * bias[0] + 0.05 * noise[0]
        humidity = np.clip(hours.at(at_us, hours.humidity_pct) + 0.8 * noise[1], 0, 100)
        rain = hours.rain_since(at_us, device.kind.interval_s)
        wind = np.clip(hours.at(at_us, hours.wind_speed_mps) * (1 + 0.12 * noise[2]), 0, 60)
        pressure, radiation = hours.at(at_us, hours.pressure_hpa), hours.at(at_us, hours.radiation_w_per_m2)
        columns = (
            _int(air, 100), _int(humidity, 2), _int(rain, 100), _int(wind, 100), _int(pressure, 10), _int(radiation, 10)
        )  # fmt: skip
        for a, h, r, w, p, g, v in zip(*columns, mv.tolist(), strict=True):
            fields = {
                "air_temperature": a / 100,
                "humidity": h / 2,
                "rain": r / 100,
                "wind_speed": w / 100,
                "pressure": p / 10,
                "radiation": g / 10,
                "battery": v / 1000,
            }
            yield Sample(struct.pack(">BhBHHHHH", 1, a, h, r, w, p, g, v), fields)

    def _water(
        self, device: Device, index: NDArray[np.int64], at_us: NDArray[np.int64], hours: "_Hours", mv: NDArray[np.int64]
    ) -> Iterator[Sample]:
        noise, bias = self._noise(device, index, 1), self._bias(device, 1)
        level = 45.0 + 12.0 * bias[0] + hours.runoff_mm(at_us) * 16.0 + 1.2 * noise[0]
        for value, v in zip(_int(np.clip(level, 0, 3000), 1), mv.tolist(), strict=True):
            yield Sample(struct.pack(">BhH", 1, value, v), {"water_level": float(value), "battery": v / 1000})


def _int(values: NDArray[np.float64], per_unit: int) -> list[int]:
    result: list[int] = np.round(values * per_unit).astype(np.int64).tolist()
    return result


class _Hours:
    """Hourly series around a period, ten days before it included, and values between the hours."""

    def __init__(self, condition: Condition, first_us: int, last_us: int) -> None:
        source = condition.world.weather
        begin = date(1970, 1, 1) + timedelta(days=first_us // _DAY_US - 10)
        end = date(1970, 1, 1) + timedelta(days=last_us // _DAY_US + 2)
        years = range(weather_year_of(begin), weather_year_of(end) + 1)
        weather, pavement = [weather_year(source, y) for y in years], [pavement_year(source, y) for y in years]
        first = year_offset_days(years[0], begin)
        rows = slice(24 * first, 24 * (first + (end - begin).days))
        self._ends_us = np.concatenate([w.ends_at for w in weather])[rows].astype(np.int64)

        def joined(name: str) -> NDArray[np.float64]:
            return np.concatenate([getattr(w, name) for w in weather])[rows]

        self.air_temp_c, self.humidity_pct = joined("air_temp_c"), joined("humidity_pct")
        self.wind_speed_mps, self.pressure_hpa = joined("wind_speed_mps"), joined("pressure_hpa")
        self.radiation_w_per_m2 = joined("radiation_w_per_m2")
        self._rain_mm = joined("rain_mm")
        self.surface_temp_c = np.concatenate([p.surface_temp_c for p in pavement])[rows]
        self.ground_temp_c = np.concatenate([p.ground_temp_c for p in pavement])[rows]
        self._saturation = np.concatenate([p.saturation for p in pavement])[first : first + (end - begin).days]

    def at(self, at_us: NDArray[np.int64], hourly: NDArray[np.floating]) -> NDArray[np.float64]:
        """Value at an instant: straight between the middles of hours."""
        result: NDArray[np.float64] = np.interp(at_us, self._ends_us - _HOUR_US // 2, hourly)
        return result

    def rain_since(self, at_us: NDArray[np.int64], seconds: int) -> NDArray[np.float64]:
        """Rain of the last `seconds`, as a tipping bucket of 0.2 mm counts it."""
        total = np.concatenate([[0.0], np.cumsum(self._rain_mm)])
        edges = np.concatenate([[self._ends_us[0] - _HOUR_US], self._ends_us])
        tips = [
            np.floor(np.interp(t, edges, total) / _RAIN_TIP_MM + 1e-9) for t in (at_us, at_us - seconds * 1_000_000)
        ]
        result: NDArray[np.float64] = (tips[0] - tips[1]) * _RAIN_TIP_MM
        return result

    def runoff_mm(self, at_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rain of the last hours, fading with a time constant of three."""
        weights = np.exp(-np.arange(36) / 3.0)
        return self.at(at_us, np.convolve(self._rain_mm, weights)[: len(self._rain_mm)])

    def saturation_at(self, at_us: NDArray[np.int64], drainage: int, lag_days: int) -> NDArray[np.float64]:
        """Degree of saturation, averaged over the days before: the deeper, the more."""
        daily = np.convolve(self._saturation[:, drainage], np.full(lag_days, 1 / lag_days))[: len(self._saturation)]
        ends = self._ends_us[23::24]
        result: NDArray[np.float64] = np.interp(at_us, ends, daily)
        return result
