"""Attributes of a city's register for `roadtwin backtest`: what is unknown or impossible in it is counted and said."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.event_history import EventHistory
from models.inputs import Bools, Floats
from roadtwin.jobs.event_files import EventFile
from roadtwin.jobs.event_tables import is_missing, read_content, read_number, read_table, require_column
from roadtwin.reporting.words import Number, Words, counted, counted_german

_MOST_CATEGORIES = 12
_ABSURD_SPREADS = 20.0
_USUAL_SHARE = 0.9
_LARGEST = 1e12
"""No attribute of a road is larger, whatever its unit."""
_NAMED = 3
"""Impossible values of a column that a note names."""


def with_attributes(events: EventFile, path: Path, segment_column: str) -> EventFile:
    """The same events with the attributes of a register: every segment of it is known from the first day on.

    A register has no dates. Its attributes count as known from the first day on, too, and a note says so: one that was
    written after a cut tells of it what nobody knew.

    Columns of numbers are taken as such, columns of a few words as yes or no for each word. Words among numbers,
    missing and impossible values (see `impossible`) are unknown, and notes count them by column; notes also name the
    columns that are left out since they are empty, or neither numbers nor a few words.

    Raises InputFileError.
    """
    header, lines = read_table(path, read_content(path))
    require_column(path, header, segment_column)
    register: dict[str, dict[str, str]] = {}
    repeated = 0
    for row in lines:
        segment = row[segment_column].strip()
        repeated += segment in register
        if segment:
            register.setdefault(segment, row)
    known = events.history.segment_ids
    ids = tuple(sorted({*known, *register}))
    columns = _Columns(path.name)
    for name in header:
        if name != segment_column:
            columns.read(name, {segment: row[name].strip() for segment, row in register.items()}, ids)
    notes = [*events.notes, *columns.notes()]
    if columns.names:
        used = ", ".join(columns.used)
        notes.append(
            (
                f"{path.name} has no dates, it counts as known before the cut: {used}",
                f"{path.name} nennt keine Daten, es gilt als vor dem Stichtag bekannt: {used}",
            )
        )
    if repeated:
        notes.append(
            (
                f"{counted(repeated, 'row')} of {path.name} about a segment that came before: the first counts",
                f"{counted_german(repeated, 'Zeile', 'Zeilen')} aus {path.name} zu Abschnitten davor: die erste zählt",
            )
        )
    absent = len(ids) - len(register)
    if absent:
        notes.append(
            (
                f"{counted(absent, 'segment')} with events not in {path.name}: attributes unknown",
                f"{counted_german(absent, 'Abschnitt fehlt', 'Abschnitte fehlen')} in {path.name}: Merkmale unbekannt",
            )
        )
    place = {segment: number for number, segment in enumerate(ids)}
    old_to_new = np.array([place[segment] for segment in known], np.int32)
    history = events.history
    street = None
    if history.street is not None:
        street = np.full(len(ids), -1, np.int32)
        street[old_to_new] = history.street
    extended = EventHistory(
        segment_ids=ids,
        segment=old_to_new[history.segment],
        day=history.day,
        street=street,
        position_m=history.position_m,
        attributes=np.column_stack(columns.values) if columns.values else np.zeros((len(ids), 0)),
        attribute_names=tuple(columns.names),
    )
    return replace(events, history=extended, notes=tuple(notes))


def impossible(values: Floats) -> Bools:
    """Which values (n,) of a column are beyond all others; NaN are not.

    Those beyond ±10¹², and those farther from the median than 20 times the distance that nine of ten values keep to:
    unlike the interquartile range it lets a few main roads have a hundred times the traffic of all others. Where nine
    of ten values are the same, the median distance of the others stands for it.

    Examples
    --------
    >>> impossible(np.array([2.0, 2.0, 4.0, 3.0, 2.0, 3.0, 2.0, 4.0, 3.0, 2.0, 4.0, 9e9, np.nan])).nonzero()[0].tolist()
    [11]
    """
    beyond = np.abs(values) > _LARGEST
    known = np.isfinite(values) & ~beyond
    if not known.any():
        return beyond
    away = np.abs(values - np.median(values[known]))
    spread = float(np.quantile(away[known], _USUAL_SHARE, method="lower"))
    if spread == 0 and away[known].any():
        spread = float(np.median(away[known & (away > 0)]))
    return np.asarray(beyond | (known & (away > _ABSURD_SPREADS * spread)))


class _Columns:
    """Columns of attributes (n,) by name, and what became of those of the file."""

    def __init__(self, file_name: str) -> None:
        self.names: list[str] = []
        self.used: list[str] = []
        self.values: list[Floats] = []
        self._file_name = file_name
        self._unknown: list[Words] = []
        self._empty: list[str] = []
        self._unused: list[str] = []

    def read(self, name: str, texts: dict[str, str], ids: Sequence[str]) -> None:
        """Take a column: its text by segment, for the segments `ids` (n,), of which some may not be in the file."""
        words = Counter(text for text in texts.values() if not is_missing(text))
        numbers = np.array([read_number(text) for text in texts.values()])
        missing = len(texts) - words.total()
        if not words:
            self._empty.append(name)
        elif np.isfinite(numbers).sum() >= 0.5 * words.total():
            wrong = impossible(numbers)
            self._note(name, len(texts), missing, words.total() - int(np.isfinite(numbers).sum()), numbers[wrong])
            numbers[wrong] = np.nan
            self.used.append(name)
            by_segment = dict(zip(texts, numbers.tolist(), strict=True))
            self._add(name, np.array([by_segment.get(segment, np.nan) for segment in ids]))
        elif 1 < len(words) <= _MOST_CATEGORIES:
            self._note(name, len(texts), missing, 0, np.zeros(0))
            self.used.append(name)
            kept = [texts.get(segment, "") for segment in ids]
            for word in sorted(words):
                self._add(f"{name}={word}", np.array([np.nan if is_missing(t) else float(t == word) for t in kept]))
        else:
            self._unused.append(name)

    def _add(self, name: str, values: Floats) -> None:
        self.names.append(name)
        self.values.append(values)

    def _note(self, name: str, rows: int, missing: int, words: int, impossible: Floats) -> None:
        reasons: list[Words] = []
        if missing:
            reasons.append((f"{missing:,} missing", counted_german(missing, "fehlt", "fehlen")))
        if words:
            no_number = counted_german(words, "keine Zahl", "keine Zahlen")
            reasons.append((f"{words:,} not {'a number' if words == 1 else 'numbers'}", no_number))
        if impossible.size:
            values = np.unique(impossible)
            more = ", …" if values.size > _NAMED else ""
            named, in_german = (
                ", ".join(f"{Number(value, comma=comma):g}" for value in values[:_NAMED].tolist()) + more
                for comma in (False, True)
            )
            count = Number(impossible.size, comma=True)
            reasons.append((f"{impossible.size:,} impossible: {named}", f"{count:,} unmöglich: {in_german}"))
        if reasons:
            unknown = missing + words + impossible.size
            english, german = ("; ".join(told) for told in zip(*reasons, strict=True))
            self._unknown.append(
                (
                    f"{name} of {self._file_name}: {unknown:,} of {counted(rows, 'value')} unknown ({english})",
                    (
                        f"{name} aus {self._file_name}: {Number(unknown, comma=True):,} von "
                        f"{counted_german(rows, 'Wert', 'Werten')} unbekannt ({german})"
                    ),
                )
            )

    def notes(self) -> list[Words]:
        """What is unknown, by column, and which columns are left out."""
        notes = list(self._unknown)
        if self._empty:
            columns = ", ".join(self._empty)
            notes.append(
                (
                    f"left out as empty, of {self._file_name}: {columns}",
                    f"als leer ausgelassen, aus {self._file_name}: {columns}",
                )
            )
        if self._unused:
            columns = ", ".join(self._unused)
            notes.append(
                (
                    (
                        f"left out as neither numbers nor 2 to {_MOST_CATEGORIES} different words, of "
                        f"{self._file_name}: {columns}"
                    ),
                    (
                        f"ausgelassen, da weder Zahlen noch 2 bis {_MOST_CATEGORIES} verschiedene Wörter, aus "
                        f"{self._file_name}: {columns}"
                    ),
                )
            )
        return notes
