"""Codecs that encode whole columns: the same bytes as one by one, which decode to the values again."""

import numpy as np
import pytest

from ingest import codecs
from ingest.codecs.codec import Codec
from roadtwin.errors import CodecError

CELSIUS, PERCENT = (-40.0, 85.0), (0.0, 100.0)
CASES = [
    (
        "decentlab/dl-cws2",
        {
            "device_id": (0, 65535, 0),
            "surface_temperature": (*CELSIUS, 2),
            "air_temperature": (*CELSIUS, 2),
            "air_humidity": (*PERCENT, 2),
            "dew_point": (*CELSIUS, 2),
            "angle": (-90, 90, 0),
            "sensor_temperature": (*CELSIUS, 2),
            "air_temperature_radiation_shield": (*CELSIUS, 2),
            "air_humidity_radiation_shield": (*PERCENT, 2),
            "battery_voltage": (0, 5, 3),
        },
    ),
    ("decentlab/dl-cws2", {"device_id": (0, 65535, 0), "battery_voltage": (0, 5, 3)}),
    (
        "decentlab/dl-smtp",
        {
            **{f"soil_moisture_at_depth_{i}": (-5.0, 60.0, 2) for i in range(8)},
            **{f"soil_temperature_at_depth_{i}": (*CELSIUS, 2) for i in range(8)},
            "battery_voltage": (2, 4, 3),
        },
    ),
    (
        "decentlab/dl-ctd10",
        {
            "water_depth": (-500, 10000, 0),
            "temperature": (*CELSIUS, 1),
            "electrical_conductivity": (0, 65535, 0),
            "freezing_flag": (0, 1, 0),
        },
    ),
    ("decentlab/dl-alb", {"incoming_radiation": (0, 1500, 1), "reflected_radiation": (1, 1500, 1)}),
    (
        "decentlab/dl-atm41g2",
        {
            "solar_radiation": (0, 1500, 1),
            "precipitation": (0, 60, 3),
            "lightning_strike_count": (0, 100, 0),
            "lightning_average_distance": (0, 40, 0),
            "wind_speed": (0, 60, 2),
            "wind_direction": (0, 359.9, 1),
            "maximum_wind_speed": (0, 90, 2),
            "air_temperature": (*CELSIUS, 1),
            "vapor_pressure": (0, 5, 2),
            "barometric_pressure": (85, 110, 2),
            "relative_humidity": (*PERCENT, 1),
            "internal_temperature": (*CELSIUS, 1),
            "tilt_angle_x_orientation": (-90, 90, 1),
            "tilt_angle_y_orientation": (-90, 90, 1),
            "precipitation_electrical_conductivity": (0, 1000, 0),
            "cumulative_precipitation": (0, 4_000_000, 3),
            "battery_voltage": (0, 5, 3),
        },
    ),
    ("decentlab/dl-dws", {"frequency": (0, 20_000, None), "battery_voltage": (0, 5, 3)}),
    ("decentlab/dl-dws-232263168-302459-1370", {"weight": (2_000, 30_000, None)}),
    ("milesight/em500-pt100", {"battery": (0, 100, 0), "temperature": (*CELSIUS, 1)}),
    ("milesight/em500-udl", {"battery": (0, 100, 0), "distance": (0, 65_000, 0)}),
    ("milesight/em500-smtc", {"temperature": (*CELSIUS, 1), "moisture": (*PERCENT, 2), "ec": (0, 20_000, 0)}),
    (
        "elsys/elt-2",
        {
            "temperature": (*CELSIUS, 1),
            "humidity": (0, 100, 0),
            **dict.fromkeys("xyz", (-128, 127, 0)),
            "vdd": (0, 4000, 0),
            "accMotion": (0, 255, 0),
            "pressure": (850, 1100, 3),
        },
    ),
    (
        "dragino/lse01",
        {
            "Bat": (2, 4, 3),
            "water_SOIL": (*PERCENT, 2),
            "temp_SOIL": (*CELSIUS, 2),
            "conduct_SOIL": (0, 20_000, 0),
        },
    ),
    (
        "parametric/tcr",
        {
            "solar_battery_volt": (0, 20, 3),
            "solar_panel_power": (0, 65535, 0),
            "temperature": (*CELSIUS, 1),
            **{f"{side}_count_class{n}": (0, 65535, 0) for side in ("left", "right") for n in range(4)},
            **{f"{side}_avg_class{n}": (0, 255, 0) for side in ("left", "right") for n in range(4)},
        },
    ),
    ("parametric/tcr", {"solar_battery": (0, 100, 0), "solar_panel_power": (0, 60, 0), "temperature": (*CELSIUS, 1)}),
    ("dragino/ldds75", {"Bat": (2, 4, 3), "distance": (20, 7500, 0)}),  # has no columns of its own: one by one
]
ROWS = 40


def columns_of(ranges, seed):
    """Values of the device's resolution (None: its own steps are no decimal ones), both ends among them."""
    rng = np.random.default_rng(seed)
    columns = {}
    for name, (low, high, decimals) in ranges.items():
        column = rng.uniform(low, high, ROWS)
        column[rng.permutation(ROWS)[:2]] = low, high
        columns[name] = column if decimals is None else np.round(column, decimals)
    return columns


@pytest.mark.parametrize(("name", "ranges"), CASES, ids=lambda case: case if isinstance(case, str) else "")
@pytest.mark.parametrize("seed", range(3))
def test_columns_give_the_bytes_of_one_by_one(name, ranges, seed):
    codec, columns = codecs.find(name), columns_of(ranges, seed)

    f_port, payloads = codec.encode_many(columns)

    single = [codec.encode({n: column[row].item() for n, column in columns.items()}) for row in range(ROWS)]
    assert [(f_port, payload) for payload in payloads] == single


@pytest.mark.parametrize(("name", "ranges"), CASES, ids=lambda case: case if isinstance(case, str) else "")
def test_what_columns_are_encoded_to_decodes_again_within_the_resolution(name, ranges):
    codec, columns = codecs.find(name), columns_of(ranges, seed=9)
    # Steps of the vibrating wire: 1 Hz, which is about 9 g with this calibration. The shielded probe's are 175/65535.
    steps = {"frequency": 0.51, "weight": 10.0, **{n: 0.005 for n in ranges if n.endswith("radiation_shield")}}

    f_port, payloads = codec.encode_many(columns)

    frames = [codec.decode(f_port, payload)[0].fields for payload in payloads]
    for field, column in columns.items():
        read = np.array([frame[field] for frame in frames], dtype=float)
        assert np.abs(read - column).max() <= steps.get(field, 1e-9), field


def test_a_family_without_columns_encodes_one_by_one():
    codec = codecs.find("dragino/ldds75")

    assert type(codec).encode_many is Codec.encode_many
    assert codec.encode_many({"Bat": np.array([3.6, 3.5]), "distance": np.array([300.0, 400.0])}) == (
        2,
        [codec.encode({"Bat": v, "distance": d})[1] for v, d in ((3.6, 300.0), (3.5, 400.0))],
    )


@pytest.mark.parametrize(
    ("name", "columns", "reason"),
    [
        ("decentlab/dl-cws2", {"surface": [1.0]}, r"got fields \['surface'\]"),
        ("decentlab/dl-cws2", {"surface_temperature": [1.0]}, "expected a column air_temperature"),
        ("decentlab/dl-cws2", {"battery_voltage": [3.0, 70.0]}, "does not fit its 16-bit word"),
        ("decentlab/dl-cws2", {"battery_voltage": [3.0, np.nan]}, "of finite numbers"),
        ("decentlab/dl-cws2", {"battery_voltage": [3.0], "device_id": [1.0, 2.0]}, r"columns of \[1, 2\] rows"),
        ("milesight/em500-smtc", {"temperature": [4.0, 4000.0]}, "expected -32768 to 32767"),
        ("milesight/em500-smtc", {"moisture": [655.35]}, "which its bytes use for a fault"),
        ("milesight/em500-smtc", {"rain": [1.0]}, r"got fields \['rain'\]"),
        ("dragino/lse01", {"Bat": [3.6]}, "expected a column water_SOIL"),
        ("dragino/lse01", {n: [30.0] for n in ("Bat", "water_SOIL", "temp_SOIL", "conduct_SOIL")}, "to 16383"),
        ("parametric/tcr", {"solar_battery_volt": [4.0]}, "expected a column solar_panel_power"),
        ("parametric/tcr", {"volt": [4.0]}, r"got fields \['volt'\]"),
        ("decentlab/dl-atm41g2", {"wind_speed": [4.0]}, "beside the others of its sensor"),
    ],
)
def test_columns_that_cannot_be_encoded_give_one_clear_sentence(name, columns, reason):
    with pytest.raises(CodecError, match=reason):
        codecs.find(name).encode_many({field: np.array(values) for field, values in columns.items()})


def test_no_rows_are_no_payloads():
    assert codecs.find("milesight/em500-pt100").encode_many({"temperature": np.zeros(0)}) == (85, [])
    assert codecs.find("decentlab/dl-ctd10").encode_many({"battery_voltage": np.zeros(0)}) == (1, [])
