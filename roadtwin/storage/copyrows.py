"""Rows in PostgreSQL's binary COPY format, made in bulk: adapting value by value takes several times as long.

Layout: PostgreSQL documentation, COPY, "Binary Format". Each function gives the bytes of one row; `framed` makes a
stream of them. What does not fit its column raises `struct.error` or `UnicodeEncodeError`, as a row that the database
cannot hold does.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadtwin.types import Detection, Message, VehicleReading

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
HEADER_BYTES = len(_HEADER)
_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_LENGTH = Struct(">i")
_INT2 = Struct(">ih")
_INT4 = Struct(">ii")
_INT8 = Struct(">iq")
_FLOAT4 = Struct(">if")


def framed(rows: Iterable[bytes]) -> bytes:
    """The stream of a COPY."""
    return b"".join((_HEADER, *rows, _TRAILER))


def instant_us(at: datetime) -> int:
    """A timestamptz on the wire: microseconds since 2000-01-01 UTC."""
    return (at - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=4096)
def _word(text: str) -> bytes:
    """A text that comes again and again."""
    return _text(text)


def _text(text: str) -> bytes:
    data = text.encode()
    return _LENGTH.pack(len(data)) + data


def _text_or_null(text: str | None) -> bytes:
    return _NULL if text is None else _text(text)


def _int2_or_null(value: int | None) -> bytes:
    return _NULL if value is None else _INT2.pack(2, value)


def _float4_or_null(value: float | None) -> bytes:
    return _NULL if value is None else _FLOAT4.pack(4, value)


MESSAGE_COLUMNS = (
    "message_id", "observed_at", "recorded_at", "retained", "flags", "batch_id", "raw_no", "clock", "format",
    "event_kind", "origin", "device_id", "f_cnt", "f_port", "gateway_count", "best_rssi_dbm", "best_snr_db",
    "clock_skew_s", "topic", "details",
)  # fmt: skip
BATCH_ID_AT = 2 + (4 + 16) + (4 + 8) + (4 + 8) + (4 + 1) + (4 + 2) + 4
"""Where in a row of `message` the value of batch_id is [B]."""
_MESSAGE_HEAD = Struct(">h i16s iq iq i? ih iq ii".replace(" ", ""))
_UPLINK = Struct(">ii iq ii ih if if".replace(" ", ""))


def message_row(
    message: Message, observed_us: int, recorded_us: int, batch_id: int, raw_no: int, origin: str, device_id: int | None
) -> bytes:
    """One row of `message`; `raw_no` is the place of its payload in the batch's raw bytes."""
    head = _MESSAGE_HEAD.pack(
        len(MESSAGE_COLUMNS), 16, message.message_id.bytes, 8, observed_us, 8, recorded_us, 1, message.retained,
        2, message.flags, 8, batch_id, 4, raw_no,
    )  # fmt: skip
    f_cnt, f_port, gateways = message.f_cnt, message.f_port, message.gateway_count
    rssi, snr, skew = message.best_rssi_dbm, message.best_snr_db, message.clock_skew_s
    if None in (device_id, f_cnt, f_port, gateways, rssi, snr):
        radio = b"".join((
            _NULL if device_id is None else _INT4.pack(4, device_id),
            _NULL if f_cnt is None else _INT8.pack(8, f_cnt),
            _NULL if f_port is None else _INT4.pack(4, f_port),
            _int2_or_null(gateways),
            _float4_or_null(rssi),
            _float4_or_null(snr),
        ))  # fmt: skip
    else:
        radio = _UPLINK.pack(4, device_id, 8, f_cnt, 4, f_port, 2, gateways, 4, rssi, 4, snr)
    return b"".join((
        head,
        _word(message.clock), _word(message.format), _word(message.event_kind), _word(origin),
        radio,
        _NULL if skew is None else _FLOAT4.pack(4, skew),
        _text(message.topic),
        jsonb_field(message.details),
    ))  # fmt: skip


def jsonb_field(value: object) -> bytes:
    """A jsonb column: format version 1, then JSON text; NULL for what is empty."""
    if not value:
        return _NULL
    data = msgspec.json.encode(value)
    return _LENGTH.pack(len(data) + 1) + b"\x01" + data


OBSERVATION_COLUMNS = ("series_id", "observed_at", "recorded_at", "value", "flags", "profile_version")
_OBSERVATION_TYPES = (">i4", ">i8", ">i8", ">f8", ">i2", ">i2")
_OBSERVATION = np.dtype(
    [("fields", ">i2")]
    + [
        part
        for name, wire in zip(OBSERVATION_COLUMNS, _OBSERVATION_TYPES, strict=True)
        for part in ((f"{name} length", ">i4"), (name, wire))
    ]
)


def observation_rows(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """All rows of `observation`, from arrays of equal length by column name; instants as `instant_us` gives them.

    Flags and versions must fit 16 bits: NumPy would wrap them silently, so that is checked.
    """
    rows = np.empty(len(columns["series_id"]), _OBSERVATION)
    rows["fields"] = len(OBSERVATION_COLUMNS)
    for name, wire in zip(OBSERVATION_COLUMNS, _OBSERVATION_TYPES, strict=True):
        values = columns[name]
        if wire == ">i2" and len(values) and (int(values.max()) > 32_767 or int(values.min()) < -32_768):
            raise OverflowError(f"Got {name} {int(values.max())}, expected one that fits 16 bits.")
        rows[f"{name} length"] = np.dtype(wire).itemsize
        rows[name] = values
    return rows.tobytes()


VEHICLE_READING_COLUMNS = (
    "event_id", "observed_at", "recorded_at", "lon", "lat", "speed_mps", "blur", "wet", "light", "flags", "origin",
    "vehicle_pseudonym", "calibration_id", "pass_id", "camera_model", "camera_version", "accuracy_m", "heading_deg",
    "accel_rms_mps2", "accel_peak_mps2", "sample_rate_hz", "lane", "image_ref",
)  # fmt: skip
_READING_HEAD = Struct(">h i16s iq iq id id if if if if ih".replace(" ", ""))


def vehicle_reading_row(reading: VehicleReading, observed_us: int, recorded_us: int, origin: str) -> bytes:
    """One row of `vehicle_reading`."""
    r = reading
    return b"".join((
        _READING_HEAD.pack(
            len(VEHICLE_READING_COLUMNS), 16, r.event_id.bytes, 8, observed_us, 8, recorded_us, 8, r.position.lon,
            8, r.position.lat, 4, r.speed_mps, 4, r.blur, 4, r.wet, 4, r.light, 2, r.flags,
        ),
        _word(origin), _word(r.vehicle_pseudonym), _word(r.calibration_id), _text(r.pass_id), _word(r.camera_model),
        _word(r.camera_version), _float4_or_null(r.position.accuracy_m), _float4_or_null(r.heading_deg),
        _float4_or_null(r.accel_rms_mps2), _float4_or_null(r.accel_peak_mps2), _float4_or_null(r.sample_rate_hz),
        _int2_or_null(r.lane), _text_or_null(r.image_ref),
    ))  # fmt: skip


DETECTION_COLUMNS = (
    "event_id", "detection_no", "observed_at", "recorded_at", "confidence", "bbox_px", "image_width_px",
    "image_height_px", "class_code", "width_m", "length_m", "depth_m", "area_m2", "track_id",
)  # fmt: skip
# bbox_px is a float4[] of four: one dimension, no nulls, type 700, four elements from index 1.
_BOX_BYTES = 20 + 4 * 8
_DETECTION_HEAD = Struct(">h i16s ih iq iq if i iiiii ifififif ii ii".replace(" ", ""))


def detection_row(reading: VehicleReading, detection: Detection, observed_us: int, recorded_us: int) -> bytes:
    """One row of `detection`."""
    d = detection
    x_min, y_min, x_max, y_max = d.bbox_px
    return b"".join((
        _DETECTION_HEAD.pack(
            len(DETECTION_COLUMNS), 16, reading.event_id.bytes, 2, d.detection_no, 8, observed_us, 8, recorded_us,
            4, d.confidence, _BOX_BYTES, 1, 0, 700, 4, 1, 4, x_min, 4, y_min, 4, x_max, 4, y_max,
            4, d.image_width_px, 4, d.image_height_px,
        ),
        _word(d.class_code), _float4_or_null(d.width_m), _float4_or_null(d.length_m), _float4_or_null(d.depth_m),
        _float4_or_null(d.area_m2), _text_or_null(d.track_id),
    ))  # fmt: skip
