import os
import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ingest.profile import apply, load_profiles
from ingest.profile_files import profile_of
from roadtwin.errors import InputFileError
from roadtwin.telemetry import PROFILE_READS
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
        ('codec = "acme/x1"\n' + PROFILE, "got codec 'acme/x1', expected one of abeeway"),
        (PROFILE.replace("sentinels = [-5]", "sentinels = -5"), "expected a list of numbers"),
        (PROFILE.replace("minimum = -1", 'minimum = "low"'), "got minimum 'low', expected a number"),
        ("a = " + "[" * 5000, "no valid TOML"),
        ("a = " + "9" * 5000, "no valid TOML"),
        (PROFILE.replace("maximum = 4", "maximum = " + "9" * 400), "got maximum '9999.*expected a number"),
        ('name = "a"\nversion = 1\nfield = [1]', "got 1 as a field, expected a table"),
        (PROFILE.replace('path = "state"', 'path = "state"\ndepth_cm = true'), "expected depth_cm 0 to 10000"),
        (PROFILE.replace('channel = "left"', "channel = 5"), "got channel 5, expected a text"),
        (PROFILE.replace("CLOSED = 0", 'CLOSED = "0"'), "got values.CLOSED '0', expected a number"),
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


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["name", "version", "aliases", "codec", "field", "other"]), values),
    st.dictionaries(
        st.sampled_from(
            [
                "path",
                "quantity",
                "unit",
                "channel",
                "depth_cm",
                "depth_path",
                "sentinels",
                "minimum",
                "maximum",
                "values",
            ]
        ),
        values,
    ),
)
def test_whatever_a_file_holds_is_a_profile_or_refused(top, field):
    whole = {"name": "a", "version": 1, "field": [{"path": "a", "quantity": "air_temp_c", **field}], **top}

    for table in (whole, {**whole, "field": [{"path": "a", "quantity": "air_temp_c", **field}]}):
        try:
            found = profile_of("a.toml", table)
        except InputFileError:
            continue
        assert apply(found, {"a": 1.0}, AT, Flag.NONE)[1].keys() <= {"a"}


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


def test_a_profile_names_the_codec_of_its_device(tmp_path):
    assert profile(tmp_path, 'codec = "elsys/ers"\n' + PROFILE).codec == "elsys/ers"
    assert profile(tmp_path).codec is None


# -- read again while running ------------------------------------------------------------------------------------------


def write(path, text, seconds):
    """Write a file with a modification time of its own: a test is quicker than the clock of some file systems."""
    path.write_text(text)
    os.utime(path, (seconds, seconds))


def reads(outcome):
    return PROFILE_READS.labels(outcome)._value.get()


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "test.toml", PROFILE, 1_000)
    return tmp_path


def test_an_unchanged_folder_is_not_read_again(folder):
    library = load_profiles(folder)
    in_force = library.find("test")

    assert library.reload_if_changed() is False
    assert library.find("test") is in_force
    assert load_profiles().reload_if_changed() is False


@pytest.mark.parametrize("change", ["time", "size", "new", "gone"])
def test_a_changed_folder_is_read_again_and_built_in_profiles_stay(folder, change):
    library, loaded = load_profiles(folder), reads("loaded")

    if change == "time":
        write(folder / "test.toml", PROFILE.replace("version = 3", "version = 4"), 2_000)
    elif change == "size":
        write(folder / "test.toml", PROFILE.replace("version = 3", "version = 40"), 1_000)
    elif change == "new":
        write(folder / "more.toml", PROFILE.replace('"test"', '"more"').replace("Test Device", "More"), 1_000)
    else:
        (folder / "test.toml").unlink()

    assert library.reload_if_changed() is True
    assert library.reload_if_changed() is False
    assert reads("loaded") == loaded + 1
    found = library.find("test")
    assert (found and found.version) == {"time": 4, "size": 40, "new": 3, "gone": None}[change]
    assert (library.find("more") is not None) is (change == "new")
    assert library.find("surface-temperature") is not None


def test_removing_a_file_brings_the_built_in_profile_back(folder):
    write(folder / "test.toml", PROFILE.replace('"test"', '"surface-temperature"'), 1_000)
    library = load_profiles(folder)
    assert library.find("surface-temperature").version == 3

    (folder / "test.toml").unlink()

    assert library.reload_if_changed() is True
    assert library.find("surface-temperature").version == 1
    assert library.find("Test Device") is None


@pytest.mark.parametrize("broken", ["name = ", PROFILE.replace("battery_v", "battery"), b"\xff\xfe"])
def test_a_broken_file_keeps_all_profiles_and_is_told_once_until_it_is_mended(folder, broken):
    library, invalid = load_profiles(folder), reads("invalid")
    write(folder / "good.toml", PROFILE.replace('"test"', '"good"'), 1_000)
    (folder / "test.toml").write_bytes(broken if isinstance(broken, bytes) else broken.encode())

    with capture_logs() as logs:
        assert [library.reload_if_changed() for _ in range(3)] == [False, False, False]

    assert (library.find("test").version, library.find("good")) == (3, None)
    assert reads("invalid") == invalid + 1
    (told,) = [entry for entry in logs if entry["action"] == "profile_invalid"]
    assert str(folder / "test.toml") in told["reason"]

    write(folder / "test.toml", PROFILE.replace("version = 3", "version = 5"), 3_000)
    assert library.reload_if_changed() is True
    assert (library.find("test").version, library.find("good").version) == (5, 3)


def test_a_folder_that_vanishes_and_comes_back_changes_nothing_in_between(folder):
    library = load_profiles(folder)
    folder.rename(folder.with_name("away"))

    with capture_logs() as logs:
        assert library.reload_if_changed() is False
        assert library.reload_if_changed() is False

    assert [entry["action"] for entry in logs] == ["profile_invalid"]
    assert library.find("test").version == 3
    folder.with_name("away").rename(folder)
    assert library.reload_if_changed() is True


def test_a_link_to_nowhere_keeps_all_profiles(folder):
    library = load_profiles(folder)
    (folder / "link.toml").symlink_to(folder / "nowhere.toml")

    assert library.reload_if_changed() is False
    assert library.find("test").version == 3


def test_profiles_are_replaced_all_at_once(folder):
    """A thread that looks up while another reads again sees the old or the new profiles, never a mixture."""
    library = load_profiles(folder)
    seen, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            seen.add(len(library.names()))

    thread = threading.Thread(target=look)
    thread.start()
    before = len(library.names())
    for number in range(20):
        text = PROFILE.replace('"test"', f'"test-{number}"').replace("Test Device", f"Device {number}")
        write(folder / "test.toml", text, 10_000 + number)
        assert library.reload_if_changed() is True
    stop.set()
    thread.join()

    assert seen == {before}
