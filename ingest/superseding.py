"""What today's decoding of kept messages changes about what is stored; see docs/decisions/0007-reprocessing.md. Pure.

One value is in force at a place (series and instant). Today's replaces it under a higher version only; what a message
does not measure any more ends with it. Nothing is changed where that would need a version that is used already.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from roadtwin.storage.reprocess import Arrival, ObservationRow, Place
from roadtwin.types import Flag

_MEANING = int(Flag.RANGE | Flag.SENTINEL)
"""Flags that come from the profile; the others from the message's time, which stays."""
_JUDGED = int(Flag.RATE | Flag.STUCK)
"""Flags that were given by the history of a series; they hold as long as the value does."""


@dataclass(slots=True)
class Changes:
    """What is to be written, and what was found."""

    new: list[ObservationRow] = field(default_factory=list)
    superseded: list[ObservationRow] = field(default_factory=list)
    conflicts: list[ObservationRow] = field(default_factory=list)
    duplicate: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Today's `version` of a profile would change what is stored under `stored_version`, which is not lower."""

    version: int
    stored_version: int


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


class Stored:
    """What is stored, as far as some arrivals touch it; follows what is planned."""

    def __init__(self, rows: Iterable[ObservationRow]) -> None:
        self._at: dict[Place, dict[int, ObservationRow]] = {}
        self._of: dict[Arrival, list[ObservationRow]] = {}
        for row in rows:
            self._add(row)

    def _add(self, row: ObservationRow) -> None:
        versions = self._at.setdefault(Place(row.series_id, row.observed_at), {})
        if row.profile_version not in versions:
            versions[row.profile_version] = row
            self._of.setdefault(row.arrival, []).append(row)

    def plan(
        self, arrival: Arrival, claims: Sequence[ObservationRow], complete_version: int | None
    ) -> Changes | Refusal:
        """What the messages of an arrival change, with all that they measure today in `claims`.

        `complete_version`: the version under which all of them were read, so that what is not claimed is not measured
        any more; None when one of them could not be read.
        """
        try:
            changes = self._changes(arrival, claims, complete_version)
        except _RefusedError as exc:
            return exc.refusal
        for row in changes.superseded:
            row.in_force = False
        for row in changes.new:
            self._add(row)
        return changes

    def _changes(self, arrival: Arrival, claims: Sequence[ObservationRow], complete_version: int | None) -> Changes:
        changes, claimed = Changes(), dict[Place, ObservationRow]()
        for claim in claims:
            place = Place(claim.series_id, claim.observed_at)
            first = claimed.setdefault(place, claim)
            if first is claim:
                self._claim(place, claim, changes)
            elif first.value == claim.value:
                changes.duplicate += 1
            else:
                changes.conflicts.append(claim)
        if complete_version is not None:
            for row in self._of.get(arrival, ()):
                if row.in_force and Place(row.series_id, row.observed_at) not in claimed:
                    if row.profile_version >= complete_version:
                        raise _RefusedError(Refusal(complete_version, row.profile_version))
                    changes.superseded.append(row)
        return changes

    def _claim(self, place: Place, claim: ObservationRow, changes: Changes) -> None:
        versions = self._at.get(place, {})
        in_force = [row for row in versions.values() if row.in_force]
        highest = max((row.profile_version for row in versions.values()), default=-1)
        newest = max(in_force, key=_version, default=None)
        if highest < claim.profile_version:
            judged = newest.flags & _JUDGED if newest is not None and newest.value == claim.value else 0
            changes.new.append(replace(claim, flags=claim.flags | judged))
            changes.superseded += in_force
            return
        if newest is None:
            raise _RefusedError(Refusal(claim.profile_version, highest))  # ended before, by a version as high
        if newest.arrival == claim.arrival:
            if newest.value != claim.value or (newest.flags ^ claim.flags) & _MEANING:
                raise _RefusedError(Refusal(claim.profile_version, highest))
            changes.duplicate += 1
        elif newest.profile_version == claim.profile_version and newest.value != claim.value:
            changes.conflicts.append(claim)
        else:
            changes.duplicate += 1
        changes.superseded += [row for row in in_force if row is not newest]


def _version(row: ObservationRow) -> int:
    return row.profile_version
