"""The city."""

from fastapi import APIRouter

from roadtwin.errors import CityNotLoadedError
from roadtwin.storage import queries
from roadtwin.types import HORIZONS_DAYS
from service.parameters import NOMINAL_LENGTH_M
from service.problems import responses
from service.schemas import CityAnswer, District, ScoreRun
from service.security import Reader
from service.state import Db, Now, Running

router = APIRouter(tags=["city"])
_SEGMENTS = queries.load("api_segments")
_MODEL = queries.load("api_model")


@router.get("/city", responses=responses(401, 404))
async def read_city(running: Running, db: Db, now: Now, _reader: Reader) -> CityAnswer:
    """The city: extent, districts, newest scores, and whether it is simulated."""
    parameters = {"nominal_length_m": NOMINAL_LENGTH_M}
    row = await (await db.execute(_SEGMENTS["read_city"], parameters)).fetchone()
    if row is None:
        raise CityNotLoadedError
    districts = await (await db.execute(_SEGMENTS["read_districts"], parameters)).fetchall()
    run = await (await db.execute(_SEGMENTS["read_score_run"])).fetchone()
    monitoring = await (await db.execute(_MODEL["read_alarm_count"], {"now": now})).fetchone()
    corners = [row["min_lon"], row["min_lat"], row["max_lon"], row["max_lat"]]
    return CityAnswer(
        name=row["name"],
        timezone=row["timezone"],
        simulated=row["simulated"],
        segment_count=row["segment_count"],
        length_km=row["length_km"],
        bbox=corners if row["segment_count"] else None,
        districts=[District.model_validate(d) for d in districts],
        horizons_days=list(HORIZONS_DAYS),
        score_run=None if run is None else ScoreRun(**run, age_s=round((now - run["as_of"]).total_seconds(), 1)),
        model_alarm_count=None if monitoring is None else monitoring["alarm_count"],
        crew_capacity=running.settings.crew_capacity,
        reading_needs_key=not running.settings.open_read,
    )
