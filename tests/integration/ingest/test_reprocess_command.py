"""`roadtwin reprocess` as an operator runs it."""

import json

import pytest
from typer.testing import CliRunner

from ingest.decode import open_decoder
from roadtwin.cli.reprocess import app
from roadtwin.errors import ReprocessError
from roadtwin.settings import Settings
from roadtwin.storage.messages import write_batch
from roadtwin.types import Origin
from tests.integration.ingest.conftest import fetch
from tests.samples import APPLICATION, CHIRPSTACK_UP, DEV_EUI, NOW, chirpstack, encoded

RUNNER = CliRunner()
PROFILE = (
    'name = "{}"\nversion = {}\n[[field]]\npath = "surface_temperature"\nquantity = "surface_temp_c"\nunit = "{}"\n'
)


@pytest.fixture
def profiles(tmp_path):
    folder = tmp_path / "profiles"
    folder.mkdir()
    return folder


@pytest.fixture
def reprocess(database_url, profiles, tmp_path):
    environment = {
        "ROADTWIN_DATABASE_URL": database_url,
        "ROADTWIN_DEVICE_PROFILES_DIR": str(profiles),
        "ROADTWIN_DATA_DIR": str(tmp_path),
    }

    def run(*arguments):
        result = RUNNER.invoke(app, list(arguments), env=environment, catch_exceptions=True)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            result.exception.add_note(result.stdout)
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def store(conn, profiles, tmp_path, *, events):
    settings = Settings(data_dir=tmp_path, device_profiles_dir=profiles)
    messages = [open_decoder(settings).decode(CHIRPSTACK_UP, encoded(event), NOW) for event in events]
    write_batch(conn, messages, [], worker="test", origin=Origin.MQTT)


def test_the_fix_of_a_profile_is_applied_to_what_is_kept_and_counted_the_same_when_run_again(
    db, profiles, tmp_path, reprocess
):
    (profiles / "own.toml").write_text(PROFILE.format("surface-temperature", 1, "°C"))
    events = [
        chirpstack(deduplicationId=f"cli-{n}", fCnt=n, time=f"2026-03-10T11:00:{n:02d}Z", object={key: 300 + n})
        for n, key in enumerate(["surface_temperature"] * 3)
    ]
    store(db, profiles, tmp_path, events=events)
    (profiles / "own.toml").write_text(PROFILE.format("surface-temperature", 2, "K"))

    planned = json.loads(reprocess("--profile", "surface-temperature", "--dry-run", "--json"))
    first = json.loads(reprocess("--profile", "surface-temperature", "--json"))
    second = json.loads(reprocess("--device", f"chirpstack-v4/{APPLICATION}/{DEV_EUI}", "--json"))
    by_number = reprocess("--device-id", "1", "--since", "2026-03-10T11:00:01Z", "--until", "2026-03-10T11:00:02Z")

    assert planned == first | {"dry_run": True}
    assert (first["messages"], first["observations_new"], first["observations_superseded"]) == (3, 3, 3)
    assert (second["messages"], second["observations_new"], second["observations_duplicate"]) == (3, 0, 3)
    assert "0 new, 3 there already, 0 superseded" in by_number  # what arrived together is taken together
    values = "SELECT round(value::numeric, 2)::float FROM observation WHERE superseded_at IS NULL ORDER BY observed_at"
    assert fetch(db, values) == [(26.85,), (27.85,), (28.85,)]


def test_a_profile_changed_without_a_new_version_ends_with_an_error_that_says_what_to_do(
    db, profiles, tmp_path, reprocess
):
    (profiles / "own.toml").write_text(PROFILE.format("surface-temperature", 1, "°C"))
    store(db, profiles, tmp_path, events=[chirpstack()])
    (profiles / "own.toml").write_text(PROFILE.format("surface-temperature", 1, "K"))

    with pytest.raises(ReprocessError, match=r"surface-temperature is version 1 .* set version = 2 or higher") as info:
        reprocess()

    assert "1 messages stay as they were" in info.value.__notes__[0]
    assert "1 new, 0 there already, 1 superseded" in reprocess("--as-version", "2")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--code", "unknown_topic"), "expected --rejected"),
        (("--rejected", "--device-id", "1"), "only its reason"),
        (("--device", "a", "--device-id", "1"), "expected one of them"),
        (("--device-id", "77"), "Got device id 77"),
        (("--profile", "nothing-like-it"), "--profile: got 'nothing-like-it', expected one of"),
        (("--since", "yesterday"), "--since: got 'yesterday', expected RFC 3339"),
        (("--format", "vehicle-v1"), "Got format vehicle-v1"),
        (("--format", "chirpstack"), "expected one of chirpstack-v3-json, chirpstack-v3-protobuf"),
        (("--since", "2026-03-02T00:00:00Z", "--until", "2026-03-01T00:00:00Z"), "expected a time after --since"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(reprocess, arguments, sentence):
    with pytest.raises(ReprocessError, match=sentence):
        reprocess(*arguments)


def test_rejected_messages_are_tried_again(db, profiles, tmp_path, reprocess):
    (profiles / "own.toml").write_text(PROFILE.format("surface-temperature", 1, "°C"))
    settings = Settings(data_dir=tmp_path, device_profiles_dir=profiles)
    good = open_decoder(settings).rejected(CHIRPSTACK_UP, encoded(chirpstack()), NOW, "unknown_topic", "once")
    write_batch(db, [], [good], worker="test", origin=Origin.MQTT)

    text = reprocess("--rejected", "--code", "unknown_topic")

    assert "1 tried again = 1 stored + 0 stored meanwhile" in text
    assert "Messages: 1 read. Observations: 1 new" in text
    assert "Messages: 0 read. Observations: 0 new" in reprocess("--rejected")
