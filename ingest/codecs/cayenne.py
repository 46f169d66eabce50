"""Cayenne LPP: items of channel, type and big-endian value; a type is its IPSO object less 3200.

Fields are nested by channel, `ch3` → `temperature`. What a channel measures, only the operator of the device knows:
there is no built-in sensor profile. The extended types are those of common libraries, not of the specification.
"""

from collections.abc import Mapping

from ingest.codecs.codec import Codec, Example, FieldDoc, Fields, Frame
from ingest.codecs.layout import Layout, Value
from ingest.codecs.tlv import UNDECODED
from roadtwin.errors import CodecError


def _one(name: str, size: int, divisor: int = 1, unit: str = "", *, signed: bool = False) -> Layout:
    return Layout("big", Value(name, size, signed, divisor, unit))


def _axes(divisor: int, unit: str) -> Layout:
    return Layout("big", *(Value(axis, 2, True, divisor, unit) for axis in "xyz"))


TYPES: dict[int, tuple[str, Layout]] = {
    0: ("digital_input", _one("digital_input", 1)),
    1: ("digital_output", _one("digital_output", 1)),
    2: ("analog_input", _one("analog_input", 2, 100, signed=True)),
    3: ("analog_output", _one("analog_output", 2, 100, signed=True)),
    100: ("generic_sensor", _one("generic_sensor", 4)),
    101: ("illuminance", _one("illuminance", 2, unit="lux")),
    102: ("presence", _one("presence", 1)),
    103: ("temperature", _one("temperature", 2, 10, "°C", signed=True)),
    104: ("humidity", _one("humidity", 1, 2, "%")),
    113: ("accelerometer", _axes(1000, "g")),
    115: ("barometer", _one("barometer", 2, 10, "hPa")),
    116: ("voltage", _one("voltage", 2, 100, "V")),
    117: ("current", _one("current", 2, 1000, "A")),
    118: ("frequency", _one("frequency", 4, unit="Hz")),
    120: ("percentage", _one("percentage", 1, unit="%")),
    121: ("altitude", _one("altitude", 2, unit="m", signed=True)),
    125: ("concentration", _one("concentration", 2, unit="ppm")),
    128: ("power", _one("power", 2, unit="W")),
    130: ("distance", _one("distance", 4, 1000, "m")),
    131: ("energy", _one("energy", 4, 1000, "kWh")),
    132: ("direction", _one("direction", 2, unit="°")),
    133: ("unixtime", _one("unixtime", 4, unit="s")),
    134: ("gyrometer", _axes(100, "°/s")),
    135: ("colour", Layout("big", Value("r", 1), Value("g", 1), Value("b", 1))),
    136: (
        "gps",
        Layout(
            "big",
            Value("latitude", 3, True, 10_000, "°"),
            Value("longitude", 3, True, 10_000, "°"),
            Value("altitude", 3, True, 100, "m"),
        ),
    ),
    142: ("switch", _one("switch", 1)),
}
_NESTED = {"accelerometer", "gyrometer", "gps", "colour"}
_BY_NAME = {name: (kind, layout) for kind, (name, layout) in TYPES.items()}
MAX_CHANNELS = 256


class CayenneCodec(Codec):
    """Any device that sends Cayenne LPP; dynamic payloads, so the port says nothing."""

    name = "cayenne-lpp"
    title = "Cayenne LPP: any device of this format"
    family = "cayenne-lpp"
    default_port = 1
    examples = (
        Example("two temperatures and a humidity", 1, "0167ffce026700fa036878"),
        Example("acceleration", 1, "0171ffec000003e8"),
    )

    def _decode(self, _f_port: int, payload: bytes) -> tuple[Frame, ...]:
        fields: Fields = {}
        at = 0
        while at < len(payload):
            known = TYPES.get(payload[at + 1]) if at + 1 < len(payload) else None
            if known is None:
                if at == 0:
                    raise CodecError(
                        f"{self.name}: got {payload[:2].hex(' ')} first, expected a channel and a known type."
                    )
                fields[UNDECODED] = payload[at:].hex()
                break
            name, layout = known
            channel = f"ch{payload[at]}"
            at += 2
            if at + layout.size > len(payload):
                raise CodecError(f"{self.name}: got {len(payload) - at} bytes of {name}, expected {layout.size}.")
            table = fields.setdefault(channel, {})
            assert isinstance(table, dict)
            read = layout.read(payload, at)
            table.update({name: read} if name in _NESTED else read)
            at += layout.size
        return (Frame(fields),)

    def encode(self, fields: Mapping[str, object]) -> tuple[int, bytes]:
        """`{"ch3": {"temperature": 27.2}}`; items in the order of the fields."""
        payload = b""
        for channel, table in fields.items():
            number = channel.removeprefix("ch")
            if not (
                number.isdecimal() and number.isascii() and int(number) < MAX_CHANNELS and isinstance(table, Mapping)
            ):
                raise CodecError(f"{self.name}: got {channel!r}, expected ch0 to ch255, each with a table.")
            for name, value in table.items():
                if name not in _BY_NAME:
                    raise CodecError(f"{self.name}: got {name!r}, expected one of {', '.join(_BY_NAME)}.")
                kind, layout = _BY_NAME[name]
                own = value if name in _NESTED and isinstance(value, Mapping) else {name: value}
                payload += bytes((int(number), kind)) + layout.write(self.name, own)
        return self.default_port, payload

    def field_docs(self) -> tuple[FieldDoc, ...]:
        """One line for each type's field."""
        docs = []
        for kind, (name, layout) in TYPES.items():
            for doc in layout.docs(f"type {kind}"):
                path = f"chN.{name}.{doc.name}" if name in _NESTED else f"chN.{name}"
                docs.append(FieldDoc(doc.where, path, doc.unit, doc.formula))
        return tuple(docs)


CODECS = (CayenneCodec(),)
