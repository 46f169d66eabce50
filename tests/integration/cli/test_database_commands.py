"""`roadtwin migrate`, `status` and `key` as a person runs them."""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def roadtwin(empty_database_url):
    """Run the command on an empty database of this test's own."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "roadtwin.cli.main", *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"ROADTWIN_DATABASE_URL": empty_database_url} | environment,
        )

    return run


def test_status_of_an_unmigrated_database_is_one_sentence_with_the_remedy(roadtwin):
    result = roadtwin("status")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "roadtwin: The database has no Roadtwin schema yet: run `roadtwin migrate`.\n"


def test_migrate_then_status_tells_mode_and_schema_version(roadtwin):
    migrated = json.loads(roadtwin("migrate", "--json").stdout)
    status = json.loads(roadtwin("status", "--json").stdout)

    assert migrated["migrations"][0] == "0001_network"
    assert (status["mode"], status["schema_version"]) == ("plain", len(migrated["migrations"]))
    assert status["last_batch"] is None
    assert set(status["counts"].values()) == {0}
    assert "0 received = 0 stored + 0 duplicate + 0 rejected" in roadtwin("status").stdout


def test_a_key_is_printed_once_and_never_listed(roadtwin):
    roadtwin("migrate")
    created = roadtwin("key", "create", "crew", "--role", "editor")

    assert created.returncode == 0
    key = created.stdout.strip()
    assert key.startswith("rt_")
    listed = roadtwin("key", "list", "--json").stdout
    assert key not in listed
    assert [(row["name"], row["role"], row["revoked_at"]) for row in json.loads(listed)] == [("crew", "editor", None)]
    assert roadtwin("key", "revoke", "crew").returncode == 0
    assert "revoked" in roadtwin("key", "list").stdout


def test_a_database_that_does_not_answer_is_named_without_its_password(roadtwin):
    result = roadtwin("status", ROADTWIN_DATABASE_URL="postgresql://someone:geheim@127.0.0.1:1/nowhere")

    assert result.returncode == 1
    assert "nowhere at 127.0.0.1:1 cannot be reached" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "geheim" not in result.stderr


def test_asking_for_the_status_makes_no_database(data_dir):
    environment = {name: value for name, value in os.environ.items() if name != "ROADTWIN_DATABASE_URL"}
    result = subprocess.run(
        [sys.executable, "-m", "roadtwin.cli.main", "status"],
        check=False,
        capture_output=True,
        text=True,
        env=environment | {"ROADTWIN_DATA_DIR": str(data_dir / "none")},
    )

    assert result.returncode == 1
    assert "There is no database in" in result.stderr
    assert not (data_dir / "none").exists()
