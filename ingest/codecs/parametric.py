"""Parametric TCR: radar traffic counter, big-endian; measurements on port 15, the configuration on port 190.

`be 02`, payload version, battery (version 1 u8 %, version 2 u16 mV), solar power u16 mW, device temperature i16 0.1 °C,
then for up to four speed classes: left count u16, left mean u8 km/h, right count u16, right mean u8 km/h. Which speeds
a class takes, only the configuration says, which the device sends once after it joined.
"""

from collections.abc import Mapping

import numpy as np

from ingest.codecs.codec import Codec, Column, Example, FieldDoc, Fields, Frame, number_of, row_count, rows_of
from ingest.codecs.layout import Layout, Value, unknown_fields
from roadtwin.errors import CodecError

_CLASSES = 4
_HEAD = {
    1: Layout(
        "big",
        Value("solar_battery", 1, unit="%"),
        Value("solar_panel_power", unit="mW"),
        Value("temperature", signed=True, divisor=10, unit="°C"),
    ),
    2: Layout(
        "big",
        Value("solar_battery_volt", divisor=1000, unit="V"),
        Value("solar_panel_power", unit="mW"),
        Value("temperature", signed=True, divisor=10, unit="°C"),
    ),
}


def _counts(number: int) -> Layout:
    return Layout(
        "big",
        Value(f"left_count_class{number}"),
        Value(f"left_avg_class{number}", 1, unit="km/h"),
        Value(f"right_count_class{number}"),
        Value(f"right_avg_class{number}", 1, unit="km/h"),
    )


_COUNTS = tuple(_counts(number) for number in range(_CLASSES))
_CONFIG = Layout(
    "big",
    Value("firmware", 3),
    Value("operating_mode", 1, texts={0: "timespan", 1: "trigger"}),
    Value("device_class", 1, texts={0: "a", 1: "b", 2: "c"}),
    Value("uplink_type", 1, texts={0: "unconfirmed", 1: "confirmed"}),
    Value("uplink_intervall", unit="min"),
    Value("link_check_intervall", unit="min"),
    Value("hold_off_time", unit="s"),
    Value("radar_sensitivity", 1, unit="%"),
    Value("ltr_lane_distance", 1),
    Value("rtl_lane_distance", 1),
    *(Value(f"speed_class{n}_{end}", 1, unit="km/h") for n in range(_CLASSES) for end in ("start", "end")),
)
_TYPES = {1: ("tcr", "tcr_s"), 2: ("tcr_ls", "tcr_lss", "tcr_hs", "tcr_hss")}


class Tcr(Codec):
    """Counts are those since the last uplink; `left_count`, `right_count` and their means are over all classes."""

    name = "parametric/tcr"
    title = "TCR: radar traffic counter"
    family = "parametric"
    default_port = 15
    ports = frozenset((15, 190))
    examples = (
        Example("rush hour, version 2", 15, "be02020fa001f400fa000a1e00081c00282d002a2f000537000441"),
        Example("one class, version 1", 15, "be02015a0000ffce000c22000b23"),
        Example("configuration", 190, "be020200020100000000000f05a000005a0000011e1f323346477f"),
    )

    def _decode(self, f_port: int, payload: bytes) -> tuple[Frame, ...]:
        if payload[:2] != b"\xbe\x02" or len(payload) < 4 or payload[2] not in _HEAD:
            raise CodecError(f"{self.name}: got {payload[:3].hex(' ')} first, expected be 02 and version 01 or 02.")
        version = payload[2]
        return (Frame(self._config(version, payload) if f_port == 190 else self._measured(version, payload)),)

    def _measured(self, version: int, payload: bytes) -> Fields:
        head = _HEAD[version]
        at = 3 + head.size
        classes, rest = divmod(len(payload) - at, _COUNTS[0].size)
        if rest or not 0 <= classes <= _CLASSES:
            raise CodecError(f"{self.name}: got {len(payload)} bytes, expected {at} and 6 for each of 0 to 4 classes.")
        fields = head.read(payload, 3)
        for number in range(classes):
            fields |= _COUNTS[number].read(payload, at + number * _COUNTS[number].size)
        for side in ("left", "right"):
            counts = [number_of(self.name, fields, f"{side}_count_class{n}") for n in range(classes)]
            means = [number_of(self.name, fields, f"{side}_avg_class{n}") for n in range(classes)]
            total = sum(counts)
            fields[f"{side}_count"] = total
            fields[f"{side}_avg"] = sum(c * m for c, m in zip(counts, means, strict=True)) / total if total else 0
        return fields

    def _config(self, version: int, payload: bytes) -> Fields:
        if len(payload) != 4 + _CONFIG.size:
            raise CodecError(f"{self.name}: got {len(payload)} bytes on port 190, expected {4 + _CONFIG.size}.")
        types = _TYPES[version]
        fields: Fields = {"device_type": types[payload[3]] if payload[3] < len(types) else "unknown"}
        fields |= _CONFIG.read(payload, 4)
        for unused in ("firmware", "ltr_lane_distance", "rtl_lane_distance"):
            del fields[unused]
        return {**fields, "firmware_version": f"V{payload[4]}.{payload[5]}.{payload[6]}"}

    def encode(self, fields: Mapping[str, object]) -> tuple[int, bytes]:
        """Measurements: version 1 with `solar_battery`, 2 with `solar_battery_volt`; totals are not sent."""
        version, layouts = self._layouts(fields)
        payload = b"\xbe\x02" + bytes((version,))
        return self.default_port, payload + b"".join(layout.write(self.name, fields) for layout in layouts)

    def encode_many(self, columns: Mapping[str, Column]) -> tuple[int, list[bytes]]:
        """As `encode`, all frames at once."""
        version, layouts = self._layouts(columns)
        rows = row_count(self.name, columns)
        head = np.broadcast_to(np.array([0xBE, 0x02, version], np.uint8), (rows, 3))
        parts = [layout.write_many(self.name, columns, rows) for layout in layouts]
        return self.default_port, rows_of(np.concatenate([head, *parts], axis=1))

    def _layouts(self, fields: Mapping[str, object]) -> tuple[int, list[Layout]]:
        """Version, and what follows it."""
        version = 1 if "solar_battery" in fields else 2
        totals = {f"{side}_{what}" for side in ("left", "right") for what in ("count", "avg")}
        unknown_fields(self.name, fields, {*_HEAD[version].names, *totals}.union(*(c.names for c in _COUNTS)))
        return version, [_HEAD[version], *(counts for counts in _COUNTS if set(counts.names) & set(fields))]

    def field_docs(self) -> tuple[FieldDoc, ...]:
        """Measurements, then the configuration."""
        docs = [d for v, head in _HEAD.items() for d in head.docs(f"port 15, version {v}")]
        docs += [doc for counts in _COUNTS for doc in counts.docs("port 15")]
        docs += [
            FieldDoc("port 15", "left_count, right_count", "", "sum over the classes"),
            FieldDoc("port 15", "left_avg, right_avg", "km/h", "mean over the vehicles of all classes; 0 without any"),
            FieldDoc(
                "port 190", "device_type", "", "version 1: tcr, tcr_s; version 2: tcr_ls, tcr_lss, tcr_hs, tcr_hss"
            ),
            FieldDoc("port 190", "firmware_version", "", "three bytes"),
        ]
        unused = ("firmware", "ltr_lane_distance", "rtl_lane_distance")
        return (*docs, *(d for d in _CONFIG.docs("port 190") if d.name not in unused))


CODECS = (Tcr(),)
