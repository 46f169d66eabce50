"""What the gateways that heard an uplink say of its reception, made fit for storage."""

from collections.abc import Sequence

from roadtwin.types import Reception

MOST_RECEPTIONS = 1000
"""An uplink with more receptions is refused (`invalid_field`): no network has as many gateways within reach."""
_PLAUSIBLE_DB = 500.0


def plausible(level: float) -> float | None:
    """A level [dBm or dB], or None: no radio gives values beyond ±500."""
    return level if -_PLAUSIBLE_DB <= level <= _PLAUSIBLE_DB else None


def count_gateways(receptions: Sequence[Reception]) -> int:
    """How many different gateways."""
    if len(receptions) <= 1:
        return len(receptions)
    return len({reception.gateway_id for reception in receptions})


def best_rssi(receptions: Sequence[Reception]) -> float | None:
    """The strongest signal [dBm]; None without any."""
    if len(receptions) == 1:
        return receptions[0].rssi_dbm
    return max((r.rssi_dbm for r in receptions if r.rssi_dbm is not None), default=None)


def best_snr(receptions: Sequence[Reception]) -> float | None:
    """The best signal-to-noise ratio [dB]; None without any."""
    if len(receptions) == 1:
        return receptions[0].snr_db
    return max((r.snr_db for r in receptions if r.snr_db is not None), default=None)
