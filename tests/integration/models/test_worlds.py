"""`roadtwin evaluate --worlds`: whole cities made, evaluated on the hold-out in space and time, and dropped."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from roadtwin.cli.evaluate import app as evaluate_app
from roadtwin.errors import NotEnoughHistoryError
from roadtwin.jobs.evaluate_worlds import temporary_database
from roadtwin.storage.database import connect

# The smallest cities whose records hold enough new potholes to calibrate every fold on its own time slice.
SMALL = ("--km", "8", "--winters", "3", "--until", "2026-06-01", "--draws", "20", "--truth-cuts", "2")
SEEDS = (5, 6)


def databases(url: str) -> set[str]:
    with connect(url) as conn:
        return {name for (name,) in conn.execute("SELECT datname FROM pg_database").fetchall()}


@pytest.mark.slow
def test_worlds_are_made_evaluated_and_dropped_and_their_means_held_against_the_gates(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setenv("ROADTWIN_DATABASE_URL", database_url)
    out, page, before = tmp_path / "worlds.json", tmp_path / "worlds.html", databases(database_url)

    done = CliRunner().invoke(
        evaluate_app, ["--worlds", "2", "--seed", "5", *SMALL, "--out", str(out), "--page", str(page)]
    )

    assert done.exit_code == 0, done.exception
    report = json.loads(out.read_text("utf-8"))
    assert "Seeds: 5, 6; 8 km, 3 winters, until 2026-05-31 22:00 UTC." in done.stdout
    kept = sum(gate["passed"] for gate in report["gates"] if gate["labels"] == "true")
    asked = sum(gate["labels"] == "true" for gate in report["gates"])
    assert f"{kept} of {asked} gates on true labels are kept." in " ".join(done.stdout.split())
    assert databases(database_url) == before
    with connect(database_url) as conn:
        assert conn.execute("SELECT count(*) FROM segment").fetchone() == (0,)
    assert [world["seed"] for world in report["worlds"]] == report["seeds"] == list(SEEDS)
    assert {world["headline"] for world in report["worlds"]} == {"spatio-temporal"}
    for world in report["worlds"]:
        _check_world(world)
    assert report["passed"]["true"] is (kept == asked)
    for labels in ("true", "recorded"):
        _check_means(report, labels)
    assert page.stat().st_size > 50_000


def _check_world(world: dict[str, Any]) -> None:
    """No leak; the truth of every segment at each of the two cuts; no forecast beats what knows most."""
    assert world["leaks"]["passed"], world["leaks"]
    assert len(world["truth"]["cuts"]) == 2
    true, recorded = (world["truth"]["labels"][labels][0]["forecasts"] for labels in ("true", "recorded"))
    assert true["model"]["rows"] == world["segments"] * 2
    assert 0 < recorded["model"]["rows"] <= true["model"]["rows"]
    assert world["truth"]["events"]["recall"] > 0.9


def _check_means(report: dict[str, Any], labels: str) -> None:
    """The mean over worlds is that of their figures; a figure that a world has not got has no mean."""
    checked = 0
    for number, mean in enumerate(report["means"][labels]):
        for name, figures in mean["forecasts"].items():
            value, low, high = figures["brier_skill"]
            worlds = [w["truth"]["labels"][labels][number]["forecasts"][name]["brier_skill"] for w in report["worlds"]]
            if None in worlds:
                assert value is None
                continue
            assert value == pytest.approx(sum(worlds) / 2, abs=2e-6)  # both are rounded
            assert low < high
            checked += 1
    assert checked >= 2 * 7  # of two horizons, at least, every forecast


def test_the_database_of_a_world_is_dropped_also_when_its_evaluation_fails(database_url):
    before, made = databases(database_url), set()

    def fail() -> None:
        with temporary_database(database_url) as url:
            made.update(databases(url) - before)
            with connect(url) as conn:
                assert conn.execute("SELECT count(*) FROM segment").fetchone() == (0,)
            raise NotEnoughHistoryError("too few")

    with pytest.raises(NotEnoughHistoryError, match="too few"):
        fail()
    assert len(made) == 1
    assert databases(database_url) == before
