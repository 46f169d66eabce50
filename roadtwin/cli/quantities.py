"""Options that are a day, a time, a length of time or a size, written as people write them."""

import math
import re
from datetime import UTC, date, datetime

from roadtwin.errors import SettingsError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"kb": 10**3, "mb": 10**6, "gb": 10**9}
LONGEST_S = 3660 * 86400


def read_duration_s(option: str, text: str) -> float:
    """A length of time [s]. Raises SettingsError.

    Examples
    --------
    >>> read_duration_s("--duration", "90s"), read_duration_s("--duration", "1.5h")
    (90.0, 5400.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else math.nan
    if not 0 < seconds <= LONGEST_S:
        raise SettingsError(f"{option}: got {text!r}, expected a length of time such as 90s, 15m, 2h or 7d.")
    return seconds


def read_size_bytes(text: str) -> int | None:
    """A size [B], or None where the text is none.

    Examples
    --------
    >>> read_size_bytes("1.5GB"), read_size_bytes("1h")
    (1500000000, None)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]b)", text.strip().lower())
    size = int(float(match[1]) * _BYTES[match[2]]) if match else 0
    return size or None


def read_instant(option: str, text: str) -> datetime:
    """A time with its offset, as UTC. Raises SettingsError."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise SettingsError(f"{option}: got {text!r}, expected a time with offset such as 2026-01-31T06:00:00+01:00.")
    return instant.astimezone(UTC)


def read_day(option: str, text: str) -> date:
    """A day. Raises SettingsError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{option}: got {text!r}, expected a date such as 2026-01-31.") from None
