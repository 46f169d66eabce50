"""What the API answers about models: card, monitoring, comparisons, and what a score came from."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from models.alarm import AlarmName
from service.schemas import Answer, Score


class ModelAnswer(Answer):
    """The model that scores, with its card."""

    model_run_id: int
    trained_at: datetime
    data_until: datetime
    feature_set_version: int
    rule_version: int
    library_versions: dict[str, Any]
    recipe: dict[str, Any]
    card: dict[str, Any] = Field(
        description="Intended use, data window, hold-outs, skill beside baselines, calibration, limits."
    )
    code_version: str | None = Field(description="Of the code that trained it; null: not recorded.")
    artefact_sha256: str
    artefact_bytes: int


class Comparison(Answer):
    """A challenger against the champion, on windows that neither learned from."""

    model_comparison_id: int
    compared_at: datetime
    cause: Literal["schedule", "command"]
    champion_run_id: int
    challenger_run_id: int
    promoted: bool = Field(description="Whether the challenger took over; else it is kept, not in use.")
    verdict_de: str
    verdict_en: str
    figures: dict[str, Any] = Field(
        description="Test window, margins, and by horizon both models' figures and their difference with 90 % interval."
    )


class ComparisonsAnswer(Answer):
    """Comparisons, newest first."""

    comparisons: list[Comparison]


class Alarm(Answer):
    """Something that is wrong, by name."""

    name: AlarmName
    subject: str = Field(description='A horizon such as "28 d", or a feature.')
    value: float | None
    limit: float
    text_de: str
    text_en: str


class HorizonHealth(Answer):
    """Settled scores of one horizon: what was predicted and what was observed where somebody looked."""

    horizon_days: int
    score_sets: int = Field(description="Sets of scores, one a week, that are settled.")
    segments_known: int = Field(description="Windows in which somebody looked; the others are unknown, not free.")
    predicted: float
    observed: int
    independent_observed: float = Field(description="Observed in windows that do not overlap.")
    predicted_over_observed: float | None
    brier: float | None
    brier_skill: float | None = Field(description="Against the climatology of the model's training.")
    judged: bool = Field(description="false: too few to raise an alarm by.")


class FeatureHealth(Answer):
    """One feature of the newest scores beside its training."""

    name: str
    shared: bool = Field(description="Nearly the same for the whole city on a day: no stability index.")
    psi: float | None = Field(description="Population stability index against the same season of training.")
    psi_by_chance: float | None = Field(description="What 1 % of days without any drift would pass.")
    psi_usual: float = Field(description="What one in ten dates of training itself had.")
    outside_pct: float = Field(description="Values outside the range of training [%].")
    unknown_pct: float = Field(description="Values that are unknown now [%].")
    unknown_reference_pct: float = Field(description="Values that were unknown in training [%].")


class MonitoredDay(Answer):
    """One day's monitoring in short."""

    monitored_at: datetime
    model_run_id: int
    alarm_count: int


class MonitoringAnswer(Answer):
    """How the model in use is doing."""

    monitored_at: datetime
    age_s: float
    model_run_id: int
    score_as_of: datetime
    window_from: datetime = Field(description="Scores settled since then count.")
    model_runs: list[int] = Field(description="Models that made these scores.")
    alarms: list[Alarm]
    horizons: list[HorizonHealth]
    features: list[FeatureHealth]
    unknown_features: list[str] = Field(description="Unknown for every segment.")
    features_not_compared: str | None = Field(description="Why there is no drift to tell; null: there is.")
    limits: dict[str, float] = Field(description="From when on there is an alarm; see the settings.")
    days: list[MonitoredDay] = Field(description="Newest first.")


class FeatureValue(Answer):
    """What the model saw."""

    name: str | None = Field(description="null: the model's card does not name its features.")
    unit: str | None
    group: str | None
    value: float | None = Field(description="null: unknown.")


class TraceModel(Answer):
    """The model that made a score."""

    model_run_id: int
    trained_at: datetime
    data_until: datetime = Field(description="Nothing recorded later was used in training.")
    feature_set_version: int
    rule_version: int = Field(description="Of the rule that derives potholes from evidence.")
    artefact_sha256: str
    library_versions: dict[str, Any]
    code_version: str | None


class ScoreTrace(Answer):
    """What a score came from: with the stored model, the same features give the same probabilities again."""

    segment_id: str
    as_of: datetime = Field(description="Nothing recorded later was used in scoring: the data cut.")
    recorded_at: datetime
    code_version: str | None = Field(description="Of the code that scored; null: not recorded.")
    scores: list[Score]
    features: list[FeatureValue] | None = Field(description="In the model's order; null: the feature row is gone.")
    model: TraceModel


class ScoreRequest(Answer):
    """Scoring that was asked for."""

    score_request_id: int
    requested_at: datetime
    requested_by: str
    score_as_of: datetime | None = Field(description="The scores that answer it; null: not yet.")
