"""Answers about the twin state at other times, and about what it has learnt of the city."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.schemas import Answer, StateQuantity


class StateAt(Answer):
    """State of a segment as it was known at a time."""

    as_of: datetime
    state: list[StateQuantity] = Field(description="`age_s` is that at `as_of`.")


class StateHistory(Answer):
    """State of a segment, hour by hour, each from what was recorded by then."""

    segment_id: str
    states: list[StateAt]


class SensorSkillAnswer(Answer):
    """How well the sensors of a quantity predict one that is left out, beside the weather alone; in its unit."""

    quantity: str
    values: int = Field(description="Values predicted.")
    times: int
    mae: float
    rmse: float
    weather_mae: float
    weather_rmse: float
    coverage_90: float = Field(description="Share of values within the 90 % interval.")


class FieldAnswer(Answer):
    """How a quantity varies over the city."""

    quantity: str
    spread: float = Field(description="Standard deviation of places about the weather's estimate.")
    noise: float = Field(description="Standard deviation of one sensor's error.")
    range_m: float
    range_traits: float = Field(description="Difference of site traits over which the correlation falls to 37 %.")
    range_h: float
    fitted: bool = Field(description="false: assumed, there were too few sensors.")


PoorFrames = Literal["wet", "dark", "blurred"]


class FramesAnswer(Answer):
    """How cameras do with frames of a kind, relative to fit ones."""

    frames: PoorFrames
    recall_factor: float = Field(description="Chance to report an open pothole.")
    mistakes_factor: float = Field(description="Potholes reported a pass where there are none.")


class TwinParameters(Answer):
    """What the twin has learnt of the city as a whole."""

    as_of: datetime | None = Field(description="null: nothing yet, published and assumed values are in use.")
    camera_recall: float = Field(description="Chance that one pass with fit frames reports an open pothole.")
    poor_frame_factor: float = Field(description="Recall with blurred, wet or dark frames relative to that.")
    poor_frame_mistakes: float = Field(description="Mistakes a pass with such frames relative to fit ones.")
    frames: list[FramesAnswer] = Field(description="The same by kind; empty: no passes were told apart by why.")
    new_potholes_per_km_year: float
    season_factor: float = Field(description="New potholes of the last two weeks relative to the mean of the year.")
    vehicles: int = Field(description="Vehicles whose shaking is told from that of the road.")
    fields: list[FieldAnswer]
    sensor_skill: list[SensorSkillAnswer]
