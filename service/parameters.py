"""Query strings → typed values, and what several routes ask for in the same way."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from roadtwin.errors import RequestInvalidError, UnknownParameterError
from roadtwin.types import HORIZONS_DAYS

NOMINAL_LENGTH_M = 100
"""The stretch that we report on [m]; 20 m pieces are nested in it."""


@dataclass(frozen=True, slots=True)
class Box:
    """A window of the map, WGS 84 [°]."""

    min_lon: float
    min_lat: float
    max_lon: float
    max_lat: float


def _known_parameters(dependant: Dependant) -> set[str]:
    own = {parameter.alias for parameter in dependant.query_params}
    return own.union(*(_known_parameters(part) for part in dependant.dependencies))


def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a query that names what its route does not know: passed over, a misspelt filter would filter nothing.

    Raises UnknownParameterError, answered with 400 as OGC API – Features asks for (OGC 17-069r4,
    /req/core/query-param-unknown). What a route knows is read from the route itself.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = _known_parameters(route.dependant)
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        wanted = f"expected some of {', '.join(sorted(known))}" if known else "expected no parameter"
        raise UnknownParameterError(f"Unknown query parameter {', '.join(map(repr, unknown))}: {wanted}.")


def parse_bbox(
    bbox: Annotated[
        str | None,
        Query(description="west,south,east,north [°]", examples=["6.95,51.42,7.05,51.48"], max_length=200),
    ] = None,
) -> Box | None:
    """A bounding box, checked. Raises RequestInvalidError."""
    if bbox is None:
        return None
    try:
        west, south, east, north = (float(part) for part in bbox.split(","))
    except ValueError:
        raise RequestInvalidError(f"bbox: got {bbox!r}, expected west,south,east,north in degrees.") from None
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):  # NaN fails too
        raise RequestInvalidError(f"bbox: got {bbox!r}, expected west ≤ east within ±180 and south ≤ north within ±90.")
    return Box(west, south, east, north)


def parse_horizon(
    horizon_days: Annotated[int, Query(description="Horizon of the risk [d]: 7, 28 or 90.")] = 28,
) -> int:
    """One of the horizons we score. Raises RequestInvalidError."""
    if horizon_days not in HORIZONS_DAYS:
        raise RequestInvalidError(
            f"horizon_days: got {horizon_days}, expected one of {', '.join(map(str, HORIZONS_DAYS))}."
        )
    return horizon_days


BoxParameter = Annotated[Box | None, Depends(parse_bbox)]
Horizon = Annotated[int, Depends(parse_horizon)]
DistrictParameter = Annotated[str | None, Query(description="Name of a district, as in /v1/city.", max_length=200)]
PageToken = Annotated[str | None, Query(description="`next_page` of the page before.", max_length=2000)]
