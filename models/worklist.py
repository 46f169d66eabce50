"""What a crew should do today, in which order: open potholes by due time, then segments to inspect by risk.

Evidence may contradict itself: cameras see a hole, look for it in vain, see it again. How probable it is that such a
hole is open is said by the twin (`models.state.presence`), and its place on the list weighs that: see `rank_potholes`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

from models.crews import SEVERITY_WEIGHT

DUE_DAYS: dict[int, int] = {3: 0, 2: 7, 1: 28}
"""Severity → whole local days between knowing of a pothole and having to treat it [d].

"Considerable" potholes are treated the same day: service level that the City of Essen states in public. Seven and
28 days for medium and low ones are ours: the monthly surface check that normally satisfies the duty of care in towns
(OLG Saarbrücken 2017) bounds the longest, and a week is the shortest horizon of a risk score.
"""

DUE_DAYS_AFTER_SECURING = 7
"""A secured pothole is safe for now; a barrier or cold mix must not become permanent [d]."""

WORKS_AHEAD_DAYS = 90
"""Planned works that begin within this time make patching and inspecting pointless [d]; the longest risk horizon."""

SEVERE = 3

FAIR_CHANCE = SEVERITY_WEIGHT[1] / SEVERITY_WEIGHT[SEVERE]
"""Least probability of being open with which a severe pothole weighs as much as a low one that is certain [-]."""

DOUBTFUL_BELOW = 0.5
"""Below this probability of being open, it is likelier that a pothole is gone than that it is there [-]."""


class Hindrance(StrEnum):
    """Why a place is not for the city's crews today."""

    OTHER_OWNER = "other_owner"  # another body maintains the road: tell it
    WARRANTY = "warranty"  # the contractor has to repair it: tell him
    PLANNED_WORK = "planned_work"  # the surface goes anyway
    INSPECTED = "inspected"  # somebody looked after the score was made
    DECIDED = "decided"  # somebody decided to defer or to do nothing after the score was made


class PotholeStatus(StrEnum):
    """Where a pothole stands. On the worklist there are open, secured and (today) repaired ones."""

    SUSPECTED = "suspected"  # a candidate: seen once, not confirmed
    OPEN = "open"
    SECURED = "secured"
    REPAIRED = "repaired"
    NOT_FOUND = "not_found"  # closed because it was looked for in vain


@dataclass(frozen=True, slots=True)
class Keeping:
    """Who has to keep a stretch of road, and until when somebody else does. `owner` None: the city itself."""

    owner: str | None
    warranty_until: date | None
    works_start_on: date | None


def day_start(instant: datetime, zone: ZoneInfo) -> datetime:
    """Begin of the local day that holds `instant`, UTC (days have 23 to 25 hours).

    Examples
    --------
    >>> day_start(datetime(2026, 3, 29, 12, tzinfo=UTC), ZoneInfo("Europe/Berlin")).isoformat()
    '2026-03-28T23:00:00+00:00'
    """
    return datetime.combine(instant.astimezone(zone).date(), time(), zone).astimezone(UTC)


def due_at(known_since: datetime, severity: int, zone: ZoneInfo, secured_at: datetime | None = None) -> datetime:
    """When a pothole has to be treated at the latest: end of a local day, UTC.

    Parameters
    ----------
    known_since
        When the city knew of it, or knew again after looks that did not find it; the duty begins with knowing.
    severity
        1 low, 2 medium, 3 high. Another value raises ValueError.
    zone
        The city's time zone.
    secured_at
        When it was made safe; from then on `DUE_DAYS_AFTER_SECURING` count, where that is later.

    Examples
    --------
    >>> due_at(datetime(2026, 1, 10, 9, tzinfo=UTC), 3, ZoneInfo("Europe/Berlin")).isoformat()
    '2026-01-10T23:00:00+00:00'
    """
    if severity not in DUE_DAYS:
        raise ValueError(f"Got severity {severity}, expected 1, 2 or 3.")

    def end_of_day(instant: datetime, days: int) -> datetime:
        day = instant.astimezone(zone).date() + timedelta(days=days + 1)
        return datetime.combine(day, time(), zone).astimezone(UTC)

    due = end_of_day(known_since, DUE_DAYS[severity])
    return due if secured_at is None else max(due, end_of_day(secured_at, DUE_DAYS_AFTER_SECURING))


def hindrances(keeping: Keeping, today: date) -> list[Hindrance]:
    """Why the city's crews should not work on this stretch on `today`; empty: they should."""
    found = []
    if keeping.owner is not None:
        found.append(Hindrance.OTHER_OWNER)
    if keeping.warranty_until is not None and keeping.warranty_until >= today:
        found.append(Hindrance.WARRANTY)
    if keeping.works_start_on is not None and keeping.works_start_on <= today + timedelta(days=WORKS_AHEAD_DAYS):
        found.append(Hindrance.PLANNED_WORK)
    return found


def is_for_crews(found: Sequence[Hindrance], *, severe: bool, include: Collection[Hindrance] = ()) -> bool:
    """Whether a place belongs on the crews' list.

    A severe pothole stays on it under warranty and before planned works: making the road safe is its keeper's duty
    today, whoever pays. On another body's road it does not.
    """
    left = [h for h in found if h not in include]
    return not left or (severe and Hindrance.OTHER_OWNER not in left)


class RankedPothole(Protocol):
    """What the order of potholes depends on."""

    @property
    def pothole_id(self) -> object: ...
    @property
    def severity(self) -> int: ...
    @property
    def status(self) -> PotholeStatus: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def open_probability(self) -> float | None: ...


P = TypeVar("P", bound=RankedPothole)


def open_probability(
    status: PotholeStatus, *, confirmed_by_person: bool, twin_probability: float | None
) -> float | None:
    """Probability that a pothole of the list is there [-].

    None of a repaired one; of others: not known yet, which the order takes as certain.

    Parameters
    ----------
    status
        Where it stands, repairs counted that the twin has yet to take in.
    confirmed_by_person
        A person found it, and no look has settled since then that it is gone: that is certain.
    twin_probability
        That its segment has an open pothole, by the twin (`open_pothole_probability`). [-] None only where the twin's
        state is older than the hole, or than its being seen again. A hole that nobody has seen for longer than the twin
        looks back must not become certain by that.
    """
    if status is PotholeStatus.REPAIRED:
        return None
    return 1.0 if confirmed_by_person else twin_probability


def is_likely(probability: float | None, least: float) -> bool:
    """Whether a pothole is there with at least this probability; what nobody has worked out counts as certain."""
    return probability is None or probability >= least


def is_urgent(severity: int, status: PotholeStatus, probability: float | None) -> bool:
    """Severe, open and there with at least a fair chance: it cannot wait."""
    return severity == SEVERE and status is PotholeStatus.OPEN and is_likely(probability, FAIR_CHANCE)


def rank_potholes(potholes: Iterable[P]) -> list[P]:
    """In the order of work: urgent ones, then the others; what was repaired today last.

    Urgent are severe open potholes with at least a fair chance of being there: they stay above every other one, however
    certain that is. Among the urgent, and among the others, those that are likelier there than not come first; then the
    due time decides, then severity, then probability.
    """

    def order(pothole: P) -> tuple[bool, bool, bool, datetime, int, float, str]:
        probability = pothole.open_probability
        return (
            pothole.status is PotholeStatus.REPAIRED,
            not is_urgent(pothole.severity, pothole.status, probability),
            not is_likely(probability, DOUBTFUL_BELOW),
            pothole.due_at,
            -pothole.severity,
            -1.0 if probability is None else -probability,
            str(pothole.pothole_id),
        )

    return sorted(potholes, key=order)
