"""Of what, and as known when, a state is made; and one quantity of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from models.days import local_day
from models.state.fields import Places, site_traits
from roadtwin.network.ranks import drainage_rank, pavement_rank
from roadtwin.storage.model_inputs import ModelSegment
from roadtwin.storage.twin_facts import Scope, read_facts
from roadtwin.twin.parameters import Parameters

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

_EARTH_RADIUS_M = 6_371_008.8


@dataclass(frozen=True, slots=True)
class Quantity:
    """One entry of the state by segment: value and sd (n,), NaN unknown; count, newest time and source of each."""

    value: Floats
    sd: Floats
    count: Sequence[int]
    newest_at: Sequence[datetime | None]
    source: Sequence[str]


@dataclass(frozen=True)
class Network:
    """Segments in the order of their ids, and what makes them alike; made once for many times."""

    segments: Sequence[ModelSegment]

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """Ids of the segments, ascending."""
        return np.array([segment.segment_id for segment in self.segments], np.int64)

    @cached_property
    def length_m(self) -> Floats:
        """Lengths, shape (n,). [m]"""
        return np.array([segment.length_m for segment in self.segments], np.float64)

    @cached_property
    def width_m(self) -> Floats:
        """Widths, NaN unknown, shape (n,). [m]"""
        return self._numbers("width_m")

    @cached_property
    def rails(self) -> NDArray[np.bool_]:
        """Whether rails are known to run in the carriageway, shape (n,)."""
        return np.array([bool(segment.attributes.get("tram_track")) for segment in self.segments], np.bool_)

    @cached_property
    def places(self) -> Places:
        """Midpoints on a plane and site traits."""
        attributes = [segment.attributes for segment in self.segments]
        traits = site_traits(
            self._numbers("tree_cover_pct"),
            [pavement_rank(a.get("pavement_class")) for a in attributes],
            [drainage_rank(a.get("drainage")) for a in attributes],
            self.width_m,
        )
        return Places(self.plane_m([(segment.mid_lon, segment.mid_lat) for segment in self.segments]), traits)

    def plane_m(self, places: Sequence[tuple[float, float]] | Floats) -> Floats:
        """Places (lon, lat) on a plane that touches the network, shape (n, 2). [m]"""
        origin = self.segments[0]
        degrees = np.array(places, dtype=np.float64).reshape(-1, 2) - [origin.mid_lon, origin.mid_lat]
        return np.asarray(np.radians(degrees) * _EARTH_RADIUS_M * [np.cos(np.radians(origin.mid_lat)), 1.0])

    def _numbers(self, name: str) -> Floats:
        values = [segment.attributes.get(name) for segment in self.segments]
        return np.array([np.nan if value is None else float(value) for value in values], np.float64)

    def part(self, rows: Sequence[int]) -> "Network":
        """Some of the segments, with the traits that they have among all."""
        part = Network([self.segments[row] for row in rows])
        part.__dict__["places"] = self.places.take(np.array(rows, np.intp))
        return part


@dataclass(frozen=True, slots=True)
class Setting:
    """Segments of which the state is asked, in which city, and as known when.

    `whole` is the city's network, which tells of what surrounds the sensors; `network` the segments asked about. For
    several times `weather` holds the rows of `roadtwin.twin.weather.read_weather` for the last of them.
    """

    conn: psycopg.Connection[Any]
    whole: Network
    network: Network
    zone: tzinfo
    now: datetime
    parameters: Parameters
    weather: Columns | None = None  # rows read before for a later time; None: read what is needed

    @property
    def scope(self) -> Scope:
        """For reading facts: all segments, or the ids of some."""
        return Scope(self.now, None if self.network is self.whole else self.network.ids.tolist())

    @property
    def instant(self) -> np.datetime64:
        """`now` as arrays have it."""
        return np.datetime64(self.now.astimezone(UTC).replace(tzinfo=None), "us")

    @property
    def today(self) -> np.datetime64:
        """The local day of `now`."""
        day: np.datetime64 = local_day(np.array([self.instant]), self.zone)[0]
        return day

    def days_ago(self, days: int) -> datetime:
        """So many days before now."""
        return self.now - timedelta(days=days)

    def read(self, what: str, **window: Any) -> Columns:
        """Facts on these segments, with `segment` (row) in place of the id."""
        columns = read_facts(self.conn, what, self.scope, **window)
        position = np.searchsorted(self.network.ids, columns["segment_id"])
        position = np.minimum(position, len(self.network.ids) - 1)
        known = self.network.ids[position] == columns["segment_id"]
        rows = {name: column[known] for name, column in columns.items() if name != "segment_id"}
        return rows | {"segment": position[known].astype(np.int64)}

    def years_since(self, at: NDArray[np.datetime64]) -> Floats:
        """Years from instants to now; NaN for NaT. [a]"""
        return np.asarray((self.instant - at) / np.timedelta64(365 * 24 + 6, "h"), np.float64)

    def newest(self, segment: NDArray[np.int64], at: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """Newest instant of rows by segment, shape (n,); NaT where there is none."""
        newest = np.full(len(self.network.ids), np.iinfo(np.int64).min)  # the integer that NaT is stored as
        np.maximum.at(newest, segment, at.astype("datetime64[us]").astype(np.int64))
        return newest.astype("datetime64[us]")


def datetimes(at: NDArray[np.datetime64]) -> list[datetime | None]:
    """Instants as aware datetimes, None for NaT."""
    values: list[datetime | None] = at.astype("datetime64[us]").tolist()
    return [None if value is None else value.replace(tzinfo=UTC) for value in values]


def same_everywhere(n: int, count: int, newest_at: datetime | None) -> tuple[list[int], list[datetime | None]]:
    """Count and newest time of what is the same for all segments."""
    return [count] * n, [newest_at] * n


def named(source: str, values: Floats) -> list[str]:
    """The source where a value is known, else none."""
    return [source if value == value else "none" for value in values.tolist()]


def latest(*times: datetime | None) -> datetime | None:
    """The newest of several times."""
    return max((at for at in times if at is not None), default=None)
