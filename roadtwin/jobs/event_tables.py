"""CSV files of cities as tables of text: events, registers, weather. What a cell says is for their readers to judge."""

import csv
import gzip
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from roadtwin.errors import InputFileError

_MISSING = frozenset({"", "na", "nan", "null", "none"})
_MISSING_NUMBERS = frozenset({-999.0, -9999.0})
"""What weather services and geographic information systems write where they know nothing."""


def read_content(path: Path) -> bytes:
    """What is in a file; `.gz` is unpacked. Raises InputFileError."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError) as exc:
        raise InputFileError(f"{path}: cannot be read: {exc}.") from None


def read_table(path: Path, content: bytes) -> tuple[list[str], Iterator[dict[str, str]]]:
    """Names of the columns, and the rows with a text for each of them. Raises InputFileError."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputFileError(f"{path}: not UTF-8: {exc}.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    header = [name for name in reader.fieldnames or () if name]
    if not header:
        raise InputFileError(f"{path}: got no header line, expected a CSV file with one.")
    return header, ({name: row[name] or "" for name in header} for row in reader)


def require_column(path: Path, header: Sequence[str], name: str) -> None:
    """Raise InputFileError if there is no such column."""
    if name not in header:
        raise InputFileError(f"{path}: got the columns {', '.join(header)}, expected one named {name!r}.")


def find_column(header: Sequence[str], names: Sequence[str]) -> str | None:
    """The column with the first of these names (lower case) that is there."""
    return next((column for name in names for column in header if column.lower() == name), None)


def is_missing(text: str) -> bool:
    """Whether a cell says that nothing is known.

    Examples
    --------
    >>> [is_missing(text) for text in ("", "NA", "-999.0", "0", "asphalt")]
    [True, True, True, False, False]
    """
    return text.strip().lower() in _MISSING or _parsed(text) in _MISSING_NUMBERS


def read_number(text: str) -> float:
    """A number; NaN for what is none or stands for missing."""
    value = _parsed(text)
    return math.nan if value in _MISSING_NUMBERS or not math.isfinite(value) else value


def _parsed(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
