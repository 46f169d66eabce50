"""For machines that watch the service: alive, ready, metrics."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from roadtwin import __version__
from roadtwin.storage import queries
from service.problems import responses
from service.schemas import Health, Readiness
from service.state import Db

router = APIRouter(tags=["health"])
_SQL = queries.load("api_operations")


@router.get("/healthz")
async def read_health() -> Health:
    """The process answers; says nothing of the database."""
    return Health(version=__version__)


@router.get("/readyz", responses=responses())
async def read_readiness(db: Db) -> Readiness:
    """The database answers and has our tables; else 503 with what is missing."""
    row = await (await db.execute(_SQL["ping"])).fetchone()
    assert row is not None
    return Readiness(**row)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def read_metrics() -> Response:
    """Metrics of this process in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
