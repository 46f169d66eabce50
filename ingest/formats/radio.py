"""What the gateways that heard an uplink say of its reception, made fit for storage."""

from collections.abc import Iterable

MOST_GATEWAYS = 32_767
"""More than a smallint holds are counted as that many."""
_PLAUSIBLE_DB = 500.0


def count_gateways(names: Iterable[str]) -> int:
    """How many different gateways."""
    return min(len(set(names)), MOST_GATEWAYS)


def best(levels: Iterable[float]) -> float | None:
    """The highest level [dBm or dB]; None without any. No radio gives values beyond ±500."""
    return max((level for level in levels if abs(level) <= _PLAUSIBLE_DB), default=None)
