"""Bringing a road network into the database, and keeping it there when the register changes.

A section is recognised by its id in its register. Unchanged, nothing is written; with other attributes, they are
updated, and the former ones kept as an edition; with another line, the section and its segments are closed and new
ones written, and the lineage says which part of a former segment went to which new one. Facts that were matched to a
closed segment are matched again.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import psycopg
import shapely
from numpy.typing import NDArray

from roadtwin.errors import InputFileError
from roadtwin.network.matching import SegmentMatcher
from roadtwin.network.sections import RoadSection, Segment
from roadtwin.network.split import section_lengths_m, split_network
from roadtwin.records.schema import EARLIEST
from roadtwin.storage.network import (
    ClosedSegment,
    SectionRow,
    SegmentRow,
    close_sections,
    read_current_sections,
    read_newest_edition,
    read_nominal_length_m,
    update_sections,
    write_lineage,
    write_sections,
    write_segments,
)
from roadtwin.storage.potholes import forget_derivation
from roadtwin.storage.readings import forget_stale_matches

_LINEAGE_SAMPLES = 20  # places looked at along a former segment: shares are known to 5 %
_LINEAGE_DISTANCE_M = 25.0  # how far a street may have moved and still be the same one


@dataclass(frozen=True, slots=True)
class NetworkCounts:
    """What an import did. `missing`: present in the database, not in the import (closed only on request)."""

    sections: int
    added: int
    changed: int
    updated: int
    unchanged: int
    missing: int
    closed: int
    segments_added: int
    segments_closed: int
    length_km: float

    @property
    def changed_anything(self) -> bool:
        """Whether the database differs from before."""
        return bool(self.added or self.changed or self.updated or self.closed)


def import_network(
    conn: psycopg.Connection[Any],
    sections: Sequence[RoadSection],
    *,
    recorded_at: datetime,
    source_version: str | None = None,
    nominal_length_m: int = 100,
    close_missing: bool = False,
) -> NetworkCounts:
    """Write sections and their segments; a transaction of its own, or a part of the caller's.

    Parameters
    ----------
    recorded_at : datetime
        From when on the new sections are valid and other attributes known, and until when replaced ones were: not
        before the newest edition of any section that the import changes or ends.
    source_version : str, optional
        Which edition of the register this is; by default a digest of the sections.
    nominal_length_m : int
        Length of a segment; all sections of a database have the same. [m]
    close_missing : bool
        Whether sections of these registers that are not among `sections` end now: only for a complete register.

    Raises InputFileError for an id that occurs twice, another nominal length than the database has, or a `recorded_at`
    before what it would replace; DegenerateLineError for a line without length.
    """
    keys = [(section.source, section.source_section_id) for section in sections]
    if len(set(keys)) < len(keys):
        (source, section_id), _ = Counter(keys).most_common(1)[0]
        raise InputFileError(f"The section {source}:{section_id} is there more than once.")
    lengths = section_lengths_m(sections)
    version = source_version or _digest(sections)
    with conn.transaction():
        present = read_nominal_length_m(conn)
        if present is not None and present != nominal_length_m:
            raise InputFileError(
                f"The network in the database has segments of {present} m; got {nominal_length_m} m for these sections."
            )
        edition = _Edition(version, recorded_at, nominal_length_m)
        counts = [
            _import_register(conn, source, members, lengths[index], edition, close_missing=close_missing)
            for source, index, members in _registers(sections)
        ]
        if any(part.segments_added or part.segments_closed for part in counts):
            forget_stale_matches(conn)
            forget_derivation(conn, recorded_at=EARLIEST)
    return NetworkCounts(*(sum(getattr(part, name) for part in counts) for name in NetworkCounts.__slots__))


@dataclass(frozen=True, slots=True)
class _Edition:
    """What all new rows of an import have in common."""

    source_version: str
    valid_from: datetime
    nominal_length_m: int


def _registers(sections: Sequence[RoadSection]) -> Iterator[tuple[str, list[int], list[RoadSection]]]:
    for source in dict.fromkeys(section.source for section in sections):
        index = [i for i, section in enumerate(sections) if section.source == source]
        yield source, index, [sections[i] for i in index]


def _import_register(
    conn: psycopg.Connection[Any],
    source: str,
    sections: list[RoadSection],
    lengths_m: NDArray[np.float64],
    edition: _Edition,
    *,
    close_missing: bool,
) -> NetworkCounts:
    present = read_current_sections(conn, source)
    rows = [_section_row(section, length) for section, length in zip(sections, lengths_m.tolist(), strict=True)]
    new = [i for i, row in enumerate(rows) if row.source_section_id not in present]
    changed, updates = [], []
    for i, row in enumerate(rows):
        if row.source_section_id in present:
            section_id, stored = present[row.source_section_id]
            if bytes(stored.geometry_wkb) != row.geometry_wkb:
                changed.append(i)
            elif not _same_attributes(stored, row):
                updates.append((section_id, row))
    missing = [present[key][0] for key in present.keys() - {row.source_section_id for row in rows}]
    closing = [present[rows[i].source_section_id][0] for i in changed] + (missing if close_missing else [])
    _check_order(conn, source, [*closing, *(section_id for section_id, _ in updates)], edition.valid_from)
    closed = close_sections(conn, closing, valid_to=edition.valid_from) if closing else []
    update_sections(conn, updates, recorded_at=edition.valid_from)
    fresh = new + changed
    written = _write(conn, source, [sections[i] for i in fresh], [rows[i] for i in fresh], edition)
    if closed and written:
        write_lineage(conn, _lineage(closed, written))
    return NetworkCounts(
        sections=len(sections),
        added=len(new),
        changed=len(changed),
        updated=len(updates),
        unchanged=len(sections) - len(new) - len(changed) - len(updates),
        missing=len(missing),
        closed=len(missing) if close_missing else 0,
        segments_added=len(written),
        segments_closed=len(closed),
        length_km=float(lengths_m.sum()) / 1000,
    )


def _check_order(conn: psycopg.Connection[Any], source: str, section_ids: list[int], recorded_at: datetime) -> None:
    """Refuse to replace what became known later: models of the time in between would read what was not known then."""
    newest = read_newest_edition(conn, section_ids) if section_ids else None
    if newest is not None and recorded_at < newest:
        raise InputFileError(
            f"The register {source} has an edition of {newest.isoformat(timespec='seconds')} for sections that this "
            f"import changes or ends; got the earlier {recorded_at.isoformat(timespec='seconds')}: import editions in "
            "the order in which they became known."
        )


def _write(
    conn: psycopg.Connection[Any], source: str, sections: list[RoadSection], rows: list[SectionRow], edition: _Edition
) -> list[tuple[int, Segment]]:
    """Write new sections and their segments; returns (segment_id, segment)."""
    if not rows:
        return []
    section_ids = write_sections(
        conn, rows, source=source, source_version=edition.source_version, valid_from=edition.valid_from
    )
    segments = split_network(sections, edition.nominal_length_m)
    segment_ids = write_segments(conn, list(_segment_rows(segments, section_ids)), valid_from=edition.valid_from)
    return list(zip(segment_ids, segments, strict=True))


def _section_row(section: RoadSection, length_m: float) -> SectionRow:
    return SectionRow(
        source_section_id=section.source_section_id,
        name=section.name,
        district=section.district,
        road_class=section.road_class,
        owner=section.owner,
        maintenance_district=section.maintenance_district,
        warranty_until=section.warranty_until,
        inspection_interval_days=section.inspection_interval_days,
        length_m=length_m,
        geometry_wkb=shapely.to_wkb(shapely.LineString(section.line)),
        attributes=msgspec.to_builtins(section.attributes),
    )


def _same_attributes(stored: SectionRow, row: SectionRow) -> bool:
    # The length follows from the line, and the driver gives the line as another type of bytes.
    return stored._replace(length_m=row.length_m, geometry_wkb=row.geometry_wkb) == row


def _segment_rows(segments: Sequence[Segment], section_ids: Sequence[int]) -> Iterator[SegmentRow]:
    lines = shapely.linestrings(
        np.concatenate([s.line for s in segments]),
        indices=np.repeat(np.arange(len(segments)), [len(s.line) for s in segments]),
    )
    wkb, bounds = shapely.to_wkb(lines), shapely.bounds(lines)
    # Halfway in metres, not in degrees: a degree of longitude is shorter.
    squeeze = np.array([np.cos(np.radians((bounds[:, 1].min() + bounds[:, 3].max()) / 2)), 1.0])
    metric = shapely.transform(lines, lambda degrees: degrees * squeeze)
    middle = shapely.get_coordinates(shapely.line_interpolate_point(metric, 0.5, normalized=True)) / squeeze
    for i, segment in enumerate(segments):
        west, south, east, north = bounds[i].tolist()
        yield SegmentRow(
            public_id=segment.public_id,
            section_id=section_ids[segment.section_index],
            nominal_length_m=segment.nominal_length_m,
            from_station_m=segment.from_station_m,
            to_station_m=segment.to_station_m,
            name=segment.name,
            district=segment.district,
            road_class=segment.road_class,
            length_m=segment.length_m,
            geometry_wkb=wkb[i],
            bounds=(west, south, east, north),
            mid_lon=float(middle[i, 0]),
            mid_lat=float(middle[i, 1]),
            attributes=msgspec.to_builtins(segment.attributes),
        )


def _lineage(
    closed: Sequence[ClosedSegment], written: Sequence[tuple[int, Segment]]
) -> Iterator[tuple[int, int, float]]:
    """Where former segments went: places along each are matched to the new ones, with its direction as heading."""
    matcher = SegmentMatcher([segment for _, segment in written])
    lines = shapely.from_wkb([bytes(segment.geometry_wkb) for segment in closed])
    stations = (np.arange(_LINEAGE_SAMPLES) + 0.5) / _LINEAGE_SAMPLES
    places = shapely.line_interpolate_point(
        np.repeat(lines, _LINEAGE_SAMPLES), np.tile(stations, len(lines)), normalized=True
    )
    places = shapely.get_coordinates(places).reshape(len(lines), _LINEAGE_SAMPLES, 2)
    east_north = np.gradient(places, axis=1) * [np.cos(np.radians(places[..., 1].mean())), 1.0]
    heading_deg = np.degrees(np.arctan2(east_north[..., 0], east_north[..., 1]))
    match = matcher.match(
        places[..., 0].ravel(), places[..., 1].ravel(), heading_deg.ravel(), max_distance_m=_LINEAGE_DISTANCE_M
    )
    heirs = match.segment_index.reshape(len(lines), _LINEAGE_SAMPLES)
    for old, indices in zip(closed, heirs, strict=True):
        for index, count in zip(*np.unique(indices[indices >= 0], return_counts=True), strict=True):
            yield old.segment_id, written[index][0], float(count) / _LINEAGE_SAMPLES


def _digest(sections: Sequence[RoadSection]) -> str:
    """A short name for this edition of a register: equal sections give an equal one."""
    digest = hashlib.sha256()
    for section in sections:
        digest.update(msgspec.json.encode((section.source, section.source_section_id)) + section.line.tobytes())
    return digest.hexdigest()[:12]
