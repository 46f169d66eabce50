"""Dragino: fixed big-endian layouts on port 2. The battery is the low 14 bits of the first word [mV]."""

from collections.abc import Mapping

import numpy as np

from ingest.codecs.codec import Codec, Column, Example, FieldDoc, Frame, number_of, row_count, rows_of
from ingest.codecs.layout import Layout, Skip, Value, unknown_fields
from roadtwin.errors import CodecError

_BATTERY = Value("Bat", divisor=1000, unit="V", mask=0x3FFF)
_PROBE = Value("TempC_DS18B20", signed=True, divisor=10, unit="°C")
NO_SENSOR, INVALID = "No Sensor", "Invalid Reading"
_BLIND_MM = 20
"""Below this the ultrasonic probe heard nothing [mm]."""


class Lse01(Codec):
    """Soil moisture, temperature and conductivity. The vendor writes some numbers as texts; here they are numbers."""

    name = "dragino/lse01"
    title = "LSE01: soil moisture, temperature and conductivity"
    family = "dragino"
    default_port = 2
    ports = frozenset((2,))
    examples = (Example("frozen soil", 2, "0e1000000898ff9c001610"),)
    layout = Layout(
        "big",
        _BATTERY,
        _PROBE,
        Value("water_SOIL", divisor=100, unit="%"),
        Value("temp_SOIL", signed=True, divisor=100, unit="°C"),
        Value("conduct_SOIL", unit="µS/cm"),
        Skip(1, "operating mode"),
    )

    def _decode(self, _f_port: int, payload: bytes) -> tuple[Frame, ...]:
        if len(payload) != self.layout.size:
            raise CodecError(f"{self.name}: got {len(payload)} bytes, expected {self.layout.size}.")
        return (Frame(self.layout.read(payload)),)

    def encode(self, fields: Mapping[str, object]) -> tuple[int, bytes]:
        """All fields are needed; without a probe on the cable the device sends TempC_DS18B20 0."""
        unknown_fields(self.name, fields, self.layout.names)
        return self.default_port, self.layout.write(self.name, {"TempC_DS18B20": 0, **fields})

    def encode_many(self, columns: Mapping[str, Column]) -> tuple[int, list[bytes]]:
        """As `encode`, all frames at once."""
        unknown_fields(self.name, columns, self.layout.names)
        rows = row_count(self.name, columns)
        given = {"TempC_DS18B20": np.zeros(rows), **columns}
        return self.default_port, rows_of(self.layout.write_many(self.name, given, rows))

    def field_docs(self) -> tuple[FieldDoc, ...]:
        """By bytes."""
        return tuple(self.layout.docs("port 2"))


class Ldds75(Codec):
    """Ultrasonic distance; LDDS75 and DDS75-LB.

    4 bytes: no probe is connected. 5 bytes: battery, distance, interrupt. 8 bytes (later firmware): the same, a
    temperature probe and whether the ultrasonic probe is there. Without a distance, `distance` is a text in the first
    two forms and 0 in the last, as the vendor has it.
    """

    name = "dragino/ldds75"
    title = "LDDS75 and DDS75-LB: ultrasonic distance"
    family = "dragino"
    default_port = 2
    ports = frozenset((2,))
    examples = (
        Example("ditch", 2, "0d48057800"),
        Example("later firmware", 2, "0d48057800ffce01"),
        Example("no probe", 2, "0d480000"),
        Example("nothing heard", 2, "0d48000a00"),
    )
    _short = Layout("big", _BATTERY, Value("distance", unit="mm"))
    _tail = Layout("big", Value("Interrupt_flag", 1))
    _long_tail = Layout("big", Value("Interrupt_flag", 1), _PROBE, Value("Sensor_flag", 1))

    def _decode(self, _f_port: int, payload: bytes) -> tuple[Frame, ...]:
        if len(payload) not in (4, 5, 8):
            raise CodecError(f"{self.name}: got {len(payload)} bytes, expected 4, 5 or 8.")
        fields = self._short.read(payload)
        if len(payload) > 4:
            fields |= (self._long_tail if len(payload) == 8 else self._tail).read(payload, 4)
        distance_mm = fields["distance"]
        if len(payload) == 4:
            fields["distance"] = NO_SENSOR
        elif len(payload) == 5 and isinstance(distance_mm, int) and distance_mm < _BLIND_MM:
            fields["distance"] = INVALID
        return (Frame(fields),)

    def encode(self, fields: Mapping[str, object]) -> tuple[int, bytes]:
        """`distance` "No Sensor" gives 4 bytes, a temperature 8, else 5."""
        unknown_fields(self.name, fields, (*self._short.names, *self._long_tail.names))
        own = {"Interrupt_flag": 0, "Sensor_flag": 1, **fields}
        if fields.get("distance") in (NO_SENSOR, INVALID):
            own["distance"] = 0
        elif number_of(self.name, fields, "distance") < _BLIND_MM and "TempC_DS18B20" not in fields:
            raise CodecError(f"{self.name}: got distance {fields['distance']}, expected at least {_BLIND_MM} mm.")
        payload = self._short.write(self.name, own)
        if fields.get("distance") == NO_SENSOR:
            return self.default_port, payload
        tail = self._long_tail if "TempC_DS18B20" in fields else self._tail
        return self.default_port, payload + tail.write(self.name, own)

    def field_docs(self) -> tuple[FieldDoc, ...]:
        """By bytes."""
        texts = FieldDoc("port 2", "distance", "", f'4 bytes "{NO_SENSOR}"; 5 bytes below {_BLIND_MM} mm "{INVALID}"')
        return (*self._short.docs("port 2"), texts, *self._long_tail.docs("port 2, later firmware"))


CODECS = (Lse01(), Ldds75())
