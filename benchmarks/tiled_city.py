"""A city of many segments with years of history, made quickly: a small simulated one, laid side by side in SQL.

The small city is simulated, loaded and matched as always; then its rows are copied for each further tile with shifted
ids, positions, names and districts. Tiles are not equal: of each one another part of the segment-days is left out, and
the register's numbers differ a little, so that no computation profits from equal values. What the benchmark does not
read (geometries, messages, what devices measured) is not shifted or not copied. The small city trains the model that
all sizes are scored with. Above `YEARS_UP_TO` segments only those records are tiled that scoring reads.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from roadtwin.jobs.history import load_history
from roadtwin.jobs.match import match_new
from roadtwin.jobs.simulated import found_city, new_city
from roadtwin.jobs.train import train
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from simulators.history import simulate_history
from simulators.scenario import read_scenario

NOW = datetime(2026, 2, 10, 4, tzinfo=UTC)
"""When the benchmarks happen: in winter, when most holes are open."""
DERIVED = NOW - timedelta(hours=1)
"""When potholes were last derived."""
TILE_KM = 80
WINTERS = 2
TILES_A_ROW = 16
YEARS_UP_TO, RECENT_DAYS = 200_000, 200
"""Years of records of 800,000 segments would take 60 GB; scoring reads the last 180 days of what cameras saw."""

_LEFT_OUT = "(({key} * 7 + {tile} * 31) %% 100 < 15)"
_TILED = (
    "road_section", "segment", "repair", "inspection", "inspection_finding", "report", "trench_permit", "survey",
    "record_match", "vehicle_reading", "reading_match", "detection", "pothole_evidence", "pothole",
)  # fmt: skip
"""Tables in the order of their references; segment-days are tiled apart."""
_UUID = "(lpad(to_hex(tile), 8, '0') || substr(s.{0}::text, 9))::uuid"
_SHIFTED = {
    "section_id": "s.section_id + tile * %(sections)s",
    "segment_id": "s.segment_id + tile * %(segments)s",
    "source_section_id": "'t' || tile || '-' || s.source_section_id",
    "public_id": "replace(s.public_id, ':', ':t' || tile || '-')",
    "public_segment_id": "replace(s.public_segment_id, ':', ':t' || tile || '-')",
    "district": "s.district || ' ' || tile %% 9",
    "lon": "s.lon + tile %% %(a_row)s * %(width)s",
    "lat": "s.lat + tile / %(a_row)s * %(height)s",
    "mid_lon": "s.mid_lon + tile %% %(a_row)s * %(width)s",
    "mid_lat": "s.mid_lat + tile / %(a_row)s * %(height)s",
    "length_m": "s.length_m * (1 + tile * 0.0001)",
    "record_id": _UUID.format("record_id"),
    "event_id": _UUID.format("event_id"),
    "evidence_id": _UUID.format("evidence_id"),
    "pothole_id": _UUID.format("pothole_id"),
    "pass_key": "s.pass_key || '-' || tile",
    "pass_id": "s.pass_id || '-' || tile",
}
_ATTRIBUTES = """
s.attributes || jsonb_build_object(
    'heavy_vehicles_per_day', round((s.attributes ->> 'heavy_vehicles_per_day')::numeric * (1 + tile * 0.001), 2),
    'tree_cover_pct', (s.attributes ->> 'tree_cover_pct')::numeric * (1 - tile * 0.0001)
)
"""


def make_city(url: str, settings: Settings, *, segments: int, winters: int = WINTERS) -> int:
    """Fill a migrated, empty database with at least so many segments; returns how many it has.

    The tables as at `NOW`, with potholes as derived an hour before and a model of the first tile; nothing is scored.
    """
    simulated = new_city(
        settings, seed=1, length_km=min(TILE_KM, segments / 10), winters=winters, now=NOW,
        scenario=read_scenario("ordinary"),
    )  # fmt: skip
    world = found_city(url, settings, simulated)
    with connect(url) as conn:
        load_history(conn, simulate_history(world, start=simulated.start, end=NOW))
        match_new(conn, settings, now=DERIVED - timedelta(hours=2))
        train(conn, settings, now=DERIVED)  # derives potholes as well
        conn.commit()
        if segments > YEARS_UP_TO:
            _forget_years(conn)
        tiles = -(-segments // len(world.segments))
        if tiles > 1:
            _tile(conn, tiles)
        conn.commit()
        (count,) = conn.execute("SELECT count(*) FROM segment WHERE valid_to IS NULL").fetchone() or (0,)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")  # what autovacuum would have done in the years in which the rows came
    return int(count)


def _forget_years(conn: psycopg.Connection[Any]) -> None:
    """Leave out what was recorded long before `NOW`, but for potholes, repairs and surveys."""
    conn.execute("SET LOCAL session_replication_role = replica")
    for table in ("segment_day", "pothole_evidence", "inspection"):
        conn.execute(f"DELETE FROM {table} WHERE recorded_at < %s", [NOW - timedelta(days=RECENT_DAYS)])
    conn.execute("DELETE FROM inspection_finding WHERE record_id NOT IN (SELECT record_id FROM inspection)")
    conn.execute(
        "DELETE FROM record_match AS m "
        "WHERE m.record_kind = 'inspection' AND m.record_id NOT IN (SELECT i.record_id FROM inspection AS i)"
    )


def _tile(conn: psycopg.Connection[Any], tiles: int) -> None:
    row = conn.execute(
        """
        SELECT (SELECT max(section_id) FROM road_section) AS sections, max(segment_id) AS segments,
               max(mid_lon) - min(mid_lon) + 0.002 AS width, max(mid_lat) - min(mid_lat) + 0.002 AS height
        FROM segment
        """
    ).fetchone()
    assert row is not None
    shift: dict[str, Any] = dict(zip(("sections", "segments", "width", "height"), row, strict=True))
    shift |= {"a_row": TILES_A_ROW, "last": tiles - 1}
    conn.execute("SET LOCAL session_replication_role = replica")  # references hold by construction
    conn.execute("SET LOCAL synchronous_commit = off")
    for table in _TILED:
        conn.execute(_copying(conn, table), shift)
    _tile_segment_days(conn, shift)
    for table, column in (("road_section", "section_id"), ("segment", "segment_id")):
        conn.execute(f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}")


def _copying(conn: psycopg.Connection[Any], table: str) -> sql.SQL:
    names = [
        row[0]
        for row in conn.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [table],
        ).fetchall()
    ]
    values = [_ATTRIBUTES if name == "attributes" else _SHIFTED.get(name, f"s.{name}") for name in names]
    return sql.SQL(
        f"INSERT INTO {table} ({', '.join(names)}) OVERRIDING SYSTEM VALUE SELECT {', '.join(values)} "
        f"FROM {table} AS s CROSS JOIN generate_series(1, %(last)s) AS tile"
    )


def _tile_segment_days(conn: psycopg.Connection[Any], shift: dict[str, Any]) -> None:
    """In the order of days, as they would have come; the keys are made again at the end, which is quicker."""
    keys = conn.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'segment_day'").fetchall()
    conn.execute("ALTER TABLE segment_day DROP CONSTRAINT segment_day_pkey")
    for (definition,) in keys:
        if "segment_day_pkey" not in definition:
            conn.execute(f"DROP INDEX {definition.split()[2]}")
    conn.execute("CREATE TEMP TABLE seed_day ON COMMIT DROP AS SELECT * FROM segment_day ORDER BY recorded_at")
    conn.execute("TRUNCATE segment_day")
    names = [row[0] for row in conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'segment_day'::regclass AND attnum > 0"
    ).fetchall()]  # fmt: skip
    values = [_SHIFTED.get(name, f"s.{name}") for name in names]
    kept = _LEFT_OUT.format(key="(s.segment_id + (s.day - DATE '2020-01-01') * 11)", tile="tile")
    conn.execute(
        f"INSERT INTO segment_day ({', '.join(names)}) SELECT {', '.join(values)} FROM seed_day AS s "
        f"CROSS JOIN generate_series(0, %(last)s) AS tile WHERE NOT {kept}",
        shift,
    )
    conn.execute("SET LOCAL maintenance_work_mem = '512MB'")
    conn.execute("ALTER TABLE segment_day ADD PRIMARY KEY (segment_id, day, recorded_at)")
    for (definition,) in keys:
        if "segment_day_pkey" not in definition:
            conn.execute(definition)
