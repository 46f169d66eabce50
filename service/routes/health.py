"""For machines that watch the service: alive, ready, metrics."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from roadtwin import __version__
from roadtwin.storage import queries
from roadtwin.storage.database import connect
from roadtwin.storage.migrate import check_schema
from service.model_metrics import update_model_metrics
from service.problems import responses
from service.schemas_operations import Health, Readiness
from service.state import Db, Running, service_of

router = APIRouter(tags=["health"])
_SQL = queries.load("api_operations")


@router.get("/healthz")
async def read_health() -> Health:
    """The process answers; says nothing of the database."""
    return Health(version=__version__)


@router.get("/readyz", responses=responses())
async def read_readiness(running: Running, db: Db) -> Readiness:
    """The database answers and has this version's schema; else 503 with what is missing."""
    if not running.schema_is_checked:
        await run_in_threadpool(_check_schema, running.database_url)
        running.schema_is_checked = True
    row = await (await db.execute(_SQL["ping"])).fetchone()
    assert row is not None
    return Readiness(**row)


def _check_schema(database_url: str) -> None:
    with connect(database_url, application_name="roadtwin-service") as conn:
        check_schema(conn)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def read_metrics(request: Request) -> Response:
    """Metrics of this process, and how old scores and model are and how they do, in Prometheus' text format."""
    await update_model_metrics(service_of(request))
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
