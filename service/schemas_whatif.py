"""What `/v1/whatif` is asked and answers."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from pydantic import Field

from models.weather_scenario import WeatherScenario
from models.whatif_words import Treatment
from roadtwin.records.schema import Word
from service.schemas import Answer

MOST_SEGMENTS = 500
"""Segments of one question, at most [-]."""


class WhatIf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What if these segments were treated, or such weather came? Name them, or select by box, district or rank."""

    segment_ids: Annotated[list[Word], Meta(min_length=1, max_length=MOST_SEGMENTS)] | None = None
    bbox: Annotated[str, Meta(description="west,south,east,north [°].", max_length=200)] | None = None
    district: Word | None = None
    worst: (
        Annotated[int, Meta(ge=1, le=MOST_SEGMENTS, description="Only so many, by risk within `horizon_days`.")] | None
    ) = None
    horizon_days: Annotated[int, Meta(description="Horizon by which the worst are chosen [d]: 7, 28 or 90.")] = 28
    treatment: Treatment = Treatment.NONE
    weather: WeatherScenario = WeatherScenario.AS_FORECAST
    weather_days: Annotated[Literal[7, 28], Meta(description="How long the weather lasts [d].")] = 7


class Expectation(Answer):
    """What the model expects within a horizon."""

    probability: float = Field(ge=0, le=1)
    probability_low: float = Field(description="Lower end of the 90 % interval.")
    probability_high: float
    expected_count: float


class WhatIfHorizon(Answer):
    """One horizon of one segment in three states."""

    horizon_days: int
    now: Expectation = Field(description="As the segment was scored.")
    untreated: Expectation = Field(description="After the weather alone.")
    treated: Expectation = Field(description="After weather and treatment.")


class ChangedFeature(Answer):
    """What the model is told otherwise than it was; null is unknown."""

    feature: str
    label_de: str
    label_en: str
    unit: str
    now: float | None
    then: float | None


class WhatIfSegment(Answer):
    """One segment of the answer."""

    segment_id: str
    name: str
    district: str
    length_m: float
    horizons: list[WhatIfHorizon]
    changed: list[ChangedFeature]


class WhatIfTotal(Answer):
    """Expected new potholes on all segments of the answer, within a horizon."""

    horizon_days: int
    now: float
    untreated: float
    treated: float
    avoided: float = Field(description="untreated − treated.")


class AssumptionNote(Answer):
    """One thing that the answer rests on."""

    code: str
    text_de: str
    text_en: str


class WhatIfAnswer(Answer):
    """What the model expects of the segments now, after the weather, and after weather and treatment."""

    score_as_of: datetime
    model_run_id: int
    treatment: Treatment
    weather: WeatherScenario
    weather_days: int
    matching_count: int = Field(description="Scored segments that the question means; the answer may hold fewer.")
    not_scored: list[str] = Field(description="Named segments without a score: nothing can be said of them.")
    totals: list[WhatIfTotal]
    segments: list[WhatIfSegment]
    assumptions: list[AssumptionNote]
