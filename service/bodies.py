"""Request bodies that are records: decoded by the one schema of `roadtwin.records`, shown by it in OpenAPI."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from fastapi import Request

from roadtwin.errors import RecordRejectedError, UnsupportedMediaTypeError

T = TypeVar("T", bound=msgspec.Struct)

SCHEMA_PREFIX = "#/components/schemas/"


def body_of(kind: type[T]) -> Callable[[Request], Awaitable[T]]:
    """A dependency that decodes the body.

    It raises UnsupportedMediaTypeError, and RecordRejectedError with the path of what is wrong.
    """

    async def read_body(request: Request) -> T:
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaTypeError(f"Got Content-Type {media_type or 'none'!r}, expected application/json.")
        try:
            return msgspec.json.decode(await request.body(), type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise RecordRejectedError(f"The body is no valid {kind.__name__.lower()}: {exc}.") from None

    return read_body


def openapi_body(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """`openapi_extra` of a route that takes this record."""
    schema = {"$ref": f"{SCHEMA_PREFIX}{kind.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def schema_components(*kinds: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schemas of the records, by name, for the components of an OpenAPI document."""
    _, components = msgspec.json.schema_components(kinds, ref_template=SCHEMA_PREFIX + "{name}")
    return components
