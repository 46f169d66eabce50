"""One change that no record announces: another contractor's cold mix, and heavy traffic that takes another way.

It comes on a day that the seed draws in the third to fifth year of the world and stays. Patches laid from then on work
better or worse and for a longer or shorter time; some streets lose most of their heavy vehicles (a bridge with a weight
limit) and others get them. The road register goes on stating the old numbers.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from simulators.world import World

PATCH_LIFE_DAYS = 365
_RELIEVED, _BURDENED = 0.35, 2.2  # of the heavy vehicles before
_STREETS = 0.15  # share of the main and collector streets in each of the two groups


@dataclass(frozen=True, slots=True, eq=False)
class Regime:
    """What changes, and when.

    `changes_on` is the day for patches; traffic follows on the first of the next month.
    """

    changes_on: date
    patch_effect_factor: float
    patch_life_days: int
    heavy_factor: NDArray[np.float64]
    """Of each section's heavy vehicles, after by before."""

    @property
    def diverted_from(self) -> date:
        """First day of the other traffic."""
        day = self.changes_on
        return date(day.year + day.month // 12, day.month % 12 + 1, 1)

    def patch_effect(self, day: date) -> float:
        """Factor on the effect of patches."""
        return self.patch_effect_factor if day >= self.changes_on else 1.0

    def life_days(self, laid_on: date) -> int:
        """For how long a cold patch laid on a day makes its surroundings worse."""
        return self.patch_life_days if laid_on >= self.changes_on else PATCH_LIFE_DAYS


def regime_of(world: World) -> Regime:
    """The change of a world."""
    streams = world.streams
    first, last = (_years_after(world.epoch, years) for years in (2, 5))
    u = streams.uniform("truth/regime", np.arange(4))
    day = first + timedelta(days=int(u[0] * (last - first).days))
    effect = np.exp((0.4 + 0.3 * u[1]) * (1 if u[2] < 0.5 else -1))
    life = PATCH_LIFE_DAYS * np.exp((0.3 + 0.2 * u[3]) * (1 if u[2] < 0.5 else -1))
    return Regime(day, float(effect), round(float(life)), _diversion(world))


def _diversion(world: World) -> NDArray[np.float64]:
    """Streets are those of one name; those without a name stand for themselves."""
    number: dict[str, int] = {}
    street = np.array([number.setdefault(s.name or f"/{i}", i) for i, s in enumerate(world.sections)])
    busy = np.array([section.road_class in ("main", "collector") for section in world.sections])
    drawn = np.where(busy, world.streams.uniform("truth/diversion", street), 1.0)
    return np.select([drawn < _STREETS, drawn < 2 * _STREETS], [_RELIEVED, _BURDENED], 1.0)


def _years_after(day: date, years: int) -> date:
    return date(day.year + years, day.month, min(day.day, 28))
