"""Milesight: items of channel id, type and little-endian value; port 85 unless the operator changed it.

The type numbers look like Cayenne LPP's, the byte order is the opposite: the codec is chosen by profile, never guessed.
Channel numbers with the high bit set are alarms: the same value and what the alarm is. History items carry their own
time. A temperature of −0.1 °C is ff ff, so no mark of a fault is read from temperatures.
"""

from ingest.codecs.codec import Example
from ingest.codecs.layout import Bits, Layout, Part, Skip, Slice, Value
from ingest.codecs.tlv import Item, TlvCodec

_FAULTS = {0xFFFF: "collection failed", 0xFFFD: "out of range"}


def _item(channel: int, kind: int, *parts: Part, history: bool = False) -> Item:
    return Item(bytes((channel, kind)), Layout("little", *parts), history=history)


def _about(kind: int, part: Value) -> Item:
    return Item(bytes((0xFF, kind)), Layout("big", part))


ATTRIBUTES = (
    _about(0x01, Value("ipso_version", 1, render=lambda raw: f"v{raw >> 4}.{raw & 15}")),
    _about(0x09, Value("hardware_version", render=lambda raw: f"v{raw >> 8:x}.{(raw & 0xFF) >> 4}")),
    _about(0x0A, Value("firmware_version", render=lambda raw: f"v{raw >> 8:x}.{raw & 0xFF:x}")),
    _about(0xFF, Value("tsl_version", render=lambda raw: f"v{raw >> 8}.{raw & 0xFF}")),
    _about(0x16, Value("sn", 8, render=lambda raw: f"{raw:016x}")),
    _about(0x0F, Value("lorawan_class", 1, texts={0: "Class A", 1: "Class B", 2: "Class C", 3: "Class CtoB"})),
    _about(0xFE, Value("reset_event", 1, render=lambda _: "reset")),
    _about(0x0B, Value("device_status", 1, render=lambda _: "on")),
)
"""What every device says of itself after a join."""
BATTERY = _item(0x01, 0x75, Value("battery", 1, unit="%"))
TIME = Value("timestamp", 4, unit="s")
TEMPERATURE = Value("temperature", signed=True, divisor=10, unit="°C")
DISTANCE = Value("distance", unit="mm")
_ALARM_UNDERSCORED = {0: "threshold_alarm_release", 1: "threshold_alarm"}
_ALARM_SPACED = {0: "threshold alarm release", 1: "threshold alarm"}
_MUTATION = Value("temperature_mutation", signed=True, divisor=10, unit="°C")
_ANGLES = tuple(
    Value(f"{kind}_angle_{axis}", 1, signed=True, unit="°") for kind in ("initial", "inclination") for axis in "xyz"
)
_MOISTURE = Value("moisture", divisor=100, unit="%", faults=_FAULTS)
_EC = Value("ec", unit="µS/cm", faults=_FAULTS)


def _positions(name: str) -> Value:
    return Value(name, 1, texts={0: "normal", 1: "tilt"})


def _microdegrees(name: str) -> Value:
    return Value(name, 4, signed=True, divisor=1_000_000, unit="°")


def _rain(size: int) -> Value:
    return Value("rainfall_total", size, divisor=100, unit="mm")


_AT101_STATUS = Bits(
    (
        Slice(
            0,
            4,
            {
                0: ("motion_status", "unknown"),
                1: ("motion_status", "start"),
                2: ("motion_status", "moving"),
                3: ("motion_status", "stop"),
                4: ("tilt_status", "normal"),
                5: ("tilt_status", "tilt"),
            },
            ("motion_status", "unknown"),
        ),
        Slice(
            4,
            4,
            {i: ("geofence_status", text) for i, text in enumerate(("inside", "outside", "unset", "unknown"))},
            ("geofence_status", "unknown"),
        ),
    )
)
_WIND_DIRECTION = Value("wind_direction", signed=True, divisor=10, unit="°")
_PRESSURE = Value("pressure", divisor=10, unit="hPa")
_WIND_SPEED = Value("wind_speed", divisor=10, unit="m/s")
_HUMIDITY = Value("humidity", 1, divisor=2, unit="%")
_RAIN_COUNTER = Value("rainfall_counter", 1)


def _wts_history(channel: int, rain_bytes: int) -> Item:
    return _item(
        channel,
        0xCE,
        *(TIME, TEMPERATURE, _HUMIDITY, _PRESSURE, _WIND_DIRECTION, _WIND_SPEED, _rain(rain_bytes)),
        history=True,
    )


def _device(model: str, title: str, items: tuple[Item, ...], *examples: Example) -> TlvCodec:
    return TlvCodec(f"milesight/{model}", title, (BATTERY, *items, *ATTRIBUTES), default_port=85, examples=examples)


CODECS = (
    _device(
        "em500-smtc",
        "EM500-SMTC: soil moisture, temperature and conductivity",
        (
            _item(0x03, 0x67, TEMPERATURE),
            _item(0x04, 0xCA, _MOISTURE),
            _item(0x04, 0x68, Value("moisture", 1, divisor=2, unit="%")),
            _item(0x05, 0x7F, _EC),
            _item(
                0x83,
                0xD7,
                TEMPERATURE,
                _MUTATION,
                Value("temperature_alarm", 1, texts={**_ALARM_SPACED, 2: "mutation alarm"}),
            ),
            _item(0x20, 0xCE, TIME, _EC, TEMPERATURE, _MOISTURE, history=True),
        ),
        Example("wet subgrade, fine moisture", 85, "0175630367230004cab80b057f2c01"),
        Example("battery only", 85, "01755f"),
        Example("a measurement sent later", 85, "20ce00a9e8692c0119000807"),
        Example("moisture cannot be read", 85, "0367190004caffff"),
    ),
    _device(
        "em310-tilt",
        "EM310-TILT: tilt in three axes",
        (
            _item(
                0x03,
                0xCF,
                *(Value(f"angle_{axis}", signed=True, divisor=100, unit="°") for axis in "xyz"),
                Bits(
                    tuple(
                        Slice(bit, 1, {0: (f"threshold_{axis}", "normal"), 1: (f"threshold_{axis}", "trigger")})
                        for bit, axis in enumerate("xyz")
                    )
                ),
            ),
        ),
        Example("leaning pole", 85, "01756203cf2c016aff1c2301"),
    ),
    _device(
        "em500-udl",
        "EM500-UDL: ultrasonic distance",
        (
            _item(0x03, 0x82, DISTANCE),
            _item(0x04, 0x00, _positions("position")),
            _item(
                0x83,
                0xE9,
                Value("distance", divisor=10, unit="mm"),
                Value("distance_mutation", divisor=10, unit="mm"),
                Value("distance_alarm", 1, texts={0: "normal", 1: "threshold_alarm", 2: "mutation_alarm"}),
            ),
            _item(0x20, 0xCE, TIME, DISTANCE, history=True),
        ),
        Example("level and one from before", 85, "0382dc0520ce00a9e869d005"),
    ),
    _device(
        "em400-mud",
        "EM400-MUD: distance, temperature and whether it was tilted",
        (
            _item(0x03, 0x67, TEMPERATURE),
            _item(0x04, 0x82, DISTANCE),
            _item(0x05, 0x00, _positions("position")),
            _item(0x83, 0x67, TEMPERATURE, Value("temperature_alarm", 1, texts=_ALARM_UNDERSCORED)),
            _item(0x84, 0x82, DISTANCE, Value("distance_alarm", 1, texts=_ALARM_UNDERSCORED)),
        ),
        Example("gully filling", 85, "017558036732000482f401050000"),
    ),
    _device(
        "em500-pt100",
        "EM500-PT100: temperature of a platinum probe",
        (
            _item(0x03, 0x67, TEMPERATURE),
            _item(
                0x83,
                0xD7,
                TEMPERATURE,
                _MUTATION,
                Value(
                    "temperature_alarm",
                    1,
                    texts={0: "threshold alarm", 1: "threshold alarm release", 2: "mutation alarm"},
                ),
            ),
            _item(0x20, 0xCE, TIME, TEMPERATURE, history=True),
        ),
        Example("frost", 85, "01755a0367c9ff"),
    ),
    _device(
        "wts506",
        "WTS506: weather station; one observation comes in two uplinks",
        (
            _item(0x03, 0x67, TEMPERATURE),
            _item(0x04, 0x68, _HUMIDITY),
            _item(0x05, 0x84, _WIND_DIRECTION),
            _item(0x06, 0x73, _PRESSURE),
            _item(0x07, 0x92, _WIND_SPEED),
            _item(0x08, 0xEC, _rain(4), _RAIN_COUNTER),
            _item(0x08, 0x77, _rain(2), _RAIN_COUNTER),
            _item(0x83, 0x67, TEMPERATURE, Value("temperature_alarm", 1, texts=_ALARM_SPACED)),
            _item(0x86, 0x73, _PRESSURE, Value("pressure_alarm", 1, texts=_ALARM_SPACED)),
            _item(0x87, 0x92, _WIND_SPEED, Value("wind_speed_alarm", 1, texts=_ALARM_SPACED)),
            _item(0x88, 0xEC, _rain(4), _RAIN_COUNTER, Value("rainfall_alarm", 1, texts=_ALARM_SPACED)),
            _wts_history(0x20, 2),
            _wts_history(0x21, 4),
        ),
        Example("rain from the west", 85, "0584960a067310270792320008ecd20400000c"),
        Example("history", 85, "21ce00a9e86932007d1027960a3200d2040000"),
    ),
    _device(
        "at101",
        "AT101: position of a vehicle or an asset",
        (
            _item(0x03, 0x67, TEMPERATURE),
            _item(0x83, 0x67, TEMPERATURE, Value("temperature_alarm", 1, texts={0: "normal", 1: "abnormal"})),
            _item(0x05, 0x00, _positions("position")),
            _item(0x04, 0x88, _microdegrees("latitude"), _microdegrees("longitude"), _AT101_STATUS),
            _item(0x84, 0x88, _microdegrees("latitude"), _microdegrees("longitude"), _AT101_STATUS),
            _item(0x06, 0xD9, Skip(9, "addresses of Wi-Fi routers, other people's data")),
            _item(0x07, 0x00, Value("tamper_status", 1, texts={0: "install", 1: "uninstall"})),
            _item(0x08, 0x9B, *_ANGLES),
            _item(0x20, 0xCE, TIME, _microdegrees("longitude"), _microdegrees("latitude"), *_ANGLES, history=True),
        ),
        Example("moving, history longitude first", 85, "048870630c03807e9d002220ce00a9e869807e9d0070630c03" + "00" * 6),
    ),
)
