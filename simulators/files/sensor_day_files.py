"""Sensor-days as CSV."""

import csv
import io
from collections.abc import Iterator

from roadtwin.records.sensor_days import SensorDays

SENSOR_DAYS_FILE = "sensor-days.csv"
COLUMNS = (
    "network_source", "application", "device", "channel", "quantity", "depth_cm", "day", "recorded_at", "count",
    "minimum", "mean", "maximum", "freeze_thaw_cycles",
)  # fmt: skip


def csv_header() -> bytes:
    """The first line of a file."""
    return (",".join(COLUMNS) + "\n").encode()


def csv_lines(days: SensorDays) -> Iterator[bytes]:
    """A line for each row; depth and cycles are empty where there is none."""
    names = [_fields(s.network_source, s.application, s.device, s.channel, s.quantity, s.depth_cm) for s in days.series]
    columns = (
        days.series_index.tolist(), days.day.tolist(), days.recorded_at.astype("datetime64[s]").tolist(),
        days.count.tolist(), days.minimum.tolist(), days.mean.tolist(), days.maximum.tolist(),
        days.freeze_thaw_cycles.tolist(),
    )  # fmt: skip
    for i, day, known, count, minimum, mean, maximum, cycles in zip(*columns, strict=True):
        numbers = f"{count},{minimum:.2f},{mean:.3f},{maximum:.2f},{cycles if cycles >= 0 else ''}"
        yield f"{names[i]},{day},{known.isoformat()}Z,{numbers}\n".encode()


def _fields(*fields: str | int | None) -> str:
    """Fields of a line as RFC 4180 has them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
