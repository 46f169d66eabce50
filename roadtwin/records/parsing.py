"""Records from text: one JSON object a line, or a row of a CSV file whose columns have the names of the schema."""

import json
import uuid
from collections.abc import Mapping

import msgspec

from roadtwin.errors import NaiveTimeError, RecordRejectedError
from roadtwin.records.schema import RECORD_KINDS, Record

_CSV_NAMESPACE = uuid.UUID("6f0e2f0a-8b51-5d4e-9f0d-3d1b0a6c7e21")
_POSITION_COLUMNS = ("lon", "lat", "accuracy_m")
_DECODERS = {kind: msgspec.json.Decoder(schema) for kind, schema in RECORD_KINDS.items()}


def parse_json_line(kind: str, line: bytes) -> Record:
    """A record of this kind. Raises RecordRejectedError with what was got and expected.

    Examples
    --------
    >>> parse_json_line("report", b'{"channel": "app"}')
    Traceback (most recent call last):
    roadtwin.errors.RecordRejectedError: Object missing required field `record_id`
    """
    try:
        return _DECODERS[kind].decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:  # a validation error is a decode error too
        raise _rejected(exc) from exc


def parse_csv_row(kind: str, row: Mapping[str | None, str | list[str] | None]) -> Record:
    """A record from a CSV row; empty cells are not given. `lon`, `lat` and `accuracy_m` make its position.

    A row without `record_id` gets one from its content, so that the same row is the same record.

    Raises RecordRejectedError for a cell too many or a value that the schema does not allow.

    Examples
    --------
    >>> row = {"observed_at": "2026-01-05T10:00:00+01:00", "method": "hot_mix", "lon": "7.0", "lat": "51.4"}
    >>> parse_csv_row("repair", row).position
    RecordPosition(lon=7.0, lat=51.4, accuracy_m=None)
    """
    given: dict[str, object] = {}
    for column, text in row.items():
        if column is None or isinstance(text, list):
            raise RecordRejectedError("the row has more cells than the header has columns")
        if text is not None and text.strip():
            given[column.strip()] = text.strip()
    if not given:
        raise RecordRejectedError("the row is empty")
    if "record_id" not in given:
        content = json.dumps([kind, sorted(given.items())], ensure_ascii=False)
        given["record_id"] = str(uuid.uuid5(_CSV_NAMESPACE, content))
    position = {column: given.pop(column) for column in _POSITION_COLUMNS if column in given}
    if position:
        given["position"] = position
    try:
        return msgspec.convert(given, RECORD_KINDS[kind], strict=False)
    except msgspec.ValidationError as exc:
        raise _rejected(exc) from exc


def _rejected(exc: Exception) -> RecordRejectedError:
    naive = "with a timezone component" in str(exc)  # the only way in which msgspec tells them from other errors
    return (NaiveTimeError if naive else RecordRejectedError)(str(exc))
