"""Segments with their scores: the rows behind the list and the map."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import shapely
from psycopg.rows import tuple_row

from roadtwin.storage import queries
from roadtwin.types import HORIZONS_DAYS
from service.parameters import NOMINAL_LENGTH_M, Box
from service.schemas import Point, Score, SegmentItem
from service.state import Connection, Row

_SQL = queries.load("api_segments")
_COORDINATE_DECIMALS = 6  # 0.1 m

FIRST = (0, 0)
"""Position before the first row: ranks begin with 1."""


@dataclass(frozen=True, slots=True)
class SegmentQuery:
    """What a list of segments is asked for."""

    horizon_days: int
    box: Box | None = None
    district: str | None = None
    min_risk: float | None = None

    def parameters(self) -> dict[str, Any]:
        """As bound parameters of `list_segments`."""
        box = asdict(self.box) if self.box else dict.fromkeys(("min_lon", "min_lat", "max_lon", "max_lat"))
        return {
            "horizon_days": self.horizon_days,
            "district": self.district,
            "min_risk": self.min_risk,
            "nominal_length_m": NOMINAL_LENGTH_M,
            **box,
        }


@dataclass(frozen=True, slots=True)
class Versions:
    """What answers about segments depend on."""

    score_as_of: datetime | None
    entity_tag: str


async def read_versions(db: Connection) -> Versions:
    """Newest score run, and an entity tag that changes with scores, states, potholes and network."""
    cursor = await db.execute(_SQL["read_versions"])
    row = await cursor.fetchone()
    assert row is not None
    digest = hashlib.sha256(repr(sorted(row.items())).encode()).hexdigest()[:20]
    return Versions(row["score_as_of"], f'W/"{digest}"')


async def read_segments(
    db: Connection,
    query: SegmentQuery,
    *,
    as_of: datetime | None,
    after: tuple[int, int] = FIRST,
    limit: int | None = None,
) -> list[Row]:
    """Rows of segments, worst first; `after` is the (rank, segment_id) of the last row of the page before."""
    parameters = query.parameters() | {
        "as_of": as_of,
        "after_rank": after[0],
        "after_segment_id": after[1],
        "limit": limit,
    }
    cursor = await db.execute(_SQL["list_segments"], parameters)
    return await cursor.fetchall()


async def read_scores(db: Connection, as_of: datetime | None, segment_ids: Sequence[int]) -> dict[int, list[Row]]:
    """Scores of all horizons by segment."""
    scores: dict[int, list[Row]] = defaultdict(list)
    if as_of is not None:
        cursor = await db.execute(_SQL["read_scores"], {"as_of": as_of, "segment_ids": list(segment_ids)})
        async for row in cursor:
            scores[row["segment_id"]].append(row)
    return scores


async def read_risks(db: Connection, as_of: datetime | None) -> dict[int, dict[int, tuple[float, int]]]:
    """(probability, rank) by segment and horizon of a whole score run."""
    risks: dict[int, dict[int, tuple[float, int]]] = defaultdict(dict)
    if as_of is not None:
        async with db.cursor(row_factory=tuple_row, binary=True) as cursor:
            await cursor.execute(_SQL["read_all_risks"], {"as_of": as_of})
            for segment_id, horizon_days, probability, rank in await cursor.fetchall():
                risks[segment_id][horizon_days] = (probability, rank)
    return risks


def score_fields(row: Row, *, length_m: float, as_of: datetime) -> dict[str, Any]:
    """Fields of `Score` from a row of `risk_score`."""
    return {
        "horizon_days": row["horizon_days"],
        "probability": row["probability"],
        "probability_low": row["probability_low"],
        "probability_high": row["probability_high"],
        "expected_count": row["expected_count"],
        "expected_per_100_m": row["expected_count"] * 100 / length_m,
        "rank": row["rank"],
        "as_of": as_of,
        "model_run_id": row["model_run_id"],
    }


def age_days(instant: datetime | None, now: datetime) -> float | None:
    """Age of an instant [d], rounded to hours; None stays None."""
    return None if instant is None else round((now - instant).total_seconds() / 86400, 2)


def segment_item(row: Row, scores: Sequence[Row], *, as_of: datetime | None, now: datetime) -> SegmentItem:
    """One entry of the list."""
    return SegmentItem(
        segment_id=row["public_id"],
        name=row["name"],
        district=row["district"],
        road_class=row["road_class"],
        length_m=row["length_m"],
        mid=Point(lon=row["mid_lon"], lat=row["mid_lat"]),
        condition_grade=row["condition_grade"],
        evidence_count=row["evidence_count"] or 0,
        newest_evidence_at=row["newest_evidence_at"],
        evidence_age_days=age_days(row["newest_evidence_at"], now),
        open_potholes=row["open_potholes"],
        worst_severity=row["worst_severity"],
        scores=[
            Score(**score_fields(score, length_m=row["length_m"], as_of=as_of)) for score in scores if as_of is not None
        ],
    )


def line_geojson(wkb: bytes) -> dict[str, Any]:
    """A GeoJSON LineString from the stored geometry."""
    return dict(shapely.geometry.mapping(shapely.from_wkb(bytes(wkb))))


def feature_collection(
    rows: Sequence[Row], risks: dict[int, dict[int, tuple[float, int]]], *, as_of: datetime | None
) -> bytes:
    """The map's layer as GeoJSON: flat properties, coordinates to a decimetre.

    Takes about half a second for 16,000 segments, so callers run it in a thread and keep the answer.
    """
    lines = shapely.from_wkb([bytes(row["geometry_wkb"]) for row in rows])
    coordinates, owners = shapely.get_coordinates(lines, return_index=True)
    coordinates = coordinates.round(_COORDINATE_DECIMALS).tolist()
    ends = np.searchsorted(owners, np.arange(len(rows) + 1)).tolist()
    features = []
    for index, row in enumerate(rows):
        properties: dict[str, Any] = {
            "segment_id": row["public_id"],
            "name": row["name"],
            "district": row["district"],
            "road_class": row["road_class"],
            "grade": row["condition_grade"],
            "open_potholes": row["open_potholes"],
            "worst_severity": row["worst_severity"],
            "newest_evidence_at": row["newest_evidence_at"],
            "owner": row["owner"],
        }
        of_segment = risks.get(row["segment_id"], {})
        for horizon_days in HORIZONS_DAYS:
            probability, rank = of_segment.get(horizon_days, (None, None))
            properties[f"risk_{horizon_days}d"] = None if probability is None else round(probability, 4)
            properties[f"rank_{horizon_days}d"] = rank
        features.append(
            {
                "type": "Feature",
                "id": row["segment_id"],
                "geometry": {"type": "LineString", "coordinates": coordinates[ends[index] : ends[index + 1]]},
                "properties": properties,
            }
        )
    return msgspec.json.encode({"type": "FeatureCollection", "score_as_of": as_of, "features": features})
