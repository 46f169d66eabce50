"""What the crews should do today."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from models.crews import DEFAULT_COST, CostModel
from models.draw import MOST_CAPACITY
from models.worklist import Hindrance
from roadtwin.errors import RequestInvalidError
from service.parameters import DistrictParameter, Horizon
from service.plan import Day
from service.problems import responses
from service.routes.segments import wants
from service.schemas_worklist import WorklistAnswer
from service.security import Reader
from service.segments import read_versions
from service.state import Db, Now, Running, Service
from service.worklist import read_worklist, worklist_csv

router = APIRouter(tags=["worklist"])

CSV = "text/csv"
Capacity = Annotated[
    int | None,
    Query(ge=1, le=MOST_CAPACITY, description="Places that the crews can treat; by default the city's own number."),
]
Include = Annotated[
    str | None,
    Query(
        description="What to show although it is left out by default, separated by commas: "
        + ", ".join(Hindrance)
        + ".",
        max_length=200,
    ),
]


def parse_day(
    running: Running,
    crews: Annotated[
        int | None, Query(ge=1, le=50, description="Crews that go out today; by default the city's own number.")
    ] = None,
    hours: Annotated[
        float | None, Query(gt=0, le=24, description="Hours of each, drives included [h]; by default the city's own.")
    ] = None,
    mobilisation_min: Annotated[
        float, Query(ge=0, le=240, description="Setting up and clearing a closure, for each job [min].")
    ] = DEFAULT_COST.mobilisation_min,
    reach_m: Annotated[
        float, Query(ge=0, le=2000, description="Farthest from a task of a closure to the next one [m].")
    ] = DEFAULT_COST.reach_m,
    extent_m: Annotated[
        float, Query(ge=0, le=5000, description="Diagonal of the rectangle that a job's tasks may fill [m].")
    ] = DEFAULT_COST.extent_m,
) -> Day:
    """The day that jobs are made for."""
    cost = CostModel(mobilisation_min=mobilisation_min, reach_m=reach_m, extent_m=extent_m)
    return Day(crews or running.settings.crew_count, hours or running.settings.crew_hours, cost)


DayParameter = Annotated[Day, Depends(parse_day)]


def _included(include: str | None) -> list[Hindrance]:
    try:
        return [Hindrance(part.strip()) for part in (include or "").split(",") if part.strip()]
    except ValueError:
        raise RequestInvalidError(f"include: got {include!r}, expected some of {', '.join(Hindrance)}.") from None


async def _read(
    running: Service,
    db: Db,
    now: Now,
    work_day: Day,
    capacity: int | None,
    horizon_days: int,
    district: str | None,
    include: str | None,
) -> WorklistAnswer:
    return await read_worklist(
        db,
        now=now,
        zone=running.timezone,
        capacity=capacity or running.settings.crew_capacity,
        horizon_days=horizon_days,
        as_of=(await read_versions(db)).score_as_of,
        district=district,
        include=_included(include),
        work_day=work_day,
    )


def _csv_response(answer: WorklistAnswer) -> Response:
    name = f"roadtwin-worklist-{answer.today.isoformat()}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(worklist_csv(answer), headers=headers, media_type=f"{CSV}; charset=utf-8")


@router.get(
    "/worklist",
    response_model=WorklistAnswer,
    responses=responses(401) | {200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def list_work(
    request: Request,
    running: Running,
    db: Db,
    now: Now,
    _reader: Reader,
    horizon_days: Horizon,
    work_day: DayParameter,
    capacity: Capacity = None,
    district: DistrictParameter = None,
    include: Include = None,
) -> Any:
    """Open potholes with their state, then segments to inspect by risk, and both as jobs for crews.

    Severe open potholes that are there with a probability of at least 0.1 come first, then all others; in both groups
    those that are likelier there than not come before the doubtful ones, and then the due time decides.
    `open_probability` is the twin's, 1 for what a person found since it was last looked for in vain, none for what is
    repaired; `seen_again` says that looks did not find the hole meanwhile, `reopened` that a repair did not hold.

    A share of the inspections is drawn by lot and marked, with the probability of being drawn. `plan` merges
    neighbouring tasks into jobs and spreads them over crews and hours, what cannot wait first; tasks name their job.

    Roads of other owners, under warranty or due for planned works, and what was inspected or decided since the scores
    were made, is left out and counted by reason; `include` shows it, marked. A severe pothole stays on the list unless
    the road is another owner's: making it safe cannot wait. With `Accept: text/csv` the answer is that of
    `/v1/worklist.csv`.
    """
    answer = await _read(running, db, now, work_day, capacity, horizon_days, district, include)
    return _csv_response(answer) if wants(request, CSV) else answer


@router.get(
    "/worklist.csv",
    responses=responses(401) | {200: {"content": {CSV: {"schema": {"type": "string"}}}}},
    response_class=Response,
)
async def list_work_csv(
    running: Running,
    db: Db,
    now: Now,
    _reader: Reader,
    horizon_days: Horizon,
    work_day: DayParameter,
    capacity: Capacity = None,
    district: DistrictParameter = None,
    include: Include = None,
) -> Response:
    """The worklist as one table for spreadsheets."""
    return _csv_response(await _read(running, db, now, work_day, capacity, horizon_days, district, include))
