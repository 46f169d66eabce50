from datetime import UTC, datetime

import pytest

from ingest.profile import apply, load_profiles
from roadtwin.errors import InputFileError
from roadtwin.types import Flag

AT = datetime(2026, 3, 10, tzinfo=UTC)
PROFILE = """
name = "test"
version = 3
aliases = ["Test Device"]
[[field]]
path = "probe.0.level"
quantity = "water_level_mm"
unit = "m"
channel = "left"
sentinels = [-5]
minimum = -1
maximum = 4
[[field]]
path = "state"
quantity = "contact_open"
values = { OPEN = 1, CLOSED = 0 }
[[field]]
path = "Bat"
quantity = "battery_v"
unit = "V"
"""


def profile(tmp_path, text=PROFILE):
    (tmp_path / "test.toml").write_text(text)
    return load_profiles(tmp_path).find("Test Device")


def measure(tmp_path, decoded):
    observations, problems = apply(profile(tmp_path), decoded, AT, Flag.NONE)
    return [(o.channel, o.quantity, o.value, o.flags) for o in observations], problems


@pytest.mark.parametrize(
    ("decoded", "expected"),
    [
        ({"probe": [{"level": 1.25}]}, ("left", "water_level_mm", 1250, Flag.NONE)),
        ({"probe": [{"level": "1.25"}]}, ("left", "water_level_mm", 1250, Flag.NONE)),
        ({"probe": [{"level": -5}]}, ("left", "water_level_mm", -5000, Flag.SENTINEL)),
        ({"probe": [{"level": 4.5}]}, ("left", "water_level_mm", 4500, Flag.RANGE)),
        ({"state": "OPEN"}, ("", "contact_open", 1, Flag.NONE)),
        ({"state": False}, ("", "contact_open", 0, Flag.NONE)),
        ({"Bat": "3.384 V"}, ("", "battery_v", 3.384, Flag.NONE)),
        ({"Bat": "3.384V"}, ("", "battery_v", 3.384, Flag.NONE)),
    ],
)
def test_fields_become_canonical_quantities(tmp_path, decoded, expected):
    assert measure(tmp_path, decoded) == ([expected], {})


@pytest.mark.parametrize("value", ["No Sensor", "3.384 mV", [3], {"v": 3}, 10**400, "1e999", "NaN", "", "٣"])
def test_what_is_no_number_in_the_fields_unit_gives_no_observation_and_says_why(tmp_path, value):
    observations, problems = measure(tmp_path, {"Bat": value})

    assert observations == []
    assert list(problems) == ["Bat"]


@pytest.mark.parametrize("decoded", [{}, {"probe": []}, {"probe": {"0": 1}}, {"probe": None}, {"Bat": None}, {"x": 1}])
def test_missing_fields_are_simply_not_there(tmp_path, decoded):
    assert measure(tmp_path, decoded) == ([], {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = ", "no valid TOML"),
        ('version = 1\n[[field]]\npath = "a"\nquantity = "air_temp_c"', "expected a name"),
        ('name = "a"\nversion = 0\n[[field]]\npath = "a"\nquantity = "air_temp_c"', "expected 1 to 32767"),
        ('name = "a"\nversion = 1', r"at least one \[\[field\]\]"),
        (PROFILE + 'colour = "red"', "unknown keys"),
        (PROFILE.replace("battery_v", "battery"), "got quantity 'battery'"),
        (PROFILE.replace('unit = "V"', 'unit = "m"'), "got unit 'm'"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_file_and_reason(tmp_path, text, reason):
    with pytest.raises(InputFileError, match=reason):
        profile(tmp_path, text)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="expected a folder"):
        load_profiles(tmp_path / "none")


def test_own_profiles_win_over_built_in_ones(tmp_path):
    profile(tmp_path, PROFILE.replace('"test"', '"surface-temperature"'))

    assert load_profiles(tmp_path).find("surface-temperature").version == 3
    assert load_profiles().find("surface-temperature").version == 1


@pytest.mark.parametrize(
    "name", ["surface-temperature", "soil-moisture-profile", "weather-station", "water-level", "SW3L"]
)
def test_the_devices_we_simulate_and_know_have_profiles(name):
    assert load_profiles().find(name) is not None
    assert load_profiles().find(None) is None
