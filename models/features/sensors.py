"""What LoRaWAN sensors tell of every segment: frost at the surface, water in the base.

Sensors stand at a few per cent of the segments. What they measured in a window of days is compared with what the
weather let one expect; the differences are spread to all segments in space and by similarity (`models.state.fields`).
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.features.weather import KNOWN_SHARE, antecedent_precipitation_mm, freeze_thaw_days
from models.inputs import Floats, Instant, Instants, SegmentTable, SensorDays, SensorQuantity
from models.state.fields import SOIL_MOISTURE_FIELD, SURFACE_TEMP_FIELD, Field, Places, kriging_weights, site_traits
from models.twin import soil_moisture_from_rain_pct

FREEZE_THAW_DAYS = (7, 30, 90)
LEVEL_DAYS = 7
"""The moisture of the base is the mean of so many days."""
TREND_DAYS = 30
"""Its trend is what that mean has risen by in so many days."""
NORMAL_DAYS = 15
"""Its normal is the mean of this many days on both sides of the same day of earlier years."""
_YEAR_DAYS = 365.25
_SETS_KEPT = 4  # of weights, 15 MB each for 80,000 segments

NAMES = (
    "surface_freeze_thaw_7d",
    "surface_freeze_thaw_30d",
    "surface_freeze_thaw_90d",
    "surface_minimum_7d_c",
    "base_moisture_pct",
    "base_moisture_trend_30d_pct",
    "base_moisture_anomaly_pct",
)


@dataclass(frozen=True, slots=True)
class FinishedDays:
    """Weather of local days that are over, oldest first, up to the one before the day asked about; NaN unknown."""

    minimum_c: Floats
    maximum_c: Floats
    rain_mm: Floats


class _Sites:
    """Sensor-days of one quantity by day; sensors at one segment stand for one site.

    `editions` of the register, oldest first: the same segments, that may be alike in one and not in another.
    """

    def __init__(
        self, days: SensorDays, superseded_at: Instants, editions: Sequence[SegmentTable], field: Field
    ) -> None:
        order = np.argsort(days.day, kind="stable")
        self._rows, self._superseded_at = days.take(order), superseded_at[order]
        self.segments, self._site = np.unique(self._rows.segment_index, return_inverse=True)
        self._editions, self._edition, self._field = editions, len(editions) - 1, field
        self._places, self._alike_as = Places(editions[-1].positions_m(), _traits(editions[-1])), self._edition
        self._kept: OrderedDict[tuple[int, bytes], csr_array] = OrderedDict()

    def spread_by(self, edition: int) -> None:
        """From now on the segments are as alike as this edition of the register calls them.

        Traits of all editions would be hundreds of MB where a large register is brought in every night: those of one
        are held, and an edition that says the same of what makes segments alike has the weights of the one before.
        """
        if edition != self._edition:
            self._edition, traits = edition, _traits(self._editions[edition])
            if not np.array_equal(traits, self._places.traits):
                self._places, self._alike_as = Places(self._places.at_m, traits), edition

    def known(
        self, first: Instant, last: Instant, as_of: Instant
    ) -> tuple[SensorDays, NDArray[np.intp], NDArray[np.intp]]:
        """Rows of the days `first` to `last` that were in force, with their site and the days since `first`."""
        begin, end = np.searchsorted(self._rows.day, [first, last + 1])
        part = slice(int(begin), int(end))
        force = (self._rows.recorded_at[part] <= as_of) & (as_of < self._superseded_at[part])
        index = np.flatnonzero(force) + part.start
        rows = self._rows.take(index)
        return rows, self._site[index], (rows.day - first).astype(np.intp)

    def begins_by(self, day: Instant) -> bool:
        """Whether there are rows of this day or of earlier ones, whenever they were recorded."""
        return bool(len(self._rows)) and bool(self._rows.day[0] <= day)

    def by_day(self, values: Floats, site: NDArray[np.intp], day: NDArray[np.intp], days: int) -> Floats:
        """Means over the sensors of a site, (days, sites), NaN where none measured."""
        shape, told = (days, self.segments.size), np.isfinite(values)
        cell = day[told] * shape[1] + site[told]
        total = np.bincount(cell, values[told], days * shape[1])
        count = np.bincount(cell, minlength=days * shape[1])
        means: Floats = np.divide(total, count, out=np.full(days * shape[1], np.nan), where=count > 0)
        return means.reshape(shape)

    def spread(self, at_sites: Floats, expected: float, present: NDArray[np.bool_]) -> Floats:
        """Values at all segments from those at sites and from what the weather let one expect.

        Parameters
        ----------
        at_sites : ndarray, shape (sites,)
            NaN where a site has no value.
        expected : float
            From the weather; where it is NaN, the mean of the sites stands in.
        present : ndarray, shape (sites,)
            Sites that measure at all these days. One of them without a value gets the one that the others let one
            expect there, which changes nothing elsewhere: so weights are worked out only when sensors come or go.

        Returns
        -------
        ndarray, shape (n_segments,)
            NaN when no site has a value.
        """
        told = np.isfinite(at_sites)
        if not told.any():
            return np.full(len(self._places), np.nan)
        background = float(at_sites[told].mean()) if np.isnan(expected) else expected
        deviation = np.where(told, at_sites - background, 0.0)
        silent = present & ~told
        if silent.any():
            deviation[silent] = self._weights(self._at(silent), told) @ deviation[told]
        present = present | told
        values: Floats = background + self._weights_of(present) @ deviation[present]
        return values

    def _at(self, sites: NDArray[np.bool_]) -> Places:
        return self._places.take(self.segments[sites].astype(np.intp))

    def _weights(self, places: Places, sites: NDArray[np.bool_]) -> csr_array:
        # What the weather gets wrong it gets wrong everywhere, by as much as places differ.
        return kriging_weights(places, self._at(sites), self._field.spread, self._field)

    def _weights_of(self, sites: NDArray[np.bool_]) -> csr_array:
        """Weights of sites at all segments; of the newest few sets of sites they are kept."""
        key = (self._alike_as, sites.tobytes())
        if key not in self._kept:
            self._kept[key] = self._weights(self._places, sites)
            if len(self._kept) > _SETS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _traits(segments: SegmentTable) -> Floats:
    return site_traits(segments.tree_cover_pct, segments.pavement_class, segments.drainage, segments.width_m)


class SensorFeatures:
    """Features of all segments from sensors, for any number of times.

    Prepared with all rows, in ways that leave the answer for t untouched by rows recorded after t.
    """

    def __init__(self, days: SensorDays, superseded_at: Instants, editions: Sequence[SegmentTable]) -> None:
        """`superseded_at` (n,): when each row was replaced by a later one of its sensor and day.

        `editions` of the register, oldest first, the one in force last.
        """

        def sites(quantity: SensorQuantity, field: Field) -> _Sites:
            own = days.quantity == quantity
            return _Sites(days.take(own), superseded_at[own], editions, field)

        self._surface = sites(SensorQuantity.SURFACE_TEMP, SURFACE_TEMP_FIELD)
        self._moisture = sites(SensorQuantity.SOIL_MOISTURE, SOIL_MOISTURE_FIELD)

    def at(self, as_of: Instant, today: Instant, weather: FinishedDays, *, edition: int) -> dict[str, Floats]:
        """Features as of a time, each (n_segments,); NaN where no sensor tells enough of its window.

        `today` is the local day in which `as_of` lies: windows end the day before, with the last one that is over.
        `edition`: the number of that of the register by which segments are alike.
        """
        for sites in (self._surface, self._moisture):
            sites.spread_by(edition)
        return dict(zip(NAMES, [*self._frost(as_of, today, weather), *self._water(as_of, today, weather)], strict=True))

    def _frost(self, as_of: Instant, today: Instant, weather: FinishedDays) -> Iterator[Floats]:
        longest = max(FREEZE_THAW_DAYS)
        rows, site, day = self._surface.known(today - longest, today - 1, as_of)
        cycles = self._surface.by_day(rows.freeze_thaw_cycles, site, day, longest)
        present = np.asarray(np.isfinite(cycles).any(axis=0))
        of_air = _newest(freeze_thaw_days(weather.minimum_c, weather.maximum_c), longest)
        for length in FREEZE_THAW_DAYS:
            expected = length * float(_mean(of_air[-length:, None])[0])
            yield np.maximum(self._surface.spread(length * _mean(cycles[-length:]), expected, present), 0.0)
        minima = self._surface.by_day(rows.minimum, site, day, longest)[-FREEZE_THAW_DAYS[0] :]
        air = _newest(weather.minimum_c, FREEZE_THAW_DAYS[0])
        yield self._surface.spread(_minimum(minima), float(_minimum(air[:, None])[0]), present)

    def _water(self, as_of: Instant, today: Instant, weather: FinishedDays) -> Iterator[Floats]:
        length = TREND_DAYS + LEVEL_DAYS
        rows, site, day = self._moisture.known(today - length, today - 1, as_of)
        daily = self._moisture.by_day(rows.mean, site, day, length)
        present = np.asarray(np.isfinite(daily).any(axis=0))
        level, before = _mean(daily[-LEVEL_DAYS:]), _mean(daily[:LEVEL_DAYS])
        expected, expected_before = (_from_rain_pct(rain) for rain in (weather.rain_mm, weather.rain_mm[:-TREND_DAYS]))
        yield self._moisture.spread(level, expected, present)
        yield self._moisture.spread(level - before, expected - expected_before, present)
        yield self._moisture.spread(level - self._normal(as_of, today), 0.0, present)

    def _normal(self, as_of: Instant, today: Instant) -> Floats:
        """Mean moisture at each site about this day of earlier years, NaN before there is one."""
        total, count = np.zeros(self._moisture.segments.size), np.zeros(self._moisture.segments.size)
        years = 1
        while self._moisture.begins_by(middle := today - round(_YEAR_DAYS * years)):
            rows, site, day = self._moisture.known(middle - NORMAL_DAYS, middle + NORMAL_DAYS, as_of)
            daily = self._moisture.by_day(rows.mean, site, day, 2 * NORMAL_DAYS + 1)
            total += np.nansum(daily, axis=0)
            count += np.isfinite(daily).sum(axis=0)
            years += 1
        least = KNOWN_SHARE * (2 * NORMAL_DAYS + 1)
        normal: Floats = np.divide(total, count, out=np.full(total.size, np.nan), where=count >= least)
        return normal


def _mean(daily: Floats) -> Floats:
    """Means of columns of which at least 80 % is known, else NaN."""
    known = np.isfinite(daily).sum(axis=0)
    means: Floats = np.divide(
        np.nansum(daily, axis=0),
        known,
        out=np.full(daily.shape[1], np.nan),
        where=known >= max(KNOWN_SHARE * len(daily), 1),
    )
    return means


def _minimum(daily: Floats) -> Floats:
    """Lowest values of columns of which at least 80 % is known, else NaN."""
    enough = np.isfinite(daily).sum(axis=0) >= KNOWN_SHARE * len(daily)
    return np.where(enough, np.fmin.reduce(daily, axis=0, initial=np.inf), np.nan)


def _newest(values: Floats, length: int) -> Floats:
    """The newest `length` values, NaN before the first."""
    padded: Floats = np.concatenate([np.full(length, np.nan), values])[-length:]
    return padded


def _from_rain_pct(rain_mm: Floats) -> float:
    return float(soil_moisture_from_rain_pct(antecedent_precipitation_mm(rain_mm)).value[0])
