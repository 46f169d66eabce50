"""Lists of segments: pages for people and programs, GeoJSON for maps."""

import gzip
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from service import segments as store
from service.paging import decode_token, encode_token
from service.parameters import BoxParameter, DistrictParameter, Horizon, PageToken
from service.problems import responses
from service.schemas import SegmentPage
from service.security import Reader
from service.state import Db, Now, Running, Service

router = APIRouter(tags=["segments"])

GEOJSON = "application/geo+json"
MinRisk = Annotated[
    float | None, Query(ge=0, le=1, description="Least probability within the horizon; leaves out unscored segments.")
]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most segments of one page.")]


class _Position(msgspec.Struct, frozen=True):
    """Where a page ended, and in which score run: pages of one listing agree with each other."""

    as_of: datetime | None
    rank: int
    segment_id: int


def _not_modified(request: Request, entity_tag: str) -> bool:
    return entity_tag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]


def _caching(entity_tag: str) -> dict[str, str]:
    return {
        "ETag": entity_tag,
        "Cache-Control": "private, no-cache",
        "Vary": "Accept, Accept-Encoding, Authorization, X-API-Key",
    }


def wants(request: Request, media_type: str) -> bool:
    """Whether the request names this media type in its Accept header."""
    return media_type in [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]


@router.get(
    "/segments",
    response_model=SegmentPage,
    responses=responses(400, 401, 406)
    | {200: {"content": {GEOJSON: {"schema": {"type": "object"}}}}, 304: {"description": "Not modified"}},
)
async def list_segments(
    request: Request,
    running: Running,
    db: Db,
    now: Now,
    _reader: Reader,
    horizon_days: Horizon,
    bbox: BoxParameter,
    district: DistrictParameter = None,
    min_risk: MinRisk = None,
    limit: Limit = 100,
    page: PageToken = None,
) -> Any:
    """Segments, worst first by the probability of a new pothole within the horizon.

    With `Accept: application/geo+json` the answer is that of `/v1/segments.geojson`. The entity tag changes with every
    run of scoring and whenever potholes, states or the network do.
    """
    query = store.SegmentQuery(horizon_days, bbox, district, min_risk)
    if wants(request, GEOJSON):
        return await _geojson(request, running, db, query)
    versions = await store.read_versions(db)
    if page is None and _not_modified(request, versions.entity_tag):
        return Response(status_code=304, headers=_caching(versions.entity_tag))
    asked = query.parameters()
    start = decode_token(page, _Position, asked) if page else _Position(versions.score_as_of, *store.FIRST)
    rows = await store.read_segments(
        db, query, as_of=start.as_of, after=(start.rank, start.segment_id), limit=limit + 1
    )
    more, rows = len(rows) > limit, rows[:limit]
    scores = await store.read_scores(db, start.as_of, [row["segment_id"] for row in rows])
    answer = SegmentPage(
        score_as_of=start.as_of,
        horizon_days=horizon_days,
        segments=[store.segment_item(r, scores.get(r["segment_id"], []), as_of=start.as_of, now=now) for r in rows],
        next_page=encode_token(_Position(start.as_of, rows[-1]["page_rank"], rows[-1]["segment_id"]), asked)
        if more
        else None,
    )
    return Response(answer.model_dump_json(), headers=_caching(versions.entity_tag), media_type="application/json")


@router.get(
    "/segments.geojson",
    responses=responses(401)
    | {200: {"content": {GEOJSON: {"schema": {"type": "object"}}}}, 304: {"description": "Not modified"}},
    response_class=Response,
)
async def list_segments_geojson(
    request: Request,
    running: Running,
    db: Db,
    _reader: Reader,
    horizon_days: Horizon,
    bbox: BoxParameter,
    district: DistrictParameter = None,
    min_risk: MinRisk = None,
) -> Response:
    """All matching segments as one GeoJSON layer, with the risk of every horizon, grade, open potholes and evidence."""
    return await _geojson(request, running, db, store.SegmentQuery(horizon_days, bbox, district, min_risk))


async def _geojson(request: Request, running: Service, db: Db, query: store.SegmentQuery) -> Response:
    versions = await store.read_versions(db)
    headers = _caching(versions.entity_tag)
    if _not_modified(request, versions.entity_tag):
        return Response(status_code=304, headers=headers)
    question = repr(query)
    body = running.answers.get(question, versions.entity_tag)
    if body is None:
        rows = await store.read_segments(db, query, as_of=versions.score_as_of)
        risks = await store.read_risks(db, versions.score_as_of)

        def build() -> bytes:
            collection = store.feature_collection(rows, risks, as_of=versions.score_as_of)
            return running.answers.put(question, versions.entity_tag, collection)

        body = await run_in_threadpool(build)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(body, headers=headers | {"Content-Encoding": "gzip"}, media_type=GEOJSON)
    return Response(await run_in_threadpool(gzip.decompress, body), headers=headers, media_type=GEOJSON)
