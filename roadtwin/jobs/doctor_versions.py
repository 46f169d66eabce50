"""Versions of Mosquitto and TimescaleDB that are known to lose data, or to fail, on the way that we use them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from roadtwin.jobs.doctor_findings import Finding, Severity
from roadtwin.storage.database import DatabaseMode

Version = tuple[int, ...]

_NUMBERS = re.compile(r"\d+(?:\.\d+)+")
OLDEST_POSTGRESQL = 15
"""Major version of PostgreSQL from which on we are tested."""
OLDEST_TIMESCALEDB: Version = (2, 20)
PREFERRED_TIMESCALEDB: Version = (2, 25)


def parse_version(text: str) -> Version | None:
    """The first dotted number in a text, None when there is none.

    Examples
    --------
    >>> parse_version("mosquitto version 2.0.11")
    (2, 0, 11)
    >>> parse_version("2.30.0-dev")
    (2, 30, 0)
    >>> parse_version("unnamed") is None
    True
    """
    found = _NUMBERS.search(text)
    return tuple(int(part) for part in found[0].split(".")) if found else None


@dataclass(frozen=True, slots=True)
class KnownBad:
    """A range of versions and what is wrong with it: from `first` on, until `fixed`, which is good again.

    `only_if` is the line of the configuration without which it does no harm.
    """

    first: Version
    fixed: Version
    severity: Severity
    what: str
    only_if: tuple[str, str] | None = None

    def covers(self, version: Version) -> bool:
        """Whether a version is in the range."""
        return self.first <= version < self.fixed


MOSQUITTO = (
    KnownBad((0,), (2, 0), Severity.WARNING, "before 2.0 a queue holds 100 messages unless max_queued_messages is set"),
    KnownBad(
        (2, 0, 16),
        (2, 0, 17),
        Severity.DANGER,
        "2.0.16 stops delivering with max_queued_messages 0 (#2879) and does not apply max_inflight_messages (#2876)",
    ),
    KnownBad(
        (2, 0, 17),
        (2, 0, 22),
        Severity.WARNING,
        "before 2.0.22 max_queued_messages 0 is not unlimited and disconnects clients (#3244): set a large number",
        only_if=("max_queued_messages", "0"),
    ),
    KnownBad(
        (2, 0, 12),
        (2, 0, 23),
        Severity.WARNING,
        "2.0.12 to 2.0.22 do not queue for sessions that are away under per_listener_settings true (#2618)",
        only_if=("per_listener_settings", "true"),
    ),
)

_TIMESCALEDB = (
    KnownBad(
        (0,),
        (2, 18, 1),
        Severity.DANGER,
        "up to 2.18.0 INSERT … ON CONFLICT DO NOTHING from a staging table stops at the first conflict and silently "
        "loses the rows after it (#7672)",
    ),
    KnownBad(
        (2, 10), (2, 11), Severity.WARNING, "in 2.10 equal rows written by two writers at once raise errors (#5448)"
    ),
    KnownBad(
        (2, 29, 0),
        (2, 29, 1),
        Severity.WARNING,
        "2.29.0 has the security advisory GHSA-hcfx-29v5-2rcw, which 2.29.1 corrects",
    ),
)


def check_broker_version(
    banner: str | None, configured: Mapping[str, str] | None = None, *, not_checked: str = ""
) -> Finding:
    """Judge `$SYS/broker/version`; other brokers than Mosquitto are not judged.

    `configured` is what stands in mosquitto.conf: with it, what does harm under a certain setting only is a danger or
    nothing; without it, a warning.
    """
    if banner is None:
        reason = not_checked or "The broker does not tell its version ($SYS/broker/version)."
        return Finding.unknown(
            "broker-version",
            reason,
            "Let this account read $SYS/# (Mosquitto: `topic read $SYS/#` in the ACL file), or see for yourself.",
        )
    version = parse_version(banner)
    if "mosquitto" not in banner.lower() or version is None:
        return Finding.unknown("broker-version", f"{banner}: not a Mosquitto; no list of its bad versions is kept.", "")
    bad = [entry for entry in MOSQUITTO if entry.covers(version)]
    certain = [entry for entry in bad if entry.only_if is None]
    met = [entry for entry in bad if entry.only_if and configured is not None and _stands(configured, entry.only_if)]
    possible = [entry for entry in bad if entry.only_if and configured is None]
    found = certain + met + possible
    if not found:
        return Finding.ok("broker-version", f"{banner}: nothing known against it{' as configured' if bad else ''}.")
    dangerous = bool(met) or any(entry.severity is Severity.DANGER for entry in certain)
    what = "; ".join(entry.what for entry in found)
    fix = "Install Mosquitto 2.0.23 or newer."
    if not certain and not met:
        fix += " Give --mosquitto-conf to see whether this concerns you."
    return Finding("broker-version", Severity.DANGER if dangerous else Severity.WARNING, f"{banner}: {what}.", fix)


def _stands(configured: Mapping[str, str], setting: tuple[str, str]) -> bool:
    name, value = setting
    return configured.get(name) == value


def check_timescaledb_version(text: str | None, mode: DatabaseMode, postgresql: Version) -> Finding:
    """Judge TimescaleDB's version; plain PostgreSQL has none and is fine. `postgresql` is the server's version."""
    if text is None:
        return Finding.ok("timescaledb-version", "No TimescaleDB in this database.")
    version = parse_version(text)
    if version is None:
        return Finding.unknown("timescaledb-version", f"TimescaleDB tells the version {text!r}.", "")
    found = [(entry.severity, entry.what) for entry in _TIMESCALEDB if entry.covers(version)]
    if version < OLDEST_TIMESCALEDB:
        # The Apache edition has no compressed chunks, where the errors before 2.20 were.
        severity = Severity.DANGER if mode is DatabaseMode.COMMUNITY else Severity.WARNING
        found.append((severity, "before 2.20 duplicates in compressed chunks are slow or go wrong (#6063, #5801)"))
    if (2, 28) <= version < (2, 29) and postgresql[:2] == (15, 20):
        found.append((Severity.WARNING, "2.28 on PostgreSQL 15.20 marks background jobs as failed"))
    if found:
        worst = Severity.DANGER if any(severity is Severity.DANGER for severity, _ in found) else Severity.WARNING
        fix = "Update TimescaleDB to 2.29.2 or newer (PostgreSQL 15: the newest 2.28)."
        return Finding("timescaledb-version", worst, f"{text}: {'; '.join(what for _, what in found)}.", fix)
    note = "" if version >= PREFERRED_TIMESCALEDB else " 2.25 or newer is preferred: it is faster with late data."
    return Finding.ok("timescaledb-version", f"{text}: nothing known against it.{note}")


def check_postgresql_version(version: Version) -> Finding:
    """Judge the server's version."""
    text = ".".join(str(part) for part in version)
    if version[0] < OLDEST_POSTGRESQL:
        return Finding.warning(
            "postgresql-version", f"PostgreSQL {text}.", f"Update to PostgreSQL {OLDEST_POSTGRESQL} or newer."
        )
    return Finding.ok("postgresql-version", f"PostgreSQL {text}.")
