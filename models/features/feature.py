"""What a feature and a set of features are."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Group = Literal["weather", "wear", "memory", "camera", "sensors"]
GROUPS: tuple[Group, ...] = ("weather", "wear", "memory", "camera", "sensors")


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature. NaN is *unknown*; `monotone` +1/−1: physics lets the risk only rise/fall with it, 0: either.

    `text_de`, `text_en` say the value in a reason; `{value}` is filled with `decimals` decimals. `one_de`, `one_en`
    stand in their place where grammar wants the singular.
    """

    name: str
    group: Group
    unit: str
    monotone: Literal[-1, 0, 1]
    label_de: str
    label_en: str
    text_de: str
    text_en: str
    decimals: int = 0
    one_de: str | None = None
    one_en: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """A version of the features and their order. Another order, meaning or member needs another version."""

    version: int
    features: tuple[Feature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def monotone(self) -> tuple[int, ...]:
        """Directions in order."""
        return tuple(feature.monotone for feature in self.features)

    def index(self, name: str) -> int:
        """Position of a feature."""
        return self.names.index(name)

    def columns(self, groups: Iterable[Group]) -> list[int]:
        """Positions of the features of these groups, for ablations."""
        wanted = frozenset(groups)
        return [i for i, feature in enumerate(self.features) if feature.group in wanted]
