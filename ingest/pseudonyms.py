"""Vehicle pseudonyms: who drove where is not stored; what calibration needs is.

A vehicle's id becomes two keyed values (HMAC-SHA256, RFC 2104): a pseudonym that changes with the local month, and a
calibration id that stays, used only to normalise roughness and detections by vehicle. Without the key neither leads
back to the vehicle; whoever destroys the key makes that final.
"""

import hashlib
import hmac
import os
import secrets
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from roadtwin.errors import SettingsError
from roadtwin.settings import Settings

KEY_FILE = "pseudonym.key"
MIN_KEY_BYTES = 16


class Pseudonyms:
    """The pseudonyms of one city under one key."""

    def __init__(self, key: bytes, timezone: ZoneInfo) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise SettingsError(
                f"ROADTWIN_PSEUDONYM_KEY: got {len(key)} bytes, expected at least {MIN_KEY_BYTES} random ones."
            )
        self._key = key
        self._timezone = timezone
        self._keyed = lru_cache(maxsize=10_000)(self._keyed_uncached)

    def pseudonym(self, vehicle_id: str, at: datetime) -> str:
        """The vehicle's name in the local month of `at`: 24 hexadecimal digits after "v-"."""
        month = at.astimezone(self._timezone).strftime("%Y-%m")
        return "v-" + self._keyed("pseudonym", month, vehicle_id)

    def calibration_id(self, vehicle_id: str) -> str:
        """The vehicle's lasting name for calibration: 24 hexadecimal digits after "c-"."""
        return "c-" + self._keyed("calibration", "", vehicle_id)

    def _keyed_uncached(self, purpose: str, month: str, vehicle_id: str) -> str:
        text = f"{purpose}\x1f{month}\x1f{vehicle_id}"
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:24]


def open_pseudonyms(settings: Settings) -> Pseudonyms:
    """Pseudonyms with the key of the settings, or with the one in the data directory, made there on first use.

    Raises SettingsError when the key is too short or its file cannot be read or made.
    """
    if settings.pseudonym_key is not None:
        return Pseudonyms(settings.pseudonym_key.get_secret_value().encode(), settings.timezone)
    path = settings.data_dir / KEY_FILE
    try:
        if not path.exists():
            _make_key_file(path)
        return Pseudonyms(bytes.fromhex(path.read_text("ascii").strip()), settings.timezone)
    except (OSError, ValueError) as exc:
        raise SettingsError(f"The key of the vehicle pseudonyms in {path} cannot be used: {exc}.") from None


def _make_key_file(path: Path) -> None:
    """Make the key file for its owner only, whole or not at all; where another process was faster, keep that one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
