"""Tektelic asset trackers: items of two header bytes and a big-endian value, port 10. Fields of a group are nested."""

from ingest.codecs.codec import Example
from ingest.codecs.layout import Bits, Layout, Slice, Value
from ingest.codecs.tlv import Item, TlvCodec

_BATTERY = Bits(
    (
        Slice(0, 7, {raw: ("battery_life", round(2.5 + raw / 100, 2)) for raw in range(128)}, tolerance=0.005),
        Slice(7, 1, {0: ("eos_alert", 0), 1: ("eos_alert", 1)}),
    )
)

CODECS = (
    TlvCodec(
        "tektelic/t000594x",
        "T000594x: asset tracker with acceleration",
        (
            Item(b"\x00\xba", Layout("big", _BATTERY), group="battery_status"),
            Item(b"\x00\x00", Layout("big", Value("accel_alarm_status", 1))),
            Item(b"\x00\x67", Layout("big", Value("temperature", signed=True, divisor=10, unit="°C"))),
            Item(b"\x04\x68", Layout("big", Value("relative_humidity", 1, divisor=2, unit="%"))),
            Item(
                b"\x00\x71",
                Layout("big", *(Value(axis, signed=True, divisor=1000, unit="g") for axis in "xyz")),
                group="acceleration",
            ),
        ),
        default_port=10,
        ports=frozenset((10,)),
        examples=(Example("at rest", 10, "00710000ffec03e8"), Example("battery and temperature", 10, "00ba6e0067ffec")),
    ),
)
