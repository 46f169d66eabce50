"""Digital Matter Oyster: position of a vehicle or an asset, little-endian; port 1 in full, port 4 in short form."""

from collections.abc import Mapping

from ingest.codecs.codec import Codec, Example, FieldDoc, Fields, Frame, number_of
from ingest.codecs.layout import Layout, Value
from roadtwin.errors import CodecError

_FULL = Layout(
    "little",
    Value("latitudeDeg", 4, True, 10_000_000, "°"),
    Value("longitudeDeg", 4, True, 10_000_000, "°"),
    Value("status", 1),
    Value("speedKmph", 1, unit="km/h"),
    Value("batV", 1, divisor=40, unit="V"),
)
_POSITION = ("latitudeDeg", "longitudeDeg", "headingDeg", "speedKmph")


class Oyster(Codec):
    """Without a fix the last known position is in the table `cached`, so that nobody takes it for the current one."""

    name = "digital-matter/oyster"
    title = "Oyster: position and speed"
    family = "digital-matter"
    default_port = 1
    ports = frozenset((1, 4))
    examples = (
        Example("driving", 1, "0020bc1d8002e9074132c8"),
        Example("no fix", 1, "0020bc1d8002e9070200c8"),
        Example("short form, parked", 4, "20bc1d02e90700c800"),
    )

    def _decode(self, f_port: int, payload: bytes) -> tuple[Frame, ...]:
        size = _FULL.size if f_port == 1 else 9
        if len(payload) != size:
            raise CodecError(f"{self.name}: got {len(payload)} bytes on port {f_port}, expected {size}.")
        fields: Fields = {"type": "position"}
        if f_port == 1:
            raw = _FULL.read(payload)
            status = payload[8]
            position = {k: raw[k] for k in ("latitudeDeg", "longitudeDeg", "speedKmph")}
            position["headingDeg"] = (status >> 2) * 5.625
            fields |= {"manDown": None, "batV": raw["batV"]}
        else:
            status = payload[8]
            position = {
                "latitudeDeg": int.from_bytes(payload[0:3], "little", signed=True) * 256 / 10_000_000,
                "longitudeDeg": int.from_bytes(payload[3:6], "little", signed=True) * 256 / 10_000_000,
                "headingDeg": (payload[6] & 7) * 45,
                "speedKmph": (payload[6] >> 3) * 5,
            }
            fields |= {"manDown": bool(status & 4), "batV": payload[7] / 40}
        fields |= {"inTrip": bool(status & 1), "fixFailed": bool(status & 2)}
        return (Frame({**fields, "cached": position} if status & 2 else {**fields, **position}),)

    def encode(self, fields: Mapping[str, object]) -> tuple[int, bytes]:
        """The full form, port 1."""
        cached = fields.get("cached")
        position = cached if isinstance(cached, Mapping) else fields
        heading = round(number_of(self.name, position, "headingDeg") / 5.625)
        if not 0 <= heading < 64:
            raise CodecError(f"{self.name}: got headingDeg {position['headingDeg']!r}, expected 0 to 354.375.")
        status = heading << 2 | bool(fields.get("fixFailed")) << 1 | bool(fields.get("inTrip"))
        own = {**{name: position.get(name) for name in _POSITION}, "status": status, "batV": fields.get("batV")}
        return self.default_port, _FULL.write(self.name, own)

    def field_docs(self) -> tuple[FieldDoc, ...]:
        """Both forms."""
        return (
            *(doc for doc in _FULL.docs("port 1") if doc.name != "status"),
            FieldDoc("port 1", "headingDeg", "°", "byte 8 >> 2 × 5.625"),
            FieldDoc("port 4", "latitudeDeg, longitudeDeg", "°", "i24 × 256 ÷ 10000000"),
            FieldDoc("port 4", "headingDeg", "°", "byte 6 & 7 × 45"),
            FieldDoc("port 4", "speedKmph", "km/h", "byte 6 >> 3 × 5"),
            FieldDoc("port 4", "batV", "V", "byte 7 ÷ 40"),
            FieldDoc(
                "both", "inTrip, fixFailed", "", "byte 8, bits 0 and 1; with fixFailed the position is in `cached`"
            ),
            FieldDoc("both", "manDown", "", "port 4: byte 8, bit 2; port 1: null"),
        )


CODECS = (Oyster(),)
