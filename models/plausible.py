"""Weather that cannot have been: hours of stations that are no measurement, as a model may know it at the time.

Records of weather carry no flags. Each row is judged by itself and by what was recorded *before* it, so that what comes
later changes nothing about a judgement, and features as of a time stay what they were.
"""

from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from models.inputs import Bools, Floats, Instants, Ints, WeatherForecasts, WeatherHours
from roadtwin.units import QUANTITIES

MOST_DIFFERENCE_C = 30.0
"""From the median of the day before [°C]: Central Europe's greatest fall within a day is about 25 °C."""
_DAY_US = 24 * 3_600_000_000
_MEMORY_US = 36 * 3_600_000_000
_LEAST_KNOWN = 6  # values that make a median worth trusting: one bad value alone must not condemn good ones
_MOST_KNOWN = 200


def without_absurd_hours(weather: WeatherHours) -> tuple[WeatherHours, int]:
    """The same hours with NaN for what cannot have been, and how many values that are.

    Parameters
    ----------
    weather : WeatherHours
        Rows in any order.

    Returns
    -------
    weather : WeatherHours
    count : int
        Air temperatures and rain sums that became NaN.

    Notes
    -----
    1. *Range*: outside the plausible range of the quantity (`roadtwin.units`).
    2. *Jump*: an air temperature more than 30 °C from the median of all stations' sound hours within the 36 h before
       it, if there are six at least. 60 °C in January is one; so is the hour of a station that says 0 °C in August.
    3. *Stuck*: an air temperature, or rain above zero, that a station repeats to the last digit for longer than its
       quantity allows (48 h, 24 h); from then on until it changes.

    A station that is wrong by less is averaged with the others, and cannot be told by this.
    """
    order = np.lexsort((weather.station, weather.observed_at, weather.recorded_at))
    station, at = weather.station[order], weather.observed_at[order]
    temp_c, rain_mm = weather.air_temp_c[order], weather.rain_mm[order]
    bad_temp = _out_of_range(temp_c, "air_temp_c") | _stuck(station, at, temp_c, "air_temp_c")
    bad_temp |= _jumps(at, np.where(bad_temp, np.nan, temp_c))
    bad_rain = _out_of_range(rain_mm, "rain_mm") | _stuck(
        station, at, np.where(rain_mm > 0, rain_mm, np.nan), "rain_mm"
    )
    count = int(bad_temp.sum() + bad_rain.sum())
    if not count:
        return weather, 0
    sound_temp, sound_rain = weather.air_temp_c.copy(), weather.rain_mm.copy()
    sound_temp[order[bad_temp]] = np.nan
    sound_rain[order[bad_rain]] = np.nan
    return replace(weather, air_temp_c=sound_temp, rain_mm=sound_rain), count


def without_absurd_forecasts(forecasts: WeatherForecasts) -> tuple[WeatherForecasts, int]:
    """The same forecasts with NaN for values outside the plausible range, and how many values that are."""
    bad_temp = _out_of_range(forecasts.air_temp_c, "air_temp_c")
    bad_rain = _out_of_range(forecasts.rain_mm, "rain_mm")
    sound = replace(
        forecasts,
        air_temp_c=np.where(bad_temp, np.nan, forecasts.air_temp_c),
        rain_mm=np.where(bad_rain, np.nan, forecasts.rain_mm),
    )
    return sound, int(bad_temp.sum() + bad_rain.sum())


def _out_of_range(values: Floats, name: str) -> Bools:
    quantity = QUANTITIES[name]
    return np.asarray((values < quantity.minimum) | (values > quantity.maximum))  # NaN compares false


def _stuck(station: Ints, at: Instants, values: Floats, name: str) -> Bools:
    """Values that a station has repeated for too long; rows in the order in which they were recorded."""
    longest_h = QUANTITIES[name].stuck_after_h
    assert longest_h is not None
    by_station = np.argsort(station, kind="stable")
    s, t, v = station[by_station], at[by_station].astype(np.int64), values[by_station]
    begins = np.ones(len(v), bool)
    # NaN equals nothing: an unknown value ends a run.
    begins[1:] = (s[1:] != s[:-1]) | (v[1:] != v[:-1])
    first = np.maximum.accumulate(np.where(begins, np.arange(len(v)), 0))
    stuck = np.zeros(len(v), bool)
    stuck[by_station] = t - t[first] > longest_h * 3_600_000_000
    return stuck


def _jumps(at: Instants, temp_c: Floats) -> Bools:
    """Temperatures too far from the median of the sound ones before; rows in the order in which they were recorded."""
    result = np.zeros(len(temp_c), bool)
    known: deque[tuple[int, float]] = deque()
    ranked: list[float] = []
    by_day: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
    newest_us = np.iinfo(np.int64).min
    for row, (observed_us, value) in enumerate(zip(at.astype(np.int64).tolist(), temp_c.tolist(), strict=True)):
        if value != value:
            continue
        late = observed_us < newest_us - _MEMORY_US  # a winter that is recorded in July is not held against July
        if late:
            before = _values_before(by_day, observed_us)
        else:
            while known and (known[0][0] < observed_us - _MEMORY_US or len(known) >= _MOST_KNOWN):
                del ranked[bisect_left(ranked, known.popleft()[1])]
            before = ranked
        if len(before) >= _LEAST_KNOWN and abs(value - before[len(before) // 2]) > MOST_DIFFERENCE_C:
            result[row] = True
            continue
        by_day[observed_us // _DAY_US].append((observed_us, value))
        if not late:
            newest_us = max(newest_us, observed_us)
            known.append((observed_us, value))
            insort(ranked, value)
    return result


def _values_before(by_day: Mapping[int, Sequence[tuple[int, float]]], observed_us: int) -> list[float]:
    """Values of the memory before a time, in rising order."""
    day = observed_us // _DAY_US
    rows = (row for number in range(day - 2, day + 1) for row in by_day.get(number, ()))
    return sorted(value for at_us, value in rows if observed_us - _MEMORY_US <= at_us <= observed_us)
