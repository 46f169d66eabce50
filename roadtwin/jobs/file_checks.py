"""What is wrong with a file as a whole: swapped longitudes and latitudes, times of several time zones."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from roadtwin.errors import InputFileError, NaiveTimeError, RecordRejectedError
from roadtwin.network.extent import FAR_KM, Extent, Verdict, extent_of, swapped_for_zone
from roadtwin.network.sections import RoadSection
from roadtwin.records.schema import Inspection, Record, RecordPosition, Repair, Report, positions_of
from roadtwin.reporting.words import Number, Words, counted

Read = tuple[str, Record | RecordRejectedError]
"""A record with where it stands in its file, or why it is none."""


def check_times(records: Sequence[Read], zone: ZoneInfo | None) -> list[str]:
    """Notes of times that are in several zones; refuses a file where it cannot be known which of them are right.

    Offsets of the city's zone and UTC go together, and so do any others alone, which a note says: they name an instant.
    Records without an offset are rejected ones already; beside records that have one, a note says so. Raises
    InputFileError where some times have an offset that the city's zone never has, and others one that it has. `zone`
    None: no city yet.
    """
    naive = sum(isinstance(record, NaiveTimeError) for _, record in records)
    offsets = Counter(_offset(at) for _, record in records if isinstance(record, Record) for at in _times(record))
    notes = []
    if naive and offsets:
        notes.append(
            f"Mixed time zones: {naive} of {len(records)} records have times without an offset and are rejected, since "
            "it cannot be known which zone they mean; the others have one."
        )
    if zone is None:
        return notes
    years = {at.year for _, record in records if isinstance(record, Record) for at in _times(record)}
    foreign = foreign_offsets(offsets, years, zone)
    if foreign:
        raise InputFileError(foreign)
    note = only_foreign_offsets(offsets, years, zone)
    return notes if note is None else [*notes, f"{note[0][0].upper()}{note[0][1:]}."]


def foreign_offsets(offsets: Mapping[timedelta, int], years: Iterable[int], zone: ZoneInfo) -> str:
    """What is wrong with the offsets of a file's times; "" if nothing is.

    `offsets` with their numbers of times; `years` are those of the times.
    """
    foreign = _foreign(offsets, years, zone)
    if not foreign or len(foreign) == len(offsets):
        return ""
    told = ", ".join(f"{counted(count, 'time')} {_text(offset)}" for offset, count in sorted(foreign.items()))
    usual = ", ".join(_text(offset) for offset in sorted(offsets.keys() - foreign.keys()))
    return f"Mixed time zones: got {told}, which {zone.key} never has, beside {usual}. Write all times in one zone."


def only_foreign_offsets(offsets: Mapping[timedelta, int], years: Iterable[int], zone: ZoneInfo) -> Words | None:
    """What a note says of a file of which every time has an offset that the zone never has; None otherwise.

    Such times name instants and are taken; but the file, or the zone, may be another city's.
    """
    foreign = _foreign(offsets, years, zone)
    if not foreign or len(foreign) < len(offsets):
        return None
    told = ", ".join(_text(offset) for offset in sorted(foreign))
    number = sum(foreign.values())
    return (
        (
            f"all times ({number:,}) have an offset that {zone.key} never has ({told}) and are taken as the instants "
            "they name; check the file and ROADTWIN_CITY_TIMEZONE"
        ),
        (
            f"alle Zeiten ({Number(number, comma=True):,}) haben einen Versatz, den {zone.key} nie hat ({told}), und "
            "gelten als die Zeitpunkte, die sie nennen; Datei und ROADTWIN_CITY_TIMEZONE prüfen"
        ),
    )


def _foreign(offsets: Mapping[timedelta, int], years: Iterable[int], zone: ZoneInfo) -> dict[timedelta, int]:
    own = {_offset(datetime(year, month, 15, 12, tzinfo=zone)) for year in years for month in (1, 7)} | {timedelta(0)}
    return {offset: count for offset, count in offsets.items() if offset not in own}


def _times(record: Record) -> Iterable[datetime]:
    return (at for at in (record.observed_at, record.recorded_at) if at is not None)


def _offset(at: datetime) -> timedelta:
    return at.utcoffset() or timedelta(0)


def _text(offset: timedelta) -> str:
    return datetime(2026, 1, 1, tzinfo=timezone(offset)).isoformat()[19:] if offset else "Z"


def check_places(records: Sequence[Read], extent: Extent | None) -> tuple[list[Read], list[str]]:
    """Records with swapped positions put right, and notes that say so.

    A position that lies far from the city, but in it with longitude and latitude exchanged, is put right; one that is
    far either way makes its record a rejected one: it would be put on no road, or on a wrong one.
    """
    if extent is None:
        placed = any(isinstance(record, Record) and positions_of(record) for _, record in records)
        return list(records), ["There is no network yet: positions could not be checked."] if placed else []
    swapped = 0
    checked: list[Read] = []
    for where, record in records:
        if not isinstance(record, Record):
            checked.append((where, record))
            continue
        verdicts = [(position, extent.judge(position.lon, position.lat)) for position in positions_of(record).values()]
        far = next((position for position, verdict in verdicts if verdict is Verdict.FAR), None)
        if far is not None:
            checked.append((where, RecordRejectedError(_too_far(extent, far.lon, far.lat))))
            continue
        wrong = sum(verdict is Verdict.SWAPPED for _, verdict in verdicts)
        swapped += wrong
        checked.append((where, _put_right(record, extent) if wrong else record))
    notes = [f"{swapped} positions had longitude and latitude swapped: put right."] if swapped else []
    return checked, notes


def _put_right(record: Record, extent: Extent) -> Record:
    def right(position: RecordPosition | None) -> RecordPosition | None:
        if position is None or extent.judge(position.lon, position.lat) is not Verdict.SWAPPED:
            return position
        return msgspec.structs.replace(position, lon=position.lat, lat=position.lon)

    if isinstance(record, Inspection):
        findings = tuple(msgspec.structs.replace(f, position=right(f.position)) for f in record.findings)
        return msgspec.structs.replace(record, findings=findings)
    assert isinstance(record, (Repair, Report))  # the only others with a position
    return msgspec.structs.replace(record, position=right(record.position))


def check_place(lon: float, lat: float, extent: Extent | None, where: str) -> tuple[float, float, bool]:
    """Longitude and latitude, put right if they were swapped, and whether they were. Raises InputFileError if far."""
    verdict = Verdict.PLAUSIBLE if extent is None else extent.judge(lon, lat)
    if extent is not None and verdict is Verdict.FAR:
        raise InputFileError(f"{where}: {_too_far(extent, lon, lat)}")
    return (lat, lon, True) if verdict is Verdict.SWAPPED else (lon, lat, False)


def _too_far(extent: Extent, lon: float, lat: float) -> str:
    return (
        f"The position {lon:g}, {lat:g} lies {extent.distance_km(lon, lat):.0f} km from the city's roads, expected at "
        f"most {FAR_KM:g} km."
    )


def check_sections(sections: Sequence[RoadSection], extent: Extent | None, zone: ZoneInfo) -> None:
    """Refuse a network whose longitudes and latitudes are swapped, all of them or some.

    Told by the roads that the city has; without any by the file's own middle and by the place of the time zone.
    Raises InputFileError.
    """
    middles = np.array([section.line.mean(axis=0) for section in sections])
    middle = np.median(middles, axis=0)
    if extent is None and swapped_for_zone(float(middle[0]), float(middle[1]), zone.key):
        raise InputFileError(
            f"Longitude and latitude are swapped: the middle of the network is at {middle[0]:.4g}, {middle[1]:.4g} "
            f"(longitude, latitude), which is not in the time zone {zone.key}, and {middle[1]:.4g}, {middle[0]:.4g} "
            "would be. Exchange them in the file, or set ROADTWIN_CITY_TIMEZONE to the city's."
        )
    city = extent or extent_of(middle[None])
    wrong = [i for i, (lon, lat) in enumerate(middles.tolist()) if city.judge(lon, lat) is Verdict.SWAPPED]
    if wrong:
        lon, lat = middles[wrong[0]].tolist()
        raise InputFileError(
            f"Longitude and latitude are swapped in {len(wrong)} of {len(sections)} sections: "
            f"{sections[wrong[0]].source_section_id} is at {lon:.4g}, {lat:.4g} (longitude, latitude), the city at "
            f"{(city.west + city.east) / 2:.4g}, {(city.south + city.north) / 2:.4g}. Exchange them in the file."
        )
