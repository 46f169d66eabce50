"""Road sections, their segments and the lineage between former and present ones."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from roadtwin.storage import queries

_SQL = queries.load("network")


class SectionRow(NamedTuple):
    """A section as its register has it; `geometry_wkb` is a LineString in WGS 84."""

    source_section_id: str
    name: str | None
    district: str | None
    road_class: str
    owner: str | None
    maintenance_district: str | None
    warranty_until: date | None
    inspection_interval_days: int | None
    length_m: float
    geometry_wkb: bytes
    attributes: Mapping[str, Any]


class SegmentRow(NamedTuple):
    """A new segment; `bounds` is (min lon, min lat, max lon, max lat) [°]."""

    public_id: str
    section_id: int
    nominal_length_m: int
    from_station_m: float
    to_station_m: float
    name: str
    district: str
    road_class: str
    length_m: float
    geometry_wkb: bytes
    bounds: tuple[float, float, float, float]
    mid_lon: float
    mid_lat: float
    attributes: Mapping[str, Any]


class StoredSegment(NamedTuple):
    """A segment of the present network."""

    segment_id: int
    public_id: str
    section_id: int
    nominal_length_m: int
    from_station_m: float
    to_station_m: float
    name: str
    district: str
    road_class: str
    geometry_wkb: bytes
    mid_lon: float
    mid_lat: float


class ClosedSegment(NamedTuple):
    """A segment that has just been closed."""

    segment_id: int
    section_id: int
    from_station_m: float
    to_station_m: float
    geometry_wkb: bytes


def read_current_sections(conn: psycopg.Connection[Any], source: str) -> dict[str, tuple[int, SectionRow]]:
    """The valid sections of one register: its id there → (section_id, row)."""
    rows = conn.execute(_SQL["read_current_sections"], {"source": source}).fetchall()
    return {row[1]: (row[0], SectionRow(*row[1:])) for row in rows}


def write_sections(
    conn: psycopg.Connection[Any],
    rows: Sequence[SectionRow],
    *,
    source: str,
    source_version: str,
    valid_from: datetime,
) -> list[int]:
    """Add sections; returns their ids in the order of `rows`."""
    ids = [row[0] for row in conn.execute(_SQL["reserve_section_ids"], {"count": len(rows)}).fetchall()]
    with conn.cursor() as cur, cur.copy(_SQL["copy_sections"]) as copy:
        for section_id, row in zip(ids, rows, strict=True):
            copy.write_row((section_id, source, source_version, valid_from, *row[:-1], Jsonb(row.attributes)))
    return ids


def write_segments(conn: psycopg.Connection[Any], rows: Sequence[SegmentRow], *, valid_from: datetime) -> list[int]:
    """Add segments and the first edition of their attributes; returns their ids in the order of `rows`."""
    ids = [row[0] for row in conn.execute(_SQL["reserve_segment_ids"], {"count": len(rows)}).fetchall()]
    with conn.cursor() as cur, cur.copy(_SQL["copy_segments"]) as copy:
        for segment_id, row in zip(ids, rows, strict=True):
            west, south, east, north = row.bounds
            copy.write_row(
                (
                    segment_id,
                    valid_from,
                    *row[:10],
                    f"({east!r},{north!r}),({west!r},{south!r})",
                    row.mid_lon,
                    row.mid_lat,
                    Jsonb(row.attributes),
                )
            )
    with conn.cursor() as cur, cur.copy(_SQL["copy_segment_attributes"]) as copy:
        for segment_id, row in zip(ids, rows, strict=True):
            copy.write_row((segment_id, valid_from, Jsonb(row.attributes)))
    return ids


def close_sections(
    conn: psycopg.Connection[Any], section_ids: Sequence[int], *, valid_to: datetime
) -> list[ClosedSegment]:
    """End the validity of sections and their segments; returns those segments."""
    given = {"section_ids": list(section_ids), "valid_to": valid_to}
    closed = conn.execute(_SQL["close_segments"], given).fetchall()
    conn.execute(_SQL["close_sections"], given)
    return [ClosedSegment(*row) for row in closed]


def read_newest_edition(conn: psycopg.Connection[Any], section_ids: Sequence[int]) -> datetime | None:
    """From when on the newest attributes of any segment of these valid sections are known; None without a segment."""
    row = conn.execute(_SQL["read_newest_edition"], {"section_ids": list(section_ids)}).fetchone()
    return row[0] if row else None


def update_sections(
    conn: psycopg.Connection[Any], rows: Iterable[tuple[int, SectionRow]], *, recorded_at: datetime
) -> None:
    """Give sections and their segments other names, owners and attributes; the geometry stays.

    Other attributes are recorded as an edition, beside the former ones; one of the same instant is replaced.
    """
    values = [
        {**row._asdict(), "section_id": section_id, "attributes": Jsonb(row.attributes), "recorded_at": recorded_at}
        for section_id, row in rows
    ]
    if values:
        with conn.cursor() as cur:
            cur.executemany(_SQL["record_attributes_of_section"], values)
            cur.executemany(_SQL["update_section"], values)
            cur.executemany(_SQL["update_segments_of_section"], values)


def write_lineage(conn: psycopg.Connection[Any], rows: Iterable[tuple[int, int, float]]) -> None:
    """Add (old segment id, new segment id, share of the old one's length)."""
    with conn.cursor() as cur, cur.copy(_SQL["copy_lineage"]) as copy:
        for row in rows:
            copy.write_row(row)


def read_nominal_length_m(conn: psycopg.Connection[Any]) -> int | None:
    """Nominal length of the present segments [m]; None without a network."""
    row = conn.execute(_SQL["read_nominal_length"]).fetchone()
    return int(row[0]) if row else None


def read_current_segments(conn: psycopg.Connection[Any]) -> list[StoredSegment]:
    """The segments of the present network, by id."""
    return [StoredSegment(*row) for row in conn.execute(_SQL["read_current_segments"]).fetchall()]


class Heir(NamedTuple):
    """A former segment, the present one that holds the greatest part of it, and how long that part is [m]."""

    old_segment_id: int
    new_segment_id: int
    length_m: float


def read_heirs(conn: psycopg.Connection[Any]) -> list[Heir]:
    """The heirs of all former segments that have one."""
    return [Heir(*row) for row in conn.execute(_SQL["read_heirs"]).fetchall()]


def read_successors(conn: psycopg.Connection[Any]) -> dict[str, int]:
    """Public id of a closed segment → id of the present segment that holds the greatest part of it."""
    return dict(conn.execute(_SQL["read_successors"]).fetchall())


def read_register_since(conn: psycopg.Connection[Any]) -> datetime | None:
    """From when on attributes of all present segments are as they were known; None without a network.

    Those of a former segment count for its heir; what migration 22 copied is known since then.
    """
    row = conn.execute(_SQL["read_register_since"]).fetchone()
    return row[0] if row else None


def read_bounds(conn: psycopg.Connection[Any]) -> tuple[float, float, float, float] | None:
    """West, south, east and north end of the present segments [°]; None without a network."""
    row = conn.execute(_SQL["read_bounds"]).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1], row[2], row[3])
