"""Payload codecs that encode, as simulators need: round trips within the resolution, and what is refused."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import codecs

ONLY_DECODED = {
    ("parametric/tcr", "configuration"),
    ("digital-matter/oyster", "short form, parked"),
    ("milesight/em500-smtc", "a measurement sent later"),
    ("milesight/em500-smtc", "moisture cannot be read"),
    ("milesight/wts506", "history"),
}
"""Configurations, second forms, histories and faults: devices send them, simulators need not."""
EXAMPLES = [
    pytest.param(codec, example, id=f"{codec.name}: {example.title}")
    for codec in codecs.all_codecs()
    for example in codec.examples
    if (codec.name, example.title) not in ONLY_DECODED
]


@pytest.mark.parametrize(("codec", "example"), EXAMPLES)
def test_the_examples_of_the_reference_survive_the_round_trip(codec, example):
    frames = codec.decode(example.f_port, bytes.fromhex(example.payload_hex))
    (now,) = [frame for frame in frames if frame.observed_at is None]

    f_port, payload = codec.encode(now.fields)

    assert codec.decode(f_port, payload) == (now,)
    assert len(frames) > 1 or len(payload) == len(bytes.fromhex(example.payload_hex))


celsius = st.floats(-40, 85)
percent = st.floats(0, 100)


@pytest.mark.parametrize(
    ("name", "strategies", "resolution"),
    [
        (
            "decentlab/dl-cws2",
            {
                "device_id": st.integers(0, 65535),
                "surface_temperature": celsius,
                "air_temperature": celsius,
                "air_humidity": percent,
                "dew_point": celsius,
                "angle": st.integers(-90, 90),
                "sensor_temperature": celsius,
                "air_temperature_radiation_shield": celsius,
                "air_humidity_radiation_shield": percent,
                "battery_voltage": st.floats(0, 5),
            },
            0.005,
        ),
        (
            "decentlab/dl-ctd10",
            {
                "water_depth": st.integers(-500, 10000),
                "temperature": celsius,
                "electrical_conductivity": st.integers(0, 65535),
                "freezing_flag": st.integers(0, 1),
            },
            0.05,
        ),
        (
            "milesight/wts506",
            {
                "battery": st.integers(0, 100),
                "temperature": celsius,
                "humidity": percent,
                "wind_direction": st.floats(0, 360),
                "pressure": st.floats(850, 1100),
                "wind_speed": st.floats(0, 60),
                "rainfall_total": st.floats(0, 40_000),
                "rainfall_counter": st.integers(0, 255),
            },
            0.25,
        ),
        (
            "milesight/em500-smtc",
            {"temperature": celsius, "moisture": percent, "ec": st.integers(0, 20000), "battery": st.integers(0, 100)},
            0.05,
        ),
        ("milesight/em310-tilt", {f"angle_{a}": st.floats(-90, 90) for a in "xyz"}, 0.005),
        ("elsys/ers", {"temperature": celsius, "humidity": st.integers(0, 100), "light": st.integers(0, 65535)}, 0.05),
        (
            "dragino/lse01",
            {
                "Bat": st.floats(2, 4),
                "water_SOIL": percent,
                "temp_SOIL": celsius,
                "conduct_SOIL": st.integers(0, 20000),
                "TempC_DS18B20": celsius,
            },
            0.05,
        ),
        ("dragino/ldds75", {"Bat": st.floats(2, 4), "distance": st.integers(20, 7500)}, 0.0005),
        (
            "parametric/tcr",
            {
                "solar_battery_volt": st.floats(0, 20),
                "solar_panel_power": st.integers(0, 65535),
                "temperature": celsius,
                "left_count_class0": st.integers(0, 65535),
                "left_avg_class0": st.integers(0, 255),
                "right_count_class0": st.integers(0, 65535),
                "right_avg_class0": st.integers(0, 255),
            },
            0.05,
        ),
        (
            "digital-matter/oyster",
            {
                "latitudeDeg": st.floats(-90, 90),
                "longitudeDeg": st.floats(-180, 180),
                "headingDeg": st.floats(0, 354),
                "speedKmph": st.integers(0, 255),
                "batV": st.floats(0, 6),
            },
            2.82,
        ),
        (
            "abeeway/asset-tracker-2",
            {
                "gpsLatitude": st.floats(-90, 90),
                "gpsLongitude": st.floats(-180, 180),
                "horizontalAccuracy": st.floats(0, 1000),
                "temperatureMeasure": st.floats(-44, 85),
                "age": st.integers(0, 2040),
            },
            4.01,
        ),
    ],
)
def test_what_is_encoded_decodes_again_within_the_resolution(name, strategies, resolution):
    codec = codecs.find(name)
    extra = {f"threshold_{axis}": "normal" for axis in "xyz"} if name.endswith("tilt") else {}

    @settings(max_examples=60, deadline=None)
    @given(st.fixed_dictionaries(strategies))
    def check(values):
        (frame,) = codec.decode(*codec.encode({**values, **extra}))
        for field, value in values.items():
            assert frame.fields[field] == pytest.approx(value, abs=resolution + 1e-9), field

    check()


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 255).map("ch{}".format),
        st.fixed_dictionaries(
            {},
            optional={
                "temperature": st.integers(-400, 850).map(lambda n: n / 10),
                "humidity": st.integers(0, 200).map(lambda n: n / 2),
                "accelerometer": st.fixed_dictionaries(
                    {a: st.integers(-9000, 9000).map(lambda n: n / 1000) for a in "xyz"}
                ),
                "switch": st.integers(0, 1),
            },
        ).filter(bool),
        min_size=1,
        max_size=12,
    )
)
def test_cayenne_fields_survive_the_round_trip(values):
    codec = codecs.find("cayenne-lpp")

    (frame,) = codec.decode(*codec.encode(values))

    assert frame.fields == values


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("decentlab/dl-cws2", {"surface": 1}, r"got fields \['surface'\]"),
        ("decentlab/dl-cws2", {"surface_temperature": 1}, "air_temperature None, expected a finite number"),
        ("decentlab/dl-cws2", {"battery_voltage": 70}, "does not fit its 16-bit word"),
        ("decentlab/dl-cws2", {"battery_voltage": math.nan}, "expected a finite number"),
        ("milesight/em500-smtc", {"temperature": 4000}, "expected what 2 bytes carry"),
        ("milesight/em500-smtc", {"temperature": 4, "rain": 1}, r"got fields \['rain'\]"),
        ("milesight/em500-smtc", {"moisture": 655.35}, "which its bytes use for a fault"),
        ("milesight/em400-mud", {"position": "upside down"}, "expected normal, tilt"),
        ("dragino/lse01", {"Bat": 3.6}, "expected a finite number"),
        ("dragino/lse01", {"Bat": 30, "water_SOIL": 1, "temp_SOIL": 1, "conduct_SOIL": 1}, "at most 16383"),
        ("dragino/ldds75", {"Bat": 3.6, "distance": 5}, "expected at least 20 mm"),
        ("cayenne-lpp", {"temperature": 1}, "expected ch0 to ch255"),
        ("cayenne-lpp", {"ch1": {"warmth": 1}}, "got 'warmth'"),
        ("abeeway/asset-tracker-2", {"temperatureMeasure": 10, "eventType": "PARTY"}, "got eventType 'PARTY'"),
        ("digital-matter/oyster", {"headingDeg": 400}, "expected 0 to 354"),
    ],
)
def test_what_a_device_cannot_send_is_not_encoded(name, values, reason):
    with pytest.raises(codecs.CodecError, match=reason):
        codecs.find(name).encode(values)


def test_a_calibrated_scale_encodes_its_weight():
    codec = codecs.find("decentlab/dl-dws-232263168-302459-1370")

    (frame,) = codec.decode(*codec.encode({"weight": 2500, "battery_voltage": 3.1}))

    assert frame.fields["weight"] == pytest.approx(2500, abs=10)  # one count is 9 g there
    assert codec is codecs.find(codec.name)


def test_a_voltage_in_seven_bits_is_rounded_to_its_steps():
    codec = codecs.find("tektelic/t000594x")

    (frame,) = codec.decode(*codec.encode({"battery_status": {"battery_life": 3.6049, "eos_alert": 1}}))

    assert frame.fields == {"battery_status": {"battery_life": 3.6, "eos_alert": 1}}
    with pytest.raises(codecs.CodecError, match="expected a known value of battery_life"):
        codec.encode({"battery_status": {"battery_life": 4.2, "eos_alert": 0}})
