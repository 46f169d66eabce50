"""Kept messages decoded again by today's profiles and codecs; see docs/decisions/0007-reprocessing.md.

Works page by page, one transaction each. Nothing is deleted and no value changes: new rows are written, and those that
they replace get an end. What is done stays done; a run that was cut short is finished by the next one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import psycopg
from msgspec.structs import replace

from ingest.batch import POISON, Decode, decode_batch
from ingest.formats import vehicle
from ingest.received import Received
from ingest.superseding import Refusal, Stored
from roadtwin.errors import ReprocessError
from roadtwin.storage import reprocess as storage
from roadtwin.storage.devices import SeriesKey, resolve_series
from roadtwin.storage.messages import BatchWriter
from roadtwin.storage.reprocess import Arrival, KeptMessage, ObservationRow, Place, RejectedSelection, Selection
from roadtwin.types import Message, Origin, RejectedMessage

Connection = psycopg.Connection[Any]
Clock = Callable[[], datetime]

WORKER = "reprocess"
PAGE = 500
"""Arrivals of one transaction: it bounds memory and how long rows are locked."""
HIGHEST_VERSION = 32_767
_TRIES = 5
"""A run and a digest may lock rows crosswise; the database ends one of them, which then does its page again."""


@dataclass(frozen=True, slots=True)
class RefusedProfile:
    """A profile whose version would have to be higher: `name` of a profile, else of a format."""

    name: str
    version: int
    stored_version: int

    def __str__(self) -> str:
        """What to do about it."""
        needed = self.stored_version + 1
        return (
            f"{self.name} is version {self.version} and would change what is stored under version "
            f"{self.stored_version}: set version = {needed} or higher in the profile, or give --as-version {needed}."
        )


@dataclass(slots=True)
class ReprocessCounts:
    """What a run read and changed.

    `messages` were read again: of them `not_measured` have no profile or codec that reads them, `unreadable` are not
    taken by today's parser, `without_bytes` have lost their raw bytes, `refused` are left as they are since the
    version of their profile (in `refusals`, with the number of messages) was used already. Of observations `new` were
    stored, `duplicate` are there, `conflicts` found another message's value, `superseded` are out of force now.
    `rejected` messages were tried again: `accepted` are stored now, `known` had been stored meanwhile, `rejected_again`
    are still not taken, `not_whole` were kept in part only, and `vehicle_readings` are left out.
    """

    messages: int = 0
    not_measured: int = 0
    unreadable: int = 0
    without_bytes: int = 0
    refused: int = 0
    observations_new: int = 0
    observations_duplicate: int = 0
    observations_superseded: int = 0
    observation_conflicts: int = 0
    rejected: int = 0
    accepted: int = 0
    known: int = 0
    rejected_again: int = 0
    not_whole: int = 0
    vehicle_readings: int = 0
    refusals: Counter[RefusedProfile] = field(default_factory=Counter)

    def add(self, other: "ReprocessCounts") -> None:
        """Add those of a page."""
        for name in self.__slots__:
            if name == "refusals":
                self.refusals.update(other.refusals)
            else:
                setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_json(self) -> dict[str, object]:
        """JSON-ready, with the refused profiles as a list."""
        refusals = [asdict(profile) | {"messages": count} for profile, count in self.refusals.items()]
        return {name: getattr(self, name) for name in self.__slots__ if name != "refusals"} | {"refusals": refusals}


class Reprocessing:
    """One run on one connection, which must be idle. `clock` gives the time at which new values are known."""

    def __init__(
        self, conn: Connection, decoder: Decode, clock: Clock, *, as_version: int | None = None, dry_run: bool = False
    ) -> None:
        """`as_version` stands for the version of every profile (1 to 32,767); `dry_run` undoes every page."""
        if as_version is not None and not 1 <= as_version <= HIGHEST_VERSION:
            raise ReprocessError(f"--as-version: got {as_version}, expected a number from 1 to {HIGHEST_VERSION}.")
        self._conn = conn
        self._decoder = decoder
        self._clock = clock
        self._as_version = as_version
        self._dry_run = dry_run

    def kept(
        self, selection: Selection, *, page: int = PAGE, on_progress: Callable[[float], None] | None = None
    ) -> ReprocessCounts:
        """Decode the selected messages again. `on_progress` gets the share done.

        Messages of one device that arrived in one instant are taken together, selected or not. Raises ReprocessError
        for vehicle readings and while another run works.
        """
        if selection.message_format == vehicle.FORMAT:
            raise ReprocessError(
                f"Got format {vehicle.FORMAT}, expected one of sensors: stored vehicle readings do not hold the "
                "vehicle's id that their pseudonyms were made from."
            )
        total = ReprocessCounts()
        with storage.only_run(self._conn):
            arrivals = storage.SelectedArrivals(self._conn, selection)
            expected = arrivals.count_messages()
            self._conn.rollback()
            for found in arrivals.pages(page):
                total.add(self._page(found))
                if on_progress is not None:
                    on_progress(total.messages / max(expected, 1))
        return total

    def rejected(
        self, selection: RejectedSelection, *, page: int = PAGE, on_progress: Callable[[float], None] | None = None
    ) -> ReprocessCounts:
        """Store the selected rejected messages that today's parsers take. `on_progress` gets the share done.

        Raises ReprocessError while another run works.
        """
        total = ReprocessCounts()
        with storage.only_run(self._conn):
            expected = storage.count_rejected(self._conn, selection)
            self._conn.rollback()
            for found in storage.rejected_pages(self._conn, selection, page):
                total.add(self._rejected_page(found))
                if on_progress is not None:
                    on_progress(total.rejected / max(expected, 1))
        return total

    def _page(self, arrivals: Sequence[Arrival], accepted: Sequence[bytes] = ()) -> ReprocessCounts:
        """One transaction; `accepted` are digests of rejected messages that are done with it."""
        for tries_left in reversed(range(_TRIES)):
            try:
                with self._conn.transaction(force_rollback=self._dry_run):
                    now = self._clock()
                    counts = self._measure(arrivals, now) if arrivals else ReprocessCounts()
                    storage.mark_reprocessed(self._conn, accepted, now)
                return counts
            except psycopg.errors.DeadlockDetected:
                if not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    def _measure(self, arrivals: Sequence[Arrival], now: datetime) -> ReprocessCounts:
        counts = ReprocessCounts()
        decoded: dict[Arrival, list[Message | None]] = {arrival: [] for arrival in arrivals}
        for kept in storage.read_messages(self._conn, arrivals):
            decoded[kept.arrival].append(self._decode(kept, counts))
        claims = self._claims(decoded)
        rows = storage.read_observations_of(self._conn, arrivals)
        places = {Place(claim.series_id, claim.observed_at) for claimed in claims.values() for claim in claimed}
        rows += storage.read_observations_at(self._conn, sorted(places))
        stored = Stored(rows)
        new: list[ObservationRow] = []
        superseded: list[ObservationRow] = []
        conflicts: list[ObservationRow] = []
        for arrival, messages in decoded.items():
            plan = stored.plan(arrival, claims[arrival], self._complete_version(messages))
            if isinstance(plan, Refusal):
                counts.refused += len(messages)
                counts.refusals[_refused(messages, plan)] += len(messages)
                continue
            new += plan.new
            superseded += plan.superseded
            conflicts += plan.conflicts
            counts.observations_duplicate += plan.duplicate
        counts.observations_new = storage.insert_observations(self._conn, new, now)
        counts.observations_duplicate += len(new) - counts.observations_new
        # Afterwards: a later message of this page may replace what an earlier one measured anew.
        counts.observations_superseded = storage.supersede_observations(self._conn, superseded, now)
        storage.insert_conflicts(self._conn, conflicts, now)
        counts.observation_conflicts = len(conflicts)
        if counts.observations_new:
            storage.write_accounts(
                self._conn,
                WORKER,
                stored=counts.observations_new,
                duplicate=counts.observations_duplicate,
                conflicts=counts.observation_conflicts,
                now=now,
            )
        return counts

    def _decode(self, kept: KeptMessage, counts: ReprocessCounts) -> Message | None:
        """Today's reading of a message; None when it cannot be read."""
        counts.messages += 1
        if kept.payload is None:
            counts.without_bytes += 1
            return None
        received = Received(kept.topic, kept.payload, kept.arrival.recorded_at, kept.retained)
        messages, _ = decode_batch([received], self._decoder)
        if not messages:
            counts.unreadable += 1
            return None
        counts.not_measured += _is_not_measured(messages[0])
        return messages[0]

    def _version(self, message: Message) -> int:
        return self._as_version or message.profile_version

    def _complete_version(self, messages: Iterable[Message | None]) -> int | None:
        """The version that says what messages do not measure any more; None if one is not read, or none measures."""
        versions = []
        for message in messages:
            if message is None or _is_not_measured(message):
                return None
            if message.observations or "profile" in message.details:
                versions.append(self._version(message))
        return max(versions, default=None)

    def _claims(self, decoded: dict[Arrival, list[Message | None]]) -> dict[Arrival, list[ObservationRow]]:
        """What the messages measure today, with series that are met for the first time made."""
        found = [
            ((arrival.device_id, o.channel, o.quantity, o.depth_cm), arrival, message, o)
            for arrival, messages in decoded.items()
            for message in messages
            if message is not None
            for o in message.observations
        ]
        wanted: set[SeriesKey] = {key for key, _, _, _ in found}
        series_ids = resolve_series(self._conn, wanted) if wanted else {}
        claims: dict[Arrival, list[ObservationRow]] = {arrival: [] for arrival in decoded}
        for key, arrival, message, o in found:
            version = self._version(message)
            row = ObservationRow(series_ids[key], o.observed_at, o.value, int(o.flags), version, True, arrival)
            claims[arrival].append(row)
        return claims

    def _rejected_page(self, page: Sequence[RejectedMessage]) -> ReprocessCounts:
        """Store the messages first, without what they measure; then measure them as kept ones."""
        counts = ReprocessCounts(rejected=len(page))
        taken: list[tuple[Message, bytes]] = []
        for item in page:
            if vehicle.vehicle_in(item.topic) is not None:
                counts.vehicle_readings += 1
            elif len(item.payload) != item.payload_bytes or sha256(item.payload).digest() != item.payload_sha256:
                counts.not_whole += 1
            else:
                messages, _ = decode_batch([Received(item.topic, item.payload, item.recorded_at)], self._decoder)
                taken += [(message, item.digest) for message in messages]
                counts.rejected_again += not messages
        if self._dry_run:
            counts.accepted = len(taken)
            counts.observations_new = sum(len(message.observations) for message, _ in taken)
            return counts
        stored = self._store(taken, counts)
        arrivals = storage.find_arrivals(self._conn, [message.message_id for message, _ in stored])
        self._conn.rollback()
        counts.add(self._page(arrivals, [digest for _, digest in stored]))
        return counts

    def _store(self, taken: Sequence[tuple[Message, bytes]], counts: ReprocessCounts) -> list[tuple[Message, bytes]]:
        """Those that the database holds now; what it cannot hold stays rejected."""
        writer = BatchWriter(self._conn, worker=WORKER, origin=Origin.REPROCESSED)
        try:
            written = writer.write([replace(message, observations=()) for message, _ in taken], [])
        except POISON:
            if len(taken) == 1:
                counts.rejected_again += 1
                return []
            half = len(taken) // 2
            return self._store(taken[:half], counts) + self._store(taken[half:], counts)
        counts.accepted += written.stored
        counts.known += written.duplicate
        return list(taken)


def _is_not_measured(message: Message) -> bool:
    """Whether no profile or codec reads it: a text says why; a table names single fields."""
    return isinstance(message.details.get("not_measured"), str)


def _refused(messages: Iterable[Message | None], refusal: Refusal) -> RefusedProfile:
    read = [message for message in messages if message is not None]
    names = [str(message.details["profile"]) for message in read if "profile" in message.details]
    names += [message.format for message in read]
    return RefusedProfile(names[0], refusal.version, refusal.stored_version)
