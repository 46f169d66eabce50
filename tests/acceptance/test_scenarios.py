"""Every scenario of the library through the whole product: history, ingest, twin, model, scores and API."""

import json

import pytest

from roadtwin.cli.demo import PHASES
from simulators.scenario import scenario_names
from tests.acceptance.conftest import roadtwin

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_runs_through_the_whole_product(name, data_dir):
    city = ("--km", "15", "--winters", "3", "--seed", "5")

    result = roadtwin("demo", *city, "--scenario", name, "--once", "--json", DATA_DIR=str(data_dir))

    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads(result.stdout)
    assert [check for check in summary["checks"] if not check["ok"]] == []
    assert summary["stored"] > 3000
    told = [line.split(" s  ")[-1] for line in result.stderr.splitlines()]
    assert [title for title in PHASES.values() if told.count(title) != 1] == []


def test_a_city_keeps_its_scenario(data_dir, tmp_path):
    settings = {"DATA_DIR": str(data_dir)}
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\ntitle = "t"\ntitle_de = "t"\nsummary = "s"\n[[fault]]\nkind = "packet-loss"\n')
    first = roadtwin("demo", "--km", "5", "--winters", "3", "--scenario", str(own), "--once", "--json", **settings)
    assert first.returncode == 0, first.stdout + first.stderr

    again = roadtwin("demo", "--once", "--json", **settings)
    other = roadtwin("demo", "--once", "--json", "--scenario", "hard-winter", **settings)

    assert again.returncode == 0, again.stdout + again.stderr
    assert other.returncode == 1
    assert "has the scenario 'own', not 'hard-winter'" in other.stderr
