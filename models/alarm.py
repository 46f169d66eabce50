"""What an alarm of monitoring is. Apart from how it is found, so that who only tells of alarms loads no estimators."""

from dataclasses import dataclass
from typing import Literal

AlarmName = Literal["calibration", "skill", "feature_unknown", "feature_drift", "feature_outside"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that is wrong, by name; `subject` is a horizon ("28 d") or a feature."""

    name: AlarmName
    subject: str
    value: float
    limit: float
    text_de: str
    text_en: str
