"""Payload codecs: vectors computed by hand from the layouts, and arbitrary bytes."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import codecs
from ingest.codecs.codec import MAX_PAYLOAD_BYTES
from tests.steps import steps

AT = datetime(2026, 4, 22, 10, 54, 56, tzinfo=UTC)  # 0x69e8a900
ALL = codecs.names()


def decode(name, payload, f_port=None):
    codec = codecs.find(name)
    return codec.decode(f_port or codec.default_port, bytes.fromhex(payload))


def fields(name, payload, f_port=None):
    (frame,) = decode(name, payload, f_port)
    return dict(frame.fields)


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        # 0x7e00 − 0x8000 = −512; 0x0c1c = 3100; 0x3d70 × 175 ÷ 65535 − 45
        (
            "decentlab/dl-cws2",
            "0200010007 3d70 e147 7e00 7ed4 a260 7e2a 8028 7ede 0c1c",
            {
                "device_id": 1,
                "protocol_version": 2,
                "air_temperature_radiation_shield": 15728 * 175 / 65535 - 45,
                "air_humidity_radiation_shield": 57671 / 655.35,
                "surface_temperature": -5.12,
                "air_temperature": -3.0,
                "air_humidity": 88.0,
                "dew_point": -4.7,
                "angle": 40,
                "sensor_temperature": -2.9,
                "battery_voltage": 3.1,
            },
        ),
        ("decentlab/dl-cws2", "0200010004 0bb8", {"device_id": 1, "protocol_version": 2, "battery_voltage": 3.0}),
        (
            "decentlab/dl-ctd10",
            "0200030001 81f4 7fce 0190 0001",
            {
                "device_id": 3,
                "protocol_version": 2,
                "water_depth": 500,
                "temperature": -5.0,
                "electrical_conductivity": 400,
                "freezing_flag": 1,
            },
        ),
        (
            "decentlab/dl-alb",
            "0200040001 8fa0 8c80",
            {
                "device_id": 4,
                "protocol_version": 2,
                "incoming_radiation": 400.0,
                "reflected_radiation": 320.0,
                "albedo": 0.8,
            },
        ),
        (
            "decentlab/dl-alb",
            "0200040001 8000 8000",
            {
                "device_id": 4,
                "protocol_version": 2,
                "incoming_radiation": 0.0,
                "reflected_radiation": 0.0,
                "albedo": None,
            },
        ),
        ("milesight/em500-smtc", "03679cff 04ca7e04", {"temperature": -10.0, "moisture": 11.5}),
        (
            "milesight/em500-smtc",
            "04cafdff 057fffff",
            {"moisture_error": "out of range", "ec_error": "collection failed"},
        ),
        ("milesight/em500-pt100", "0367ffff", {"temperature": -0.1}),
        (
            "milesight/em500-pt100",
            "83d7c9ff320000",
            {"temperature": -5.5, "temperature_mutation": 5.0, "temperature_alarm": "threshold alarm"},
        ),
        (
            "milesight/em500-smtc",
            "83d7c9ff320000",
            {"temperature": -5.5, "temperature_mutation": 5.0, "temperature_alarm": "threshold alarm release"},
        ),
        (
            "milesight/em310-tilt",
            "03cf2c016aff1c2302",
            {
                "angle_x": 3.0,
                "angle_y": -1.5,
                "angle_z": 89.88,
                "threshold_x": "normal",
                "threshold_y": "trigger",
                "threshold_z": "normal",
            },
        ),
        (
            "milesight/at101",
            "048870630c03807e9d0015 06d900" + "ab" * 6 + "c800",
            {"latitude": 51.143536, "longitude": 10.321536, "tilt_status": "tilt", "geofence_status": "outside"},
        ),
        (
            "milesight/wts506",
            "08775c0005",
            {"rainfall_total": 0.92, "rainfall_counter": 5},
        ),
        (
            "milesight/em310-tilt",
            "ff0101 ff090310 ff0a0115 ff16 6136a12345670009 ff0f00",
            {
                "ipso_version": "v0.1",
                "hardware_version": "v3.1",
                "firmware_version": "v1.15",
                "sn": "6136a12345670009",
                "lorawan_class": "Class A",
            },
        ),
        ("elsys/ers", "01ffce 025c 070e10", {"temperature": -5.0, "humidity": 92, "vdd": 3600}),
        ("elsys/elt-2", "190014 19ff9c 190001", {"externalTemperature2": [2.0, -10.0, 0.1]}),
        ("elsys/elt-2", "0b00010000 17ffffffff", {"pulseAbs": 65536, "pulseAbs2": 4294967295}),
        (
            "dragino/lse01",
            "ce10 ffce 0898 ff9c 0016 10",
            {"Bat": 3.6, "TempC_DS18B20": -5.0, "water_SOIL": 22.0, "temp_SOIL": -1.0, "conduct_SOIL": 22},
        ),
        ("dragino/ldds75", "0d48 0578 00", {"Bat": 3.4, "distance": 1400, "Interrupt_flag": 0}),
        (
            "dragino/ldds75",
            "0d48 0000 00 0ccc 01",
            {"Bat": 3.4, "distance": 0, "Interrupt_flag": 0, "TempC_DS18B20": 327.6, "Sensor_flag": 1},
        ),
        ("dragino/ldds75", "0d48 0014 00", {"Bat": 3.4, "distance": 20, "Interrupt_flag": 0}),
        ("dragino/ldds75", "0d48 0013 01", {"Bat": 3.4, "distance": "Invalid Reading", "Interrupt_flag": 1}),
        (
            "dragino/ldds75",
            "0d48 0578 00 ffce 00",
            {"Bat": 3.4, "distance": 1400, "Interrupt_flag": 0, "TempC_DS18B20": -5.0, "Sensor_flag": 0},
        ),
        (
            "cayenne-lpp",
            "0002ff9c 0188 07cdcb fffb04 000dde",
            {
                "ch0": {"analog_input": -1.0},
                "ch1": {"gps": {"latitude": 51.1435, "longitude": -0.1276, "altitude": 35.5}},
            },
        ),
        ("cayenne-lpp", "04820000 07d0 0484010e", {"ch4": {"distance": 2.0, "direction": 270}}),
        (
            "tektelic/t000594x",
            "00710000ffec03e8 00bae4",
            {
                "acceleration": {"x": 0.0, "y": -0.02, "z": 1.0},
                "battery_status": {"battery_life": 3.5, "eos_alert": 1},
            },
        ),
        (
            "digital-matter/oyster",
            "0020bc1d8002e907 02 00 c8",
            {
                "type": "position",
                "manDown": None,
                "batV": 5.0,
                "inTrip": False,
                "fixFailed": True,
                "cached": {"latitudeDeg": 49.8868224, "longitudeDeg": 13.271104, "headingDeg": 0.0, "speedKmph": 0},
            },
        ),
        (
            "parametric/tcr",
            "be0201 5a 0000 ffce 000c22000b23",
            {
                "solar_battery": 90,
                "solar_panel_power": 0,
                "temperature": -5.0,
                "left_count_class0": 12,
                "left_avg_class0": 34,
                "right_count_class0": 11,
                "right_avg_class0": 35,
                "left_count": 12,
                "left_avg": 34.0,
                "right_count": 11,
                "right_avg": 35.0,
            },
        ),
    ],
)
def test_bytes_of_our_own_making_decode_as_computed_by_hand(name, payload, expected):
    decoded = fields(name, payload)

    assert set(decoded) == set(expected)
    for field, value in expected.items():
        exact = isinstance(value, str | dict | list) or value is None
        assert decoded[field] == (value if exact else pytest.approx(value, rel=1e-12)), field


def test_a_probe_without_a_sensor_gives_exactly_the_sentinels_of_its_profile():
    decoded = fields("decentlab/dl-smtp", "0200020003" + "119483e8" * 7 + "00000000" + "0bb8")

    assert (decoded["soil_moisture_at_depth_7"], decoded["soil_temperature_at_depth_7"]) == (-5.0, -327.68)
    assert (decoded["soil_moisture_at_depth_6"], decoded["soil_temperature_at_depth_6"]) == (4.0, 10.0)


def test_a_history_comes_after_the_current_measurement_with_times_of_its_own():
    now, earlier, earliest = decode("milesight/em500-udl", "0382dc05 20ce00a9e869d005 20ce80a8e869c405")

    assert (now.fields, now.observed_at) == ({"distance": 1500}, None)
    assert (earlier.fields, earlier.observed_at) == ({"distance": 1488}, AT)
    assert (earliest.fields, earliest.observed_at.timestamp()) == ({"distance": 1476}, AT.timestamp() - 128)


def test_a_history_alone_has_no_current_measurement():
    (only,) = decode("milesight/at101", "20ce 00a9e869 807e9d00 70630c03 ff00010203fd")

    assert only.observed_at == AT
    assert (only.fields["longitude"], only.fields["latitude"]) == (10.321536, 51.143536)
    assert (only.fields["initial_angle_x"], only.fields["inclination_angle_z"]) == (-1, -3)


def test_a_position_says_how_old_it_is():
    (frame,) = decode("abeeway/asset-tracker-2", "0326a06e0003 1dbc20 07e902 05")

    assert (frame.age_s, frame.fields["age"]) == (24.0, 24)
    assert frame.fields["gpsLatitude"] == pytest.approx(49.8868224)
    assert frame.fields["trackingMode"] == "MOTION_TRACKING"


def test_an_unknown_item_keeps_what_was_read_and_says_what_was_not():
    assert fields("milesight/em500-udl", "0382dc05 aa55 0102") == {"distance": 1500, "undecoded": "aa550102"}
    assert fields("elsys/ers", "01001e 7f01") == {"temperature": 3.0, "undecoded": "7f01"}
    assert fields("cayenne-lpp", "0167001e 01ff00") == {"ch1": {"temperature": 3.0}, "undecoded": "01ff00"}


@pytest.mark.parametrize(
    ("name", "f_port", "payload", "reason"),
    [
        ("decentlab/dl-cws2", 1, "0100010004 0bb8", "protocol version 1, expected 2"),
        ("decentlab/dl-cws2", 1, "02000100", "got 4 bytes, expected at least 5"),
        ("decentlab/dl-cws2", 1, "0200010008 0bb8", "flags 0x0008, expected 3 groups at most"),
        ("decentlab/dl-cws2", 1, "0200010006 0bb8", "expected 19 with flags 0x0006"),
        ("decentlab/dl-cws2", 1, "0200010004 0bb8 00", "got 8 bytes, expected 7"),
        ("decentlab/dl-cws2", 0, "0200010004 0bb8", "got fPort 0, expected 1 to 223"),
        ("decentlab/dl-cws2", 224, "0200010004 0bb8", "got fPort 224"),
        ("milesight/em500-udl", 85, "0382dc", "got 1 bytes after 03 82, expected 2"),
        ("milesight/em500-udl", 85, "aa55", "got the item aa 55 first"),
        ("milesight/em500-udl", 85, "03", "got the item 03 first"),
        ("elsys/ers", 5, "01ff", "got 1 bytes after 01, expected 2"),
        ("dragino/lse01", 3, "0e1000000898ff9c001610", "got fPort 3, expected 2"),
        ("dragino/lse01", 2, "0e1000000898ff9c0016", "got 10 bytes, expected 11"),
        ("dragino/ldds75", 2, "0e1000000898", "got 6 bytes, expected 4, 5 or 8"),
        ("cayenne-lpp", 1, "01", "expected a channel and a known type"),
        ("cayenne-lpp", 1, "016700", "got 1 bytes of temperature, expected 2"),
        ("abeeway/asset-tracker-2", 18, "0526a06e0003", "message of type 5, expected 3"),
        ("abeeway/asset-tracker-2", 18, "0326a06e00031dbc2007e902", "got 12 bytes with a GPS position, expected 13"),
        ("digital-matter/oyster", 1, "0020bc1d8002e9070200", "got 10 bytes on port 1, expected 11"),
        ("digital-matter/oyster", 3, "00" * 11, "got fPort 3, expected 1, 4"),
        ("parametric/tcr", 15, "be0203", "expected be 02 and version 01 or 02"),
        ("parametric/tcr", 15, "be02015a0000ffce000c22000b", "6 for each of 0 to 4 classes"),
        ("parametric/tcr", 15, "be02015a0000ffce" + "00" * 30, "6 for each of 0 to 4 classes"),
        ("parametric/tcr", 190, "be020200", "expected 27"),
        ("tektelic/t000594x", 11, "00710000ffec03e8", "got fPort 11, expected 10"),
    ],
)
def test_what_does_not_follow_the_layout_is_refused_with_what_was_got_and_expected(name, f_port, payload, reason):
    with pytest.raises(codecs.CodecError, match=reason):
        codecs.find(name).decode(f_port, bytes.fromhex(payload))


def test_a_payload_longer_than_lorawan_carries_is_refused():
    with pytest.raises(codecs.CodecError, match="got 243 bytes, expected 1 to 242"):
        codecs.find("elsys/ers").decode(5, b"\x02\x00" * 121 + b"\x02")
    with pytest.raises(codecs.CodecError, match="got 0 bytes"):
        codecs.find("elsys/ers").decode(5, b"")


# -- arbitrary bytes ---------------------------------------------------------------------------------------------------


def leaves(value):
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    return [leaf for inner in value for leaf in leaves(inner)] if isinstance(value, list) else [value]


def starts():
    """Beginnings that the codecs know, so that arbitrary bytes get beyond the first check."""
    heads = {bytes.fromhex(e.payload_hex)[:n] for c in codecs.all_codecs() for e in c.examples for n in (1, 2, 5)}
    return st.sampled_from([b"", *sorted(heads)])


@pytest.mark.parametrize("name", ALL)
def test_arbitrary_bytes_give_frames_of_plain_values_or_an_error(name):
    codec = codecs.find(name)
    ports = st.one_of(st.sampled_from([codec.default_port, *(codec.ports or ())]), st.integers(-1, 300))

    @settings(max_examples=100, deadline=None)
    @given(ports, starts(), st.binary(max_size=250))
    def check(f_port, head, rest):
        try:
            frames = codec.decode(f_port, head + rest)
        except codecs.CodecError:
            return
        assert 1 <= len(frames) <= MAX_PAYLOAD_BYTES
        for frame in frames:
            json.dumps(frame.fields, allow_nan=False)
            assert len(leaves(dict(frame.fields))) <= MAX_PAYLOAD_BYTES
            assert frame.observed_at is None or frame.observed_at.tzinfo is UTC

    check()


@pytest.mark.parametrize("name", ALL)
def test_the_longest_payload_is_little_work(name):
    codec = codecs.find(name)
    payload = bytes.fromhex(codec.examples[0].payload_hex)
    longest = (payload * (MAX_PAYLOAD_BYTES // len(payload)))[:MAX_PAYLOAD_BYTES]

    def decode(data):
        with suppress(codecs.CodecError):
            codec.decode(codec.default_port, data)

    for data in (longest, bytes(MAX_PAYLOAD_BYTES), b"\xff" * MAX_PAYLOAD_BYTES):
        assert steps(partial(decode, data)) < 50 * MAX_PAYLOAD_BYTES


def test_codecs_are_found_by_their_names_only():
    assert codecs.find("decentlab/dl-cws2") is codecs.all_codecs()[ALL.index("decentlab/dl-cws2")]
    assert codecs.find("DL-CWS2") is codecs.find(None) is codecs.find("") is None
    assert sorted(ALL) == ALL


@pytest.mark.parametrize("name", ["decentlab/dl-dws-1-0-3", "decentlab/dl-dws-1-2", "decentlab/dl-dws-1-2-3-4"])
def test_a_name_that_is_no_calibration_is_no_codec(name):
    assert codecs.find(name) is None
