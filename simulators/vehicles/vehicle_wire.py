"""Readings as the bytes that camera boxes publish (`roadtwin.records.vehicle`), many at once.

The text is JSON as any encoder would write it, with a fixed number of decimals; the topic has the vehicle, never the
object.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulators.vehicles.detector import CODES, IMAGE_HEIGHT_PX, IMAGE_WIDTH_PX
from simulators.vehicles.drives import Drives
from simulators.vehicles.imu import SAMPLE_RATE_HZ
from simulators.vehicles.mistakes import POTHOLE
from simulators.vehicles.readings import CAMERA_MODEL, ReadingColumns

_READING = (
    '{"event_id":"%s-%s-%s-%s-%s","schema_version":1,"observed_at":"%sZ",'
    '"position":{"lon":%.7f,"lat":%.7f,"accuracy_m":%.1f},"heading_deg":%.1f,"speed_mps":%.2f,"pass_id":"%d-%d",%s'
    '"detections":[%s],"imu":{"accel_rms_mps2":%.3f,"accel_peak_mps2":%.3f,"sample_rate_hz":' + f"{SAMPLE_RATE_HZ}}}}}"
)
_CAMERA = (
    f'"camera":{{"model":"{CAMERA_MODEL}","version":"%s","frame_quality":{{"blur":%.2f,"wet":%.2f,"light":%.2f}}}},'
)
_SIZE = f'"image_size_px":[{IMAGE_WIDTH_PX},{IMAGE_HEIGHT_PX}]'
_DETECTION = (
    '{"class_code":"%s","confidence":%.3f,"bbox_px":[%.1f,%.1f,%.1f,%.1f],' + _SIZE + ',"width_m":%.2f,"length_m":%.2f,'
    '"area_m2":%.3f}'
)
_POTHOLE = _DETECTION[:-1] + ',"depth_m":%.3f}'


def payloads(drives: Drives, columns: ReadingColumns, versions: tuple[str, ...]) -> list[bytes]:
    """What boxes publish for n readings.

    Parameters
    ----------
    versions : tuple of str
        Names of the detectors' versions.
    """
    ids = columns.id_words.astype(">u8").tobytes().hex()
    starts = range(0, len(ids), 32)
    times = np.datetime_as_string(columns.observed_us.astype("datetime64[us]"), unit="ms").tolist()
    cameras = _cameras(drives, columns, versions)
    row = columns.row
    values = zip(
        [ids[i : i + 8] for i in starts], [ids[i + 8 : i + 12] for i in starts], [ids[i + 12 : i + 16] for i in starts],
        [ids[i + 16 : i + 20] for i in starts], [ids[i + 20 : i + 32] for i in starts], times, columns.lon.tolist(),
        columns.lat.tolist(), columns.accuracy_m.tolist(), columns.heading_deg.tolist(), columns.speed_mps.tolist(),
        drives.time_key[row].tolist(), drives.passes.key[row].tolist(), [cameras[r] for r in row.tolist()],
        _detections(columns), columns.accel_rms_mps2.tolist(), columns.accel_peak_mps2.tolist(), strict=True,
    )  # fmt: skip
    return [(_READING % value).encode() for value in values]


def _cameras(drives: Drives, columns: ReadingColumns, versions: tuple[str, ...]) -> list[str]:
    """The camera's part, which is the same over a drive."""
    version = np.zeros(len(drives.passes.key), np.int64)
    version[columns.row] = columns.version
    names = [_escaped(name) for name in versions]
    quality = drives.quality
    values = zip(version.tolist(), quality.blur.tolist(), quality.wet.tolist(), quality.light.tolist(), strict=True)
    return [_CAMERA % (names[v], blur, wet, light) for v, blur, wet, light in values]


def _escaped(text: str) -> str:
    """Text within a JSON string."""
    return msgspec.json.encode(text).decode()[1:-1]


def _detections(columns: ReadingColumns) -> list[str]:
    """Text of the detections of each reading."""
    found, told = columns.found, columns.described
    texts = [
        _POTHOLE % (CODES[code], confidence, *box, width, length, area, depth)
        if code == POTHOLE
        else _DETECTION % (CODES[code], confidence, *box, width, length, area)
        for code, confidence, box, width, length, area, depth in zip(
            found.code.tolist(), told.confidence.tolist(), told.box_px.tolist(), told.width_m.tolist(),
            told.length_m.tolist(), told.area_m2.tolist(), told.depth_m.tolist(), strict=True,
        )
    ]  # fmt: skip
    result = [""] * len(columns.row)
    with_some: NDArray[np.intp] = np.flatnonzero(np.diff(columns.first))
    for i in with_some.tolist():
        result[i] = ",".join(texts[columns.first[i] : columns.first[i + 1]])
    return result
