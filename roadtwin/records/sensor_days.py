"""What sensors measured on one local day, in columns: the form in which a long past of them is loaded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TEMPERATURES = ("surface_temp_c", "ground_temp_c")
"""Of `roadtwin.units.SENSOR_DAY_QUANTITIES` those in which freeze–thaw cycles are counted."""

FREEZE_BELOW_C = -1.0
THAW_ABOVE_C = 1.0
"""A freeze–thaw cycle is a value below the first and, next among all that lie outside of both, one above the second:
the hysteresis keeps the noise of a probe about 0 °C from being counted. It counts on the day on which it thaws. [°C]"""


@dataclass(frozen=True, slots=True)
class SensorSeries:
    """One series of a device by the names that its register knows; see the tables `device` and `series`."""

    network_source: str
    application: str
    device: str
    channel: str
    quantity: str
    depth_cm: int | None


@dataclass(frozen=True, slots=True)
class SensorDays:
    """n rows; a day without a row means that nothing of use was measured on it.

    `series_index` (n,) points into `series`. `day` (n,) is a local day of the city (datetime64[D]); `recorded_at` (n,)
    is UTC (datetime64[us]), never before the day is over. `count` (n,) values without a flag that makes them unfit;
    `minimum`, `mean`, `maximum` (n,) of them, in the quantity's unit; `freeze_thaw_cycles` (n,) is -1 for series that
    are no temperatures.
    """

    series: tuple[SensorSeries, ...]
    series_index: NDArray[np.int32]
    day: NDArray[np.datetime64]
    recorded_at: NDArray[np.datetime64]
    count: NDArray[np.int16]
    minimum: NDArray[np.float32]
    mean: NDArray[np.float32]
    maximum: NDArray[np.float32]
    freeze_thaw_cycles: NDArray[np.int16]
