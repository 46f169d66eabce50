"""The command as a user meets it: help with an example, errors in one sentence."""

import importlib
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from roadtwin.cli.main import COMMANDS, SUMMARIES, app


def run(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "roadtwin.cli.main", *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "100", **env},
        timeout=60,
    )


def test_help_lists_every_command():
    result = run("--help")

    assert result.returncode == 0, result.stderr
    assert [name for name in COMMANDS if f" {name} " not in result.stdout] == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_list_says_of_a_command_what_its_own_help_begins_with(command):
    whole = typer.main.get_command(importlib.import_module(COMMANDS[command]).app).help

    assert SUMMARIES[command] == whole.split("\n\n")[0].replace("\n", " ")


def test_the_list_of_commands_loads_none_of_them():
    code = "import sys; from roadtwin.cli.main import main\ntry: main()\nfinally: print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=60)

    assert result.returncode == 0, result.stderr
    assert not {"numpy", "psycopg", "sklearn", *COMMANDS.values()} & set(result.stdout.split("\n")[-2].split())


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_a_command_shows_an_example(command):
    """In this process: a new one for each command would spend its time on imports."""
    result = CliRunner().invoke(app, [command, "--help"], prog_name="roadtwin", env={"COLUMNS": "100"})

    assert result.exit_code == 0, result.output
    assert f"roadtwin {command}" in result.stdout.replace("Usage: roadtwin", "")


def test_a_wrong_setting_is_one_sentence_before_anything_is_opened():
    result = run("status", ROADTWIN_DATABASE_URL="mysql://nowhere", ROADTWIN_DATA_DIR="/nonexistent/readonly")

    assert result.returncode == 1
    assert result.stderr == ("roadtwin: ROADTWIN_DATABASE_URL: expected an address that begins with postgresql://.\n")
    assert result.stdout == ""


def test_an_unreachable_database_is_named_without_its_password():
    result = run("status", ROADTWIN_DATABASE_URL="postgresql://staff:hush@127.0.0.1:1/roads")

    assert result.returncode == 1
    assert "127.0.0.1" in result.stderr
    assert "hush" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_unknown_command_is_refused():
    result = run("fly")

    assert result.returncode == 2
    assert "fly" in result.stderr
