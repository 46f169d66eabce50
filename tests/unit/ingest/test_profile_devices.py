"""Built-in sensor profiles: bytes of each device, through our codec, become the right observations."""

from datetime import UTC, datetime

import pytest

from ingest import codecs
from ingest.profile import apply, load_profiles
from roadtwin.types import Flag
from roadtwin.units import QUANTITIES

AT = datetime(2026, 3, 10, tzinfo=UTC)
LIBRARY = load_profiles()
WITHOUT_PROFILE = {
    "abeeway/asset-tracker-2": "a position is no observation",
    "digital-matter/oyster": "a position is no observation",
    "milesight/at101": "a position is no observation",
    "cayenne-lpp": "only the operator knows what a channel measures",
}
NONE, RANGE, SENTINEL = Flag.NONE, Flag.RANGE, Flag.SENTINEL


def measured(name, payload, f_port=None):
    profile = LIBRARY.find(name)
    codec = codecs.find(profile.codec)
    frame = codec.decode(f_port or codec.default_port, bytes.fromhex(payload))[0]
    return observed(profile, frame.fields)


def observed(profile, fields, flags=NONE):
    observations, problems = apply(profile, fields, AT, flags)
    found = {
        "/".join(str(part) for part in (o.quantity, o.channel, o.depth_cm) if part not in ("", None)): (
            o.value,
            o.flags,
        )
        for o in observations
    }
    assert len(found) == len(observations)
    return found, problems


def approx(expected):
    return {name: (pytest.approx(value), flags) for name, (value, flags) in expected.items()}


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        (
            "decentlab/dl-cws2",
            "0200010007 3d70 e147 7e00 7ed4 a260 7e2a 8028 7ede 0c1c",
            {
                "surface_temp_c": (-5.12, NONE),
                "air_temp_c": (-3.0, NONE),
                "humidity_pct": (88.0, NONE),
                "dew_point_c": (-4.7, NONE),
                "device_temp_c": (-2.9, NONE),
                "tilt_deg": (40, NONE),
                "air_temp_c/shield": (15728 * 175 / 65535 - 45, NONE),
                "humidity_pct/shield": (57671 / 655.35, NONE),
                "battery_v": (3.1, NONE),
            },
        ),
        (
            "decentlab/dl-cws2",
            "0200010006 0000 7ed4 a260 7e2a 8028 7ede 0c1c",
            {
                "surface_temp_c": (-327.68, SENTINEL),
                "air_temp_c": (-3.0, NONE),
                "humidity_pct": (88.0, NONE),
                "dew_point_c": (-4.7, NONE),
                "device_temp_c": (-2.9, NONE),
                "tilt_deg": (40, NONE),
                "battery_v": (3.1, NONE),
            },
        ),
        ("decentlab/dl-cws2", "0200010004 0bb8", {"battery_v": (3.0, NONE)}),
        (
            "decentlab/dl-smtp",
            "0200020001" + "119483e8" * 6 + "0000000009c48000",
            {
                **{f"soil_moisture_pct/{10 * d}": (4.0, NONE) for d in range(1, 7)},
                **{f"ground_temp_c/{10 * d}": (10.0, NONE) for d in range(1, 7)},
                "soil_moisture_pct/70": (-5.0, SENTINEL),
                "ground_temp_c/70": (-327.68, SENTINEL),
                "soil_moisture_pct/80": (0.0, NONE),
                "ground_temp_c/80": (0.0, NONE),
            },
        ),
        (
            "decentlab/dl-ctd10",
            "0200030003 81f4 7fce 0190 0000 0c80",
            {
                "water_level_mm": (500, NONE),
                "water_temp_c": (-5.0, NONE),
                "water_ec_us_per_cm": (400, NONE),
                "battery_v": (3.2, NONE),
            },
        ),
        (
            "decentlab/dl-ctd10",
            "0200030001 a775 0000 ffff 0000",
            {
                "water_level_mm": (10101, RANGE),
                "water_temp_c": (-3276.8, SENTINEL),
                "water_ec_us_per_cm": (65535, SENTINEL),
            },
        ),
        (
            "decentlab/dl-alb",
            "0200040003 8fa0 8c80 0c1c",
            {"radiation_w_per_m2": (400, NONE), "reflected_w_per_m2": (320, NONE), "battery_v": (3.1, NONE)},
        ),
        (
            "decentlab/dl-atm41g2",
            "0200050003 8064 07d0 8000 8000 80c8 8898 812c 8032 8050 a710 8384 803c 8005 7ffb 8014 1388 0001 0ce4",
            {
                "air_temp_c": (5.0, NONE),
                "humidity_pct": (90.0, NONE),
                "pressure_hpa": (1000.0, NONE),  # 100 kPa
                "rain_mm": (2.0, NONE),
                "rain_total_mm": (70.536, NONE),
                "wind_speed_mps": (2.0, NONE),
                "wind_gust_mps": (3.0, NONE),
                "wind_direction_deg": (220.0, NONE),
                "radiation_w_per_m2": (10.0, NONE),
                "device_temp_c": (6.0, NONE),
                "tilt_deg/x": (0.5, NONE),
                "tilt_deg/y": (-0.5, NONE),
                "battery_v": (3.3, NONE),
            },
        ),
        ("decentlab/dl-dws", "0200060003 3b87 7fff 3b87 0c60", {"battery_v": (3.168, NONE)}),
        (
            "milesight-iot/em500-smtc",
            "017563 03672300 04cab80b 057f2c01",
            {
                "battery_pct": (99, NONE),
                "ground_temp_c": (3.5, NONE),
                "soil_moisture_pct": (30.0, NONE),
                "soil_ec_us_per_cm": (300, NONE),
            },
        ),
        ("EM500-SMTC", "01755f", {"battery_pct": (95, NONE)}),
        ("EM500-SMTC", "03671900 04caffff", {"ground_temp_c": (2.5, NONE)}),
        (
            "milesight-iot/em310-tilt",
            "017562 03cf2c016aff282301",
            {
                "battery_pct": (98, NONE),
                "tilt_deg/x": (3.0, NONE),
                "tilt_deg/y": (-1.5, NONE),
                "tilt_deg/z": (90.0, NONE),
            },
        ),
        ("EM500-UDL", "01755d 03820000 040000", {"distance_mm": (0, RANGE), "battery_pct": (93, NONE)}),
        (
            "EM400-MUD",
            "017558 03673200 0482f401 050000",
            {"battery_pct": (88, NONE), "device_temp_c": (5.0, NONE), "distance_mm": (500, NONE)},
        ),
        ("EM400-MUD", "0482ffff", {"distance_mm": (65535, SENTINEL)}),
        ("EM400-MUD", "04821400", {"distance_mm": (20, RANGE)}),
        ("EM500-PT100", "01755a 0367c9ff", {"battery_pct": (90, NONE), "ground_temp_c": (-5.5, NONE)}),
        ("EM500-PT100", "0367ff7f", {"ground_temp_c": (3276.7, SENTINEL)}),
        (
            "WTS506",
            "0584960a 06731027 07923200 08ecd20400000c",
            {
                "wind_direction_deg": (271.0, NONE),
                "pressure_hpa": (1000.0, NONE),
                "wind_speed_mps": (5.0, NONE),
                "rain_total_mm": (12.34, NONE),
            },
        ),
        (
            "dragino/lse01",
            "0e10 0000 0898 ff9c 0016 10",
            {
                "soil_moisture_pct": (22.0, NONE),
                "ground_temp_c": (-1.0, NONE),
                "soil_ec_us_per_cm": (22, NONE),
                "battery_v": (3.6, NONE),
            },
        ),
        (
            "dragino/lse01",
            "0e10 0000 0898 7fff 0016 10",
            {
                "soil_moisture_pct": (22.0, NONE),
                "ground_temp_c": (327.67, SENTINEL),
                "soil_ec_us_per_cm": (22, NONE),
                "battery_v": (3.6, NONE),
            },
        ),
        ("dragino/ldds75", "0d48 0578 00", {"distance_mm": (1400, NONE), "battery_v": (3.4, NONE)}),
        ("dragino/dds75-lb", "0d48 0000 00 0ccc 01", {"distance_mm": (0, SENTINEL), "battery_v": (3.4, NONE)}),
        (
            "elsys/ers",
            "01ffce 025c 0400c8 070e10",
            {
                "air_temp_c": (-5.0, NONE),
                "humidity_pct": (92, NONE),
                "illuminance_lux": (200, NONE),
                "battery_v": (3.6, NONE),
            },
        ),
        (
            "elsys/elt-ultrasonic",
            "0e05dc 14000f4240 03003fc1",
            {
                "distance_mm": (1500, NONE),
                "pressure_hpa": (1000.0, NONE),
                "acceleration_mps2/x": (0, NONE),
                "acceleration_mps2/y": (9.80665, NONE),
                "acceleration_mps2/z": (-9.80665, NONE),
            },
        ),
        (
            "tektelic/t000594x",
            "00710000ffec03e8 00ba6e",
            {
                "acceleration_mps2/x": (0, NONE),
                "acceleration_mps2/y": (-0.196133, NONE),
                "acceleration_mps2/z": (9.80665, NONE),
                "battery_v": (3.6, NONE),
            },
        ),
        (
            "parametric/tcr",
            "be0202 0fa0 01f4 18b8 000a1e000000",
            {
                "vehicle_count/left": (10, NONE),
                "vehicle_count/right": (0, NONE),
                "vehicle_speed_mps/left": (30 / 3.6, NONE),
                "vehicle_speed_mps/right": (0, SENTINEL),  # nobody came, so nobody drove at 0 km/h
                "device_temp_c": (632.8, RANGE),
                "battery_v": (4.0, NONE),
            },
        ),
    ],
)
def test_bytes_become_observations(name, payload, expected):
    assert measured(name, payload) == (approx(expected), {})


def test_devices_that_sit_elsewhere_have_profiles_that_say_so():
    places = {}
    for name in ("milesight-em500-pt100-12cm", "dragino-lse01-40cm", "decentlab-dl-smtp-20cm"):
        profile = LIBRARY.find(name)
        places[name] = sorted({field.depth_cm for field in profile.fields if field.depth_cm is not None})
        plain = LIBRARY.find(name.rpartition("-")[0])
        assert plain is not profile
        assert [field.path for field in plain.fields] == [field.path for field in profile.fields]

    assert places == {
        "milesight-em500-pt100-12cm": [12],
        "dragino-lse01-40cm": [40],
        "decentlab-dl-smtp-20cm": [30, 40, 50, 60, 70, 80, 90, 100],
    }


def test_a_scale_whose_calibration_its_profile_knows_gives_a_weight():
    found, problems = measured("decentlab-dl-dws-232263168-302459-1370", "020006 0003 45dd 7fff 45dd 0c60")

    assert problems == {}
    frequency_hz = 0x45DD / 32767 * 32768
    assert found == approx(
        {"load_kg": (((frequency_hz**2 - 232263168) * 0.000302459 + 1370) / 1000, NONE), "battery_v": (3.168, NONE)}
    )


def test_a_text_for_a_distance_gives_a_reason_and_keeps_the_battery():
    found, problems = measured("dragino/ldds75", "0d480000")

    assert found == approx({"battery_v": (3.4, NONE)})
    assert problems == {"distance": "got the text 'No Sensor', expected a number"}


def test_every_codec_has_a_profile_or_a_reason_to_have_none():
    used = {LIBRARY.find(name).codec for name in LIBRARY.names()} - {None}

    assert used | set(WITHOUT_PROFILE) == {*codecs.names(), "decentlab/dl-dws-232263168-302459-1370"}
    assert not used & set(WITHOUT_PROFILE)


@pytest.mark.parametrize("name", sorted(n for n in LIBRARY.names() if LIBRARY.find(n).codec))
def test_every_field_of_a_profile_is_one_that_its_codec_or_the_vendors_gives(name):
    profile = LIBRARY.find(name)
    known = {part.strip() for d in codecs.find(profile.codec).field_docs() for part in d.name.split(",")}
    vendors_only = {
        "milesight-em500-smtc": {"soil_moisture", "electricity", "conductivity"},
        "decentlab-dl-dws": {"weight"},
    }.get(profile.name, set())

    assert {".".join(field.path) for field in profile.fields} <= known | vendors_only


@pytest.mark.parametrize("field", ["ec", "electricity", "conductivity"])
def test_drifting_names_of_one_value_hit_the_same_quantity(field):
    found, problems = observed(LIBRARY.find("EM500-SMTC"), {"temperature": 3.5, field: 240})

    assert found == approx({"ground_temp_c": (3.5, NONE), "soil_ec_us_per_cm": (240, NONE)})
    assert problems == {}


def test_two_names_of_one_value_in_a_payload_count_once():
    found, problems = observed(LIBRARY.find("EM500-SMTC"), {"ec": 240, "electricity": 240})

    assert found == approx({"soil_ec_us_per_cm": (240, NONE)})
    assert problems == {"electricity": "soil_ec_us_per_cm was given by a field before it"}


def test_vendor_output_with_tables_or_texts_hits_the_same_profile_as_our_codecs():
    tables = {
        "surface_temperature": {"displayName": "Surface temperature", "value": -5.12, "unit": "°C"},
        "device_id": 1,
    }
    texts = {"water_SOIL": "19.57", "temp_SOIL": "24.59", "conduct_SOIL": 20000, "Bat": 3.625, "TempC_DS18B20": "24.1"}

    assert observed(LIBRARY.find("decentlab/dl-cws2"), tables) == (approx({"surface_temp_c": (-5.12, NONE)}), {})
    assert observed(LIBRARY.find("dragino/lse01"), texts)[0] == approx(
        {
            "soil_moisture_pct": (19.57, NONE),
            "ground_temp_c": (24.59, NONE),
            "soil_ec_us_per_cm": (20000, NONE),
            "battery_v": (3.625, NONE),
        }
    )


@pytest.mark.parametrize("value", [None, "cold", [1], {"value": 1}])
def test_a_table_without_a_number_gives_a_reason(value):
    found, problems = observed(LIBRARY.find("decentlab/dl-cws2"), {"surface_temperature": {"value": value}})

    assert found == {}
    assert list(problems) == ["surface_temperature"]


def test_time_flags_join_those_of_the_value():
    flags = Flag.LATE | Flag.CLOCK

    found, _ = observed(
        LIBRARY.find("surface-temperature"), {"surface_temperature": -327.68, "humidity": 130, "battery": 3.6}, flags
    )

    assert found == approx(
        {
            "surface_temp_c": (-327.68, flags | SENTINEL),
            "humidity_pct": (130, flags | RANGE),
            "battery_v": (3.6, flags),
        }
    )
    assert all(type(flag) is Flag for _, flag in found.values())


def test_a_quantitys_name_ends_in_its_unit():
    endings = {
        "°C": "_c", "%": "_pct", "mm": "_mm", "m³": "_m3", "µS/cm": "_us_per_cm", "m/s": "_mps", "hPa": "_hpa",
        "W/m²": "_w_per_m2", "lx": "_lux", "µm/m": "_um_per_m", "m/s²": "_mps2", "V": "_v", "mm/h": "_mm_per_h",
        "°": "_deg", "kg": "_kg", "1": ("_count", "_open"),
    }  # fmt: skip
    for quantity in QUANTITIES.values():
        assert quantity.name.endswith(endings[quantity.unit])
        assert quantity.minimum < quantity.maximum
        assert quantity.label_de
        assert quantity.label_en


def test_a_scale_has_a_weight_by_a_profile_with_its_calibration(tmp_path):
    text = (
        'name = "bearing 7"\nversion = 1\ncodec = "decentlab/dl-dws-232263168-302459-1370"\n'
        '[[field]]\npath = "weight"\nquantity = "load_kg"\nunit = "g"\n'
    )
    (tmp_path / "bearing.toml").write_text(text)
    profile = load_profiles(tmp_path).find("bearing 7")

    (frame,) = codecs.find(profile.codec).decode(1, bytes.fromhex("02000600013b877fff3b87"))

    assert observed(profile, frame.fields)[0] == approx(
        {"load_kg": (((15239 * 32768 / 32767) ** 2 - 232263168) * 3.02459e-7 + 1.37, NONE)}
    )
