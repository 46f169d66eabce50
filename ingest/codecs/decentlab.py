"""Decentlab protocol v2: version byte 2, u16 device id, u16 flags, then big-endian u16 words.

Bit i of the flags says that sensor group i is there; groups follow one another in order, absent ones take no room.
A frame with the battery's bit alone is what a device sends when its probe does not answer.

The scale DL-DWS is calibrated one by one. `decentlab/dl-dws` gives its frequency; a codec named
`decentlab/dl-dws-<f0²>-<factor × 10⁹>-<tare>`, with the numbers of its model name, also its weight [g]:
(frequency² − f0²) × factor + tare.
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ingest.codecs.codec import (
    Codec,
    Column,
    Example,
    FieldDoc,
    Fields,
    Frame,
    column_of,
    nearest,
    number_of,
    row_count,
    rows_of,
)
from ingest.codecs.layout import unknown_fields
from roadtwin.errors import CodecError

Number = int | float


@dataclass(frozen=True, slots=True)
class Word:
    """A field in one word: (word − zero) × multiplier ÷ divisor + offset."""

    name: str
    unit: str = ""
    zero: int = 0
    divisor: int = 1
    multiplier: int = 1
    offset: int = 0

    def value(self, word: int) -> Number:
        """The field's value."""
        if self.divisor == 1:
            return (word - self.zero) * self.multiplier + self.offset
        return (word - self.zero) * self.multiplier / self.divisor + self.offset

    def word(self, value: Any) -> Any:
        """The word nearest to a value, or those nearest to a column of values; they may be out of 0 to 65535."""
        return nearest((value - self.offset) * self.divisor / self.multiplier) + self.zero

    def formula(self, place: int) -> str:
        """How it is computed, for the reference pages."""
        text = f"w{place} − {self.zero}" if self.zero else f"w{place}"
        if self.multiplier != 1 or self.divisor != 1:
            text = f"({text})" if self.zero else text
            text += f" × {self.multiplier}" if self.multiplier != 1 else ""
            text += f" ÷ {self.divisor}" if self.divisor != 1 else ""
        return f"{text} {'−' if self.offset < 0 else '+'} {abs(self.offset)}" if self.offset else text


@dataclass(frozen=True, slots=True)
class Derived:
    """A field of several words; `compute` gives None where these words have no value."""

    name: str
    unit: str
    formula: str
    compute: Callable[[Sequence[int]], Number | None]


@dataclass(frozen=True, slots=True)
class Group:
    """One sensor: `words` of them (or the words that `encode` makes of the fields), then what is derived from all."""

    words: tuple[Word, ...]
    derived: tuple[Derived, ...] = ()
    length: int = 0
    encode: Callable[[Mapping[str, Any]], Sequence[Any]] | None = None
    """For groups whose derived fields are more than a view on `words`: the words of numbers, or of columns of numbers;
    raises KeyError for a missing field."""

    @property
    def size(self) -> int:
        """Number of words."""
        return max(self.length, len(self.words))

    @property
    def names(self) -> set[str]:
        """Names of all its fields."""
        return {w.name for w in self.words} | {d.name for d in self.derived}


class DecentlabCodec(Codec):
    """A Decentlab device: its groups, in the order of their flag bits."""

    family = "decentlab"
    default_port = 1

    def __init__(self, model: str, title: str, groups: tuple[Group, ...], examples: tuple[Example, ...] = ()) -> None:
        self.name, self.title, self.groups, self.examples = f"decentlab/{model}", title, groups, examples

    def _decode(self, _f_port: int, payload: bytes) -> tuple[Frame, ...]:
        if len(payload) < 5:
            raise CodecError(f"{self.name}: got {len(payload)} bytes, expected at least 5.")
        version, device_id, flags = struct.unpack_from(">BHH", payload)
        if version != 2:
            raise CodecError(f"{self.name}: got protocol version {version}, expected 2.")
        present = [g for i, g in enumerate(self.groups) if flags >> i & 1]
        if flags >> len(self.groups):
            raise CodecError(f"{self.name}: got flags {flags:#06x}, expected {len(self.groups)} groups at most.")
        size = 5 + 2 * sum(g.size for g in present)
        if len(payload) != size:
            raise CodecError(f"{self.name}: got {len(payload)} bytes, expected {size} with flags {flags:#06x}.")
        words = struct.unpack_from(f">{(size - 5) // 2}H", payload, 5)
        fields: Fields = {"device_id": device_id, "protocol_version": version}
        at = 0
        for group in present:
            own = words[at : at + group.size]
            at += group.size
            for word, spec in zip(own, group.words, strict=False):
                fields[spec.name] = spec.value(word)
            for derived in group.derived:
                fields[derived.name] = derived.compute(own)
        return (Frame(fields),)

    def encode(self, fields: Mapping[str, object]) -> tuple[int, bytes]:
        """A group is sent when any of its fields is given, and then needs all that it cannot derive."""
        unknown_fields(self.name, fields, {"device_id", "protocol_version"}.union(*(g.names for g in self.groups)))
        flags, words = 0, list[int]()
        for bit, group in enumerate(self.groups):
            if not group.names & fields.keys():
                continue
            flags |= 1 << bit
            words += self._words(group, fields)
        if any(not 0 <= w <= 0xFFFF for w in words):
            raise CodecError(f"{self.name}: got a value that does not fit its 16-bit word.")
        device_id = number_of(self.name, fields, "device_id") if "device_id" in fields else 0
        return self.default_port, struct.pack(f">BHH{len(words)}H", 2, int(device_id), flags, *words)

    def _words(self, group: Group, fields: Mapping[str, object]) -> Sequence[int]:
        if group.encode is not None:
            given = {n: number_of(self.name, fields, n) for n in group.names if fields.get(n) is not None}
            try:
                return group.encode(given)
            except KeyError as exc:
                raise CodecError(f"{self.name}: expected the field {exc} beside the others of its sensor.") from None
        return [w.word(number_of(self.name, fields, w.name)) for w in group.words]

    def encode_many(self, columns: Mapping[str, Column]) -> tuple[int, list[bytes]]:
        """As `encode`, all words of a kind at once."""
        unknown_fields(self.name, columns, {"device_id", "protocol_version"}.union(*(g.names for g in self.groups)))
        rows = row_count(self.name, columns)
        sent = [(bit, group) for bit, group in enumerate(self.groups) if group.names & columns.keys()]
        words = [word for _, group in sent for word in self._word_columns(group, columns)]
        table = np.empty((rows, 1 + len(words)))
        table[:, 0] = column_of(self.name, columns, "device_id") if "device_id" in columns else 0
        for place, column in enumerate(words, start=1):
            table[:, place] = column
        if not ((table >= 0) & (table <= 0xFFFF)).all():
            raise CodecError(f"{self.name}: got a value that does not fit its 16-bit word.")
        payload = np.empty((rows, 5 + 2 * len(words)), np.uint8)
        payload[:, 0] = 2
        payload[:, 1:3] = table[:, :1].astype(">u2").view(np.uint8)
        flags = sum(1 << bit for bit, _ in sent)
        payload[:, 3], payload[:, 4] = divmod(flags, 256)
        payload[:, 5:] = table[:, 1:].astype(">u2").view(np.uint8)
        return self.default_port, rows_of(payload)

    def _word_columns(self, group: Group, columns: Mapping[str, Column]) -> Sequence[Any]:
        if group.encode is None:
            return [w.word(column_of(self.name, columns, w.name)) for w in group.words]
        given = {n: column_of(self.name, columns, n) for n in group.names if n in columns}
        try:
            return group.encode(given)
        except KeyError as exc:
            raise CodecError(f"{self.name}: expected the field {exc} beside the others of its sensor.") from None

    def field_docs(self) -> tuple[FieldDoc, ...]:
        """Fields by group."""
        docs = [
            FieldDoc("bytes 1–2", "device_id", "", "u16"),
            FieldDoc("byte 0", "protocol_version", "", "2"),
        ]
        for bit, group in enumerate(self.groups):
            docs += [FieldDoc(f"bit {bit}", w.name, w.unit, w.formula(i)) for i, w in enumerate(group.words)]
            docs += [FieldDoc(f"bit {bit}", d.name, d.unit, d.formula) for d in group.derived]
        return tuple(docs)


BATTERY = Group((Word("battery_voltage", "V", divisor=1000),))


def _albedo(words: Sequence[int]) -> float | None:
    incoming, reflected = words[0] - 32768, words[1] - 32768
    return reflected / incoming if incoming else None  # by night nothing comes in


def _rain_total_mm(words: Sequence[int]) -> float:
    return (words[15] + words[16] * 65536) / 1000


_ATM41G2_WORDS = (
    Word("solar_radiation", "W/m²", zero=32768, divisor=10),
    Word("precipitation", "mm", divisor=1000),
    Word("lightning_strike_count", zero=32768),
    Word("lightning_average_distance", "km", zero=32768),
    Word("wind_speed", "m/s", zero=32768, divisor=100),
    Word("wind_direction", "°", zero=32768, divisor=10),
    Word("maximum_wind_speed", "m/s", zero=32768, divisor=100),
    Word("air_temperature", "°C", zero=32768, divisor=10),
    Word("vapor_pressure", "kPa", zero=32768, divisor=100),
    Word("barometric_pressure", "kPa", zero=32768, divisor=100),
    Word("relative_humidity", "%", zero=32768, divisor=10),
    Word("internal_temperature", "°C", zero=32768, divisor=10),
    Word("tilt_angle_x_orientation", "°", zero=32768, divisor=10),
    Word("tilt_angle_y_orientation", "°", zero=32768, divisor=10),
    Word("precipitation_electrical_conductivity", "µS/cm", zero=32768),
)


def _atm41g2_words(fields: Mapping[str, Any]) -> Sequence[Any]:
    total = nearest(fields["cumulative_precipitation"] * 1000)
    return [*(w.word(fields[w.name]) for w in _ATM41G2_WORDS), total % 65536, total // 65536]


def _frequency_hz(words: Sequence[int]) -> float | None:
    return words[0] / words[1] * 32768 if words[1] else None


_FREQUENCY = Derived("frequency", "Hz", "w0 ÷ w1 × 32768", _frequency_hz)


def _frequency_words(frequency_hz: Any) -> Sequence[Any]:
    counted = nearest(frequency_hz * 32767 / 32768)
    return [counted, 32767, counted]


def _scale(f0_squared: int, factor: float, tare_g: int) -> Group:
    """A scale with its calibration: weight [g] = (frequency² − f0²) × factor + tare."""

    def weight_g(words: Sequence[int]) -> float | None:
        frequency = _frequency_hz(words)
        return None if frequency is None else (frequency**2 - f0_squared) * factor + tare_g

    def words_of(fields: Mapping[str, Any]) -> Sequence[Any]:
        if "frequency" in fields:
            return _frequency_words(fields["frequency"])
        return _frequency_words(np.sqrt(np.maximum((fields["weight"] - tare_g) / factor + f0_squared, 0)))

    formula = f"(frequency² − {f0_squared}) × {factor:g} + {tare_g}"
    return Group((), (_FREQUENCY, Derived("weight", "g", formula, weight_g)), length=3, encode=words_of)


_SCALE_NAME = re.compile(r"decentlab/dl-dws-(\d{1,12})-(\d{1,12})-(-?\d{1,9})", re.ASCII)


@lru_cache(maxsize=1024)
def scale_codec(name: str) -> Codec | None:
    """The codec of one scale: its calibration is its own and stands in the name, as in the vendor's model names.

    `decentlab/dl-dws-<f0²>-<factor × 10⁹>-<tare [g]>`; None for any other name.

    Examples
    --------
    >>> scale_codec("decentlab/dl-dws-232263168-302459-1370").title
    'DL-DWS: vibrating-wire scale, f0² 232263168 Hz², factor 0.000302459 g/Hz², tare 1370 g'
    """
    match = _SCALE_NAME.fullmatch(name)
    if match is None or int(match[2]) == 0:
        return None
    f0_squared, factor, tare_g = int(match[1]), int(match[2]) / 1e9, int(match[3])
    title = f"DL-DWS: vibrating-wire scale, f0² {f0_squared} Hz², factor {factor:g} g/Hz², tare {tare_g} g"
    return DecentlabCodec(name.removeprefix("decentlab/"), title, (_scale(f0_squared, factor, tare_g), BATTERY))


_SOIL_DEPTHS = tuple(
    word
    for depth in range(8)
    for word in (
        Word(f"soil_moisture_at_depth_{depth}", "", zero=2500, divisor=500),
        Word(f"soil_temperature_at_depth_{depth}", "°C", zero=32768, divisor=100),
    )
)

CODECS = (
    DecentlabCodec(
        "dl-cws2",
        "DL-CWS2: non-contact surface temperature with air temperature, humidity and dew point",
        (
            Group(
                (
                    Word("air_temperature_radiation_shield", "°C", multiplier=175, divisor=65535, offset=-45),
                    Word("air_humidity_radiation_shield", "%", multiplier=100, divisor=65535),
                )
            ),
            Group(
                (
                    Word("surface_temperature", "°C", zero=32768, divisor=100),
                    Word("air_temperature", "°C", zero=32768, divisor=100),
                    Word("air_humidity", "%", divisor=100, zero=32768),
                    Word("dew_point", "°C", zero=32768, divisor=100),
                    Word("angle", "°", zero=32768),
                    Word("sensor_temperature", "°C", zero=32768, divisor=100),
                )
            ),
            BATTERY,
        ),
        (
            Example("winter night", 1, "02000100073d70e1477e007ed4a2607e2a80287ede0c1c"),
            Example("battery only", 1, "02000100040bb8"),
        ),
    ),
    DecentlabCodec(
        "dl-smtp",
        "DL-SMTP: soil moisture and temperature at eight depths",
        (Group(_SOIL_DEPTHS), BATTERY),
        (Example("probe with six depths", 1, "0200020003" + "119483e8" * 6 + "00000000" * 2 + "0bb8"),),
    ),
    DecentlabCodec(
        "dl-ctd10",
        "DL-CTD10: water depth, temperature and conductivity",
        (
            Group(
                (
                    Word("water_depth", "mm", zero=32768),
                    Word("temperature", "°C", zero=32768, divisor=10),
                    Word("electrical_conductivity", "µS/cm"),
                    Word("freezing_flag"),
                )
            ),
            BATTERY,
        ),
        (Example("full ditch", 1, "020003000381f48032019000000c80"),),
    ),
    DecentlabCodec(
        "dl-alb",
        "DL-ALB: incoming and reflected radiation",
        (
            Group(
                (
                    Word("incoming_radiation", "W/m²", zero=32768, divisor=10),
                    Word("reflected_radiation", "W/m²", zero=32768, divisor=10),
                ),
                (Derived("albedo", "", "reflected ÷ incoming; none when nothing comes in", _albedo),),
                encode=lambda fields: [
                    32768 + nearest(fields["incoming_radiation"] * 10),
                    32768 + nearest(fields["reflected_radiation"] * 10),
                ],
            ),
            BATTERY,
        ),
        (Example("snow at noon", 1, "02000400038fa08c800c1c"), Example("night", 1, "0200040003800080000c1c")),
    ),
    DecentlabCodec(
        "dl-atm41g2",
        "DL-ATM41G2: weather station",
        (
            Group(
                _ATM41G2_WORDS,
                (Derived("cumulative_precipitation", "mm", "(w15 + w16 × 65536) ÷ 1000", _rain_total_mm),),
                length=17,
                encode=_atm41g2_words,
            ),
            BATTERY,
        ),
        (
            Example(
                "rain",
                1,
                "0200050003806407d08000800080c88898812c80328050a7108384803c80057ffb8014138800010ce4",
            ),
        ),
    ),
    DecentlabCodec(
        "dl-dws",
        "DL-DWS: vibrating-wire scale; its weight needs its calibration",
        (Group((), (_FREQUENCY,), length=3, encode=lambda fields: _frequency_words(fields["frequency"])), BATTERY),
        (Example("loaded", 1, "02000600033c287fff3c280c60"),),
    ),
)
