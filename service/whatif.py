"""What-if from the database: stored feature rows and the model that scored them in, an answer out (models.whatif)."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from models.features import FEATURE_SET
from roadtwin.errors import ModelNotTrainedError, ModelVersionError, RequestInvalidError
from roadtwin.storage import queries
from service.explaining import Explainer
from service.parameters import NOMINAL_LENGTH_M, parse_bbox, parse_horizon
from service.schemas_whatif import (
    MOST_SEGMENTS,
    AssumptionNote,
    ChangedFeature,
    Expectation,
    WhatIf,
    WhatIfAnswer,
    WhatIfHorizon,
    WhatIfSegment,
    WhatIfTotal,
)
from service.state import Connection, Row

if TYPE_CHECKING:
    from models.dispersion import RiskForecast
    from models.risk import RiskModel
    from models.whatif import Answer, Ranges

_SQL = queries.load("whatif")
_SEGMENTS = queries.load("api_segments")


def check(question: WhatIf) -> None:
    """Raise RequestInvalidError unless the question names segments in exactly one way."""
    selected = question.bbox is not None or question.district is not None or question.worst is not None
    if selected == (question.segment_ids is not None):
        got = "both segment_ids and a selection" if selected else "neither segment_ids nor a selection"
        raise RequestInvalidError(f"Got {got}, expected segment_ids, or some of bbox, district and worst.")
    parse_horizon(question.horizon_days)
    parse_bbox(question.bbox)


async def answer_whatif(db: Connection, explainer: Explainer, question: WhatIf) -> WhatIfAnswer:
    """What the model that made the newest scores expects.

    Raises RequestInvalidError for a question that names no segment, or an unknown one or district, ModelNotTrainedError
    when nothing is scored yet, ModelVersionError when rows or model are of another version.
    """
    check(question)
    run = await (await db.execute(_SQL["read_newest_run"])).fetchone()
    if run is None:
        raise ModelNotTrainedError("Nothing is scored yet: run `roadtwin train` and `roadtwin score`.")
    as_of: datetime = run["as_of"]
    if question.district is not None:
        await _check_district(db, question.district)
    rows = await _select(db, question, as_of)
    not_scored = await _not_scored(db, question, rows)
    if not rows:
        raise RequestInvalidError("No segment with a score and its stored features is among those asked for.")
    model = await explainer.load(db, run["model_run_id"])
    if model is None:
        raise ModelVersionError(
            f"The model that made the scores (run {run['model_run_id']}) cannot be loaded here; the service's log says "
            "why. Run `roadtwin train` and `roadtwin score`."
        )
    if any(row["feature_set_version"] != FEATURE_SET.version for row in rows):
        raise ModelVersionError("The stored features are of another version than this program's. Run `roadtwin score`.")
    smooth_mps2 = await _smooth_roughness(db, as_of)
    answer = await run_in_threadpool(_ask, model, rows, question, smooth_mps2, run["known_features"])
    return WhatIfAnswer(
        score_as_of=as_of,
        model_run_id=run["model_run_id"],
        treatment=question.treatment,
        weather=question.weather,
        weather_days=question.weather_days,
        matching_count=rows[0]["matching_count"],
        not_scored=not_scored,
        totals=_totals(answer, model),
        segments=[_segment(row, index, answer, model) for index, row in enumerate(rows)],
        assumptions=[AssumptionNote(**asdict(a)) for a in answer.assumptions],
    )


async def _check_district(db: Connection, district: str) -> None:
    """Raises RequestInvalidError for a district that the city does not have, with those that it has."""
    rows = await (await db.execute(_SEGMENTS["read_districts"], {"nominal_length_m": NOMINAL_LENGTH_M})).fetchall()
    known = [row["name"] for row in rows]
    if district not in known:
        expected = f"expected one of {', '.join(known)}" if known else "but the city's register names no district"
        raise RequestInvalidError(f"district: got {district!r}, {expected}.")


async def _select(db: Connection, question: WhatIf, as_of: datetime) -> list[Row]:
    box = parse_bbox(question.bbox)
    corners = asdict(box) if box else dict.fromkeys(("min_lon", "min_lat", "max_lon", "max_lat"))
    parameters: dict[str, Any] = {
        "as_of": as_of,
        "horizon_days": question.horizon_days,
        "segment_ids": question.segment_ids,
        "nominal_length_m": NOMINAL_LENGTH_M,
        "district": question.district,
        "limit": question.worst or MOST_SEGMENTS,
        **corners,
    }
    return await (await db.execute(_SQL["select_rows"], parameters)).fetchall()


async def _not_scored(db: Connection, question: WhatIf, rows: list[Row]) -> list[str]:
    """Named segments that exist and have no score. Raises RequestInvalidError for one that does not exist."""
    if question.segment_ids is None:
        return []
    scored = {row["public_id"] for row in rows}
    missing = [id_ for id_ in dict.fromkeys(question.segment_ids) if id_ not in scored]
    known = await (await db.execute(_SQL["find_known_ids"], {"segment_ids": missing})).fetchall()
    unknown = sorted(set(missing) - {row["public_id"] for row in known})
    if unknown:
        raise RequestInvalidError(f"segment_ids: there is no road segment with the id {unknown[0]!r}.")
    return missing


async def _smooth_roughness(db: Connection, as_of: datetime) -> float | None:
    position = FEATURE_SET.index("roughness_mps2") + 1
    row = await (await db.execute(_SQL["read_smooth_roughness"], {"as_of": as_of, "position": position})).fetchone()
    return None if row is None else row["smooth"]


def _ask(
    model: "RiskModel",
    rows: list[Row],
    question: WhatIf,
    smooth_mps2: float | None,
    known_features: list[dict[str, Any]] | None,
) -> "Answer":
    # scikit-learn takes seconds to import: only a service that is asked pays for it.
    from models.whatif import answer

    values = [[np.nan if v is None else v for v in row["feature_values"]] for row in rows]
    features: NDArray[np.float32] = np.array(values, dtype=np.float32)
    return answer(
        model,
        features,
        treatment=question.treatment,
        weather=question.weather,
        days=question.weather_days,
        smooth_mps2=smooth_mps2,
        ranges=_ranges(known_features),
    )


def _ranges(known_features: list[dict[str, Any]] | None) -> "Ranges | None":
    """What training knew of each feature, from the reference that monitoring keeps; None for a model without one."""
    from models.whatif import Ranges

    if known_features is None:
        return None
    known = {entry["name"]: entry for entry in known_features}

    def of(end: str) -> NDArray[np.float64]:
        values = [known.get(name, {}).get(end) for name in FEATURE_SET.names]
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    return Ranges(of("minimum"), of("maximum"))


def _totals(answer: "Answer", model: "RiskModel") -> list[WhatIfTotal]:
    sums = [f.expected_count.sum(axis=0).tolist() for f in (answer.now, answer.untreated, answer.treated)]
    avoided = answer.avoided_count().tolist()
    columns = zip(model.horizons_days, *sums, avoided, strict=True)
    return [WhatIfTotal(horizon_days=h, now=n, untreated=u, treated=t, avoided=a) for h, n, u, t, a in columns]


def _expectation(forecast: "RiskForecast", row: int, column: int) -> Expectation:
    return Expectation(
        probability=float(forecast.probability[row, column]),
        probability_low=float(forecast.low[row, column]),
        probability_high=float(forecast.high[row, column]),
        expected_count=float(forecast.expected_count[row, column]),
    )


def _segment(row: Row, index: int, answer: "Answer", model: "RiskModel") -> WhatIfSegment:
    return WhatIfSegment(
        segment_id=row["public_id"],
        name=row["name"],
        district=row["district"],
        length_m=row["length_m"],
        horizons=[
            WhatIfHorizon(
                horizon_days=horizon,
                now=_expectation(answer.now, index, column),
                untreated=_expectation(answer.untreated, index, column),
                treated=_expectation(answer.treated, index, column),
            )
            for column, horizon in enumerate(model.horizons_days)
        ],
        changed=_changed(answer, index),
    )


def _changed(answer: "Answer", index: int) -> list[ChangedFeature]:
    changed = []
    for name in answer.changed:
        feature = FEATURE_SET.features[FEATURE_SET.index(name)]
        now, then = (
            None if np.isnan(value) else round(float(value), 6)
            for value in (table[index, FEATURE_SET.index(name)] for table in (answer.features, answer.treated_features))
        )
        if now != then:
            changed.append(
                ChangedFeature(
                    feature=name,
                    label_de=feature.label_de,
                    label_en=feature.label_en,
                    unit=feature.unit,
                    now=now,
                    then=then,
                )
            )
    return changed
