"""ELSYS: items of a type and a big-endian value; port 5 unless the operator changed it. One table for all models."""

from ingest.codecs.codec import Example
from ingest.codecs.layout import Layout, Part, Skip, Value
from ingest.codecs.tlv import Item, TlvCodec


def _item(kind: int, *parts: Part, repeats: bool = False) -> Item:
    return Item(bytes((kind,)), Layout("big", *parts), repeats=repeats)


def _celsius(name: str) -> Value:
    return Value(name, signed=True, divisor=10, unit="°C")


ITEMS = (
    _item(0x01, _celsius("temperature")),
    _item(0x02, Value("humidity", 1, unit="%")),
    _item(0x03, *(Value(axis, 1, signed=True, unit="g/63") for axis in "xyz")),
    _item(0x04, Value("light", unit="lux")),
    _item(0x05, Value("motion", 1)),
    _item(0x06, Value("co2", unit="ppm")),
    _item(0x07, Value("vdd", unit="mV")),
    _item(0x08, Value("analog1", unit="mV")),
    _item(0x09, Value("lat", 3), Value("long", 3)),
    _item(0x0A, Value("pulse1")),
    _item(0x0B, Value("pulseAbs", 4)),
    _item(0x0C, _celsius("externalTemperature")),
    _item(0x0D, Value("digital", 1)),
    _item(0x0E, Value("distance", unit="mm")),
    _item(0x0F, Value("accMotion", 1)),
    _item(0x10, _celsius("irInternalTemperature"), _celsius("irExternalTemperature")),
    _item(0x11, Value("occupancy", 1)),
    _item(0x12, Value("waterleak", 1)),
    _item(0x13, Skip(65, "a thermal image of 8 × 8 points")),
    _item(0x14, Value("pressure", 4, signed=True, divisor=1000, unit="hPa")),
    _item(0x15, Value("soundPeak", 1, unit="dB"), Value("soundAvg", 1, unit="dB")),
    _item(0x16, Value("pulse2")),
    _item(0x17, Value("pulseAbs2", 4)),
    _item(0x18, Value("analog2", unit="mV")),
    _item(0x19, _celsius("externalTemperature2"), repeats=True),
    _item(0x1A, Value("digital2", 1)),
    _item(0x1B, Value("analogUv", 4, signed=True, unit="µV")),
    _item(0x1C, Value("tvoc", unit="ppb")),
    _item(0x3D, Skip(4, "for the vendor's own debugging")),
)

CODECS = tuple(
    TlvCodec(f"elsys/{model}", title, ITEMS, default_port=5, examples=examples)
    for model, title, examples in (
        (
            "ers",
            "ERS: temperature, humidity, light and motion",
            (Example("cold morning", 5, "01ffce025c0400c80500070e10"), Example("battery only", 5, "070e10")),
        ),
        (
            "elt-ultrasonic",
            "ELT-Ultrasonic: distance, with temperature, humidity, acceleration and pressure",
            (Example("gully", 5, "01001e02500e05dc14000f4240"),),
        ),
        (
            "elt-2",
            "ELT-2: external probes (temperature, pulses, distance, analogue)",
            (Example("two probes on one cable", 5, "0cffe219001419ff9c"),),
        ),
    )
)
