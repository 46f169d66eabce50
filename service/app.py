"""The service: API under `/v1`, health, and the page at `/`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import Scope

from roadtwin import __version__, telemetry
from roadtwin.settings import Settings
from service import problems
from service.bodies import schema_components
from service.middleware import Metrics, RequestSizeLimit, SecurityHeaders
from service.parameters import refuse_unknown_parameters
from service.routes import (
    city,
    decisions,
    devices,
    health,
    ingest,
    model,
    page,
    records,
    segment,
    segments,
    twin,
    whatif,
    worklist,
)
from service.state import Service, make_pool, utc_now

log = telemetry.get_logger(__name__)

UI_DIR = Path(__file__).parent / "ui"
DESCRIPTION = (
    "Which stretches of the city's roads will break open next, how sure are we, why, and what should a crew do. "
    "Every error is an RFC 9457 problem; unknown query parameters are refused (400); page tokens are opaque; "
    "fields may be added to answers, and meanings stay."
)


def create_app(settings: Settings, database_url: str, *, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """The service as an ASGI application; nothing is opened before it starts.

    It starts also while the database is away, and answers 503 by name until it is back.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = make_pool(database_url)
        await pool.open(wait=False)
        app.state.service = Service(settings, database_url, pool, clock)
        log.info("service started", action="service_started")
        yield
        await pool.close()

    app = FastAPI(
        title="Roadtwin",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_url="/v1/openapi.json",
        docs_url=None,  # they load scripts from elsewhere; this service works without internet
        redoc_url=None,
        lifespan=lifespan,
    )
    problems.install(app)
    # Outermost first when a request comes in: the last one added.
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(RequestSizeLimit, max_bytes=settings.max_request_bytes)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Metrics)

    v1 = APIRouter(prefix="/v1", dependencies=[Depends(refuse_unknown_parameters)], responses=problems.responses(400))
    # `model` and `twin` before `segment`, whose path takes everything below /segments.
    for module in (city, model, segments, twin, segment, worklist, whatif, decisions, ingest, devices, records):
        v1.include_router(module.router)
    app.include_router(v1)
    app.include_router(health.router)
    app.include_router(page.router)
    _add_page(app)
    _describe(app)
    return app


class _Files(StaticFiles):
    """Own files: browsers ask each time whether they changed, and get 304 mostly."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def read_page(request: Request) -> FileResponse:  # noqa: ARG001
        return FileResponse(UI_DIR / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/v1/docs", include_in_schema=False)
    async def read_docs(request: Request) -> FileResponse:  # noqa: ARG001
        return FileResponse(UI_DIR / "docs.html", headers={"Cache-Control": "no-cache"})

    app.mount("/ui", _Files(directory=UI_DIR), name="ui")


def _describe(app: FastAPI) -> None:
    """Complete the OpenAPI document: schemas of record bodies, and the two ways to give a key."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            components = document.setdefault("components", {})
            components.setdefault("schemas", {}).update(schema_components(*records.BODIES, *whatif.BODIES))
            components["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
            document["security"] = [{"bearer": []}, {"apiKey": []}, {}]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
