from datetime import UTC, datetime, timedelta

import pytest

from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, DeviceKey, Flag
from tests.samples import NOW, SENSOR, decoder, encoded

T = NOW.timestamp() - 60


def decode(pack, at=NOW):
    return decoder().decode(SENSOR, encoded(pack), at)


def code_of(pack):
    with pytest.raises(MessageRejectedError) as caught:
        decode(pack)
    return caught.value.code


def test_base_fields_apply_to_the_records_that_follow():
    message = decode(
        [
            {"bn": "gully-12/", "bt": T, "bu": "Cel", "bv": 10, "n": "air_temp_c", "v": 1.5},
            {"n": "surface_temp_c", "v": -12, "t": 5},
            {"bn": "gully-12/north/", "bv": 0, "n": "soil_moisture_pct:40", "u": "%", "v": 23},
        ]
    )

    assert message.device == DeviceKey("senml", "", "gully-12")
    assert [(o.channel, o.quantity, o.depth_cm, o.value) for o in message.observations] == [
        ("", "air_temp_c", None, 11.5),
        ("", "surface_temp_c", None, -2),
        ("north", "soil_moisture_pct", 40, 23),
    ]
    assert message.observations[1].observed_at == NOW - timedelta(seconds=55)
    assert (message.event_at, message.clock) == (NOW - timedelta(seconds=55), Clock.DEVICE)


@pytest.mark.parametrize(
    ("name", "unit", "value", "expected"),
    [
        ("water_level_mm", "m", 0.25, 250),
        ("water_level_mm", "mm", 250, 250),
        ("air_temp_c", "K", 273.15, 0),
        ("humidity_pct", "%RH", 80, 80),
        ("wind_speed_mps", "km/h", 36, 10),
        ("battery_v", None, 3.6, 3.6),
        ("pressure_hpa", "Pa", 101325, 1013.25),
    ],
)
def test_values_arrive_in_the_unit_that_ends_the_quantitys_name(name, unit, value, expected):
    record = {"n": name, "v": value, "bt": T} | ({"u": unit} if unit else {})

    (observation,) = decode([record]).observations

    assert observation.value == pytest.approx(expected)


def test_a_boolean_is_a_state():
    (observation,) = decode([{"n": "contact_open", "vb": True, "bt": T}]).observations

    assert observation.value == 1


@pytest.mark.parametrize("seconds", [0, -30, 2**27])
def test_a_time_relative_to_now_is_flagged_and_leaves_the_message_without_a_time_of_its_own(seconds):
    message = decode([{"n": "air_temp_c", "v": 1, "t": seconds}])

    (observation,) = message.observations
    expected = NOW if seconds > 0 else NOW + timedelta(seconds=seconds)
    assert (message.event_at, observation.observed_at, observation.flags) == (None, expected, Flag.CLOCK)
    assert (
        message.message_id == decode([{"n": "air_temp_c", "v": 1, "t": seconds}], NOW + timedelta(hours=1)).message_id
    )


@pytest.mark.parametrize("seconds", [1e9, 4.2e9, 1e300])
def test_a_time_that_cannot_be_believed_is_replaced_by_the_arrival(seconds):
    (observation,) = decode([{"n": "air_temp_c", "v": 1, "t": seconds}]).observations

    assert (observation.observed_at, observation.flags) == (NOW, Flag.CLOCK)


def test_absolute_times_keep_their_microseconds():
    (observation,) = decode([{"n": "air_temp_c", "v": 1, "t": 1773143000.123456}]).observations

    assert observation.observed_at == datetime.fromtimestamp(1773143000, UTC) + timedelta(microseconds=123456)


def test_a_value_out_of_range_is_flagged():
    (observation,) = decode([{"n": "air_temp_c", "v": 99, "bt": T}]).observations

    assert observation.flags == Flag.RANGE


@pytest.mark.parametrize(
    ("pack", "code"),
    [
        ([{"n": "temperature", "v": 1}], "unknown_quantity"),
        ([{"n": "other-device/air_temp_c/x", "v": 1}], "unknown_quantity"),
        ([{"n": "soil_moisture_pct:deep", "v": 1}], "unknown_quantity"),
        ([{"n": "air_temp_c", "u": "lx", "v": 1}], "unknown_unit"),
        ([{"n": "air_temp_c", "vs": "warm"}], "senml_value"),
        ([{"n": "air_temp_c", "vd": "AQ"}], "senml_value"),
        ([{"n": "vehicle_count", "s": 12}], "senml_value"),
        ([{"bn": "gully-12/"}], "senml_value"),
        ([{"bver": 11, "n": "air_temp_c", "v": 1}], "senml_version"),
        ([{"n": "air_temp_c", "v": 1, "scale_": 2}], "senml_label"),
        ([], "invalid_field"),
        ({"n": "air_temp_c", "v": 1}, "invalid_field"),
        ([{"n": "air_temp_c", "v": "1"}], "invalid_field"),
        ([{"n": "air_temp_c", "v": 1}] * 1001, "invalid_field"),
        ([{"n": "air_temp_c", "v": 1e308, "bv": 1e308}], "senml_value"),
    ],
)
def test_what_is_not_known_is_refused_by_name_and_with_the_whole_pack(pack, code):
    assert code_of(pack) == code


def test_labels_that_need_no_understanding_are_ignored():
    assert decode([{"n": "air_temp_c", "v": 1, "note": "x"}]).observations[0].value == 1
