"""Every error of the API is one shape: an RFC 9457 problem. One table maps our errors to statuses."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from roadtwin import errors, telemetry

log = telemetry.get_logger(__name__)

PROBLEM_JSON = "application/problem+json"

# The nearest class of an error's family decides: a subclass without a line of its own takes its parent's status.
STATUSES: dict[type[Exception], HTTPStatus] = {
    errors.RequestInvalidError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.PageTokenError: HTTPStatus.BAD_REQUEST,
    errors.UnknownParameterError: HTTPStatus.BAD_REQUEST,
    errors.RecordRejectedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ApiKeyRequiredError: HTTPStatus.UNAUTHORIZED,
    errors.NotAuthorisedError: HTTPStatus.FORBIDDEN,
    errors.SegmentNotFoundError: HTTPStatus.NOT_FOUND,
    errors.DeviceNotFoundError: HTTPStatus.NOT_FOUND,
    errors.CityNotLoadedError: HTTPStatus.NOT_FOUND,
    errors.ModelNotTrainedError: HTTPStatus.NOT_FOUND,
    errors.ScoreNotFoundError: HTTPStatus.NOT_FOUND,
    errors.ScoreRequestNotFoundError: HTTPStatus.NOT_FOUND,
    errors.NotMonitoredError: HTTPStatus.NOT_FOUND,
    errors.RecordConflictError: HTTPStatus.CONFLICT,
    errors.RequestTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.ModelVersionError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.MigrationError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DatabaseUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    psycopg.OperationalError: HTTPStatus.SERVICE_UNAVAILABLE,
    PoolTimeout: HTTPStatus.SERVICE_UNAVAILABLE,
    PoolClosed: HTTPStatus.SERVICE_UNAVAILABLE,
    TooManyRequests: HTTPStatus.SERVICE_UNAVAILABLE,
    psycopg.errors.UndefinedTable: HTTPStatus.SERVICE_UNAVAILABLE,
    psycopg.errors.UndefinedColumn: HTTPStatus.SERVICE_UNAVAILABLE,
}

DATABASE_AWAY = "The database cannot be reached; nothing was read or written. The service keeps trying."
SCHEMA_MISSING = "The database lacks tables of this version of Roadtwin; run `roadtwin migrate`."


class FieldProblem(BaseModel):
    """What is wrong with one part of a request."""

    location: str = Field(description="Where: query, path, header or body, with the path inside it.")
    detail: str


class Problem(BaseModel):
    """An RFC 9457 problem."""

    type: str = Field(
        description="Stable identifier of the kind of problem.", examples=["urn:roadtwin:problem:segment-not-found"]
    )
    title: str
    status: int
    detail: str = Field(description="What was got, what was expected, and the remedy.")
    instance: str = Field(description="Path of the request.")
    errors: list[FieldProblem] | None = None


def problem_response(
    request: Request,
    status: HTTPStatus,
    detail: str,
    *,
    kind: str | None = None,
    fields: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem as a response; `kind` is the last part of its `type`, by default the status's name."""
    problem = Problem(
        type=f"urn:roadtwin:problem:{kind or status.phrase.lower().replace(' ', '-')}",
        title=status.phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        errors=list(fields) if fields else None,
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True), status, dict(headers or {}) | {"Cache-Control": "no-store"}, PROBLEM_JSON
    )


def _kind(error: Exception) -> str:
    """`SegmentNotFoundError` → `segment-not-found`."""
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


def _status_of(error: Exception) -> HTTPStatus:
    return next((STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES), HTTPStatus.INTERNAL_SERVER_ERROR)


async def _own_error(request: Request, error: Exception) -> JSONResponse:
    status = _status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request failed", action="request_failed", path=request.url.path, error=str(error))
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    return problem_response(request, status, str(error), kind=_kind(error), headers=headers)


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    # The driver's sentence names hosts and users; it belongs in the log and not in an answer.
    log.error("database failed", action="database_failed", path=request.url.path, error=str(error))
    schema = isinstance(error, (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn))
    return problem_response(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        SCHEMA_MISSING if schema else DATABASE_AWAY,
        kind="migration" if schema else "database-unavailable",
        headers={"Retry-After": "5"},
    )


async def _data_error(request: Request, error: Exception) -> JSONResponse:
    if getattr(error, "sqlstate", None) is not None:  # the database's own: a fault of ours
        return await _unexpected(request, error)
    detail = f"A value of the request cannot be stored as text: {error}."  # the driver refuses a NUL character
    return problem_response(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, kind="request-invalid")


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = [
        FieldProblem(location=".".join(str(part) for part in e["loc"]), detail=str(e["msg"])) for e in error.errors()
    ]
    detail = "; ".join(f"{f.location}: {f.detail}" for f in fields)
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return problem_response(
        request, status, f"The request is not valid: {detail}.", kind="request-invalid", fields=fields
    )


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = {
        HTTPStatus.NOT_FOUND: f"There is nothing at {request.url.path}.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not allowed here; see the Allow header.",
    }.get(status, str(error.detail))
    return problem_response(request, status, detail, headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error", action="unexpected_error", path=request.url.path, exc_info=error)
    return problem_response(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "An error that we did not foresee; it is in the service's log."
    )


def install(app: FastAPI) -> None:
    """Let every error of `app` become a problem."""
    app.add_exception_handler(errors.RoadtwinError, _own_error)
    for cls in STATUSES:
        if not issubclass(cls, errors.RoadtwinError):
            app.add_exception_handler(cls, _database_error)
    app.add_exception_handler(psycopg.DataError, _data_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI text for the problems a route can answer with; 422 and 503 stand at every route."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content, "model": Problem}
        for status in sorted({*statuses, 422, 503})
    }
