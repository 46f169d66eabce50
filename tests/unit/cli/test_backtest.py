"""`roadtwin backtest` as a user meets it, on an invented city, and on San Antonio where its file is at hand."""

import csv
import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from roadtwin.cli.backtest import app
from roadtwin.errors import RoadtwinError

SHARED = Path(os.environ.get("ROADTWIN_SHARED_DIR") or Path(__file__).resolve().parents[4] / "shared")
SAN_ANTONIO = SHARED / "data" / "san_antonio" / "potholes_segments_dated.csv.gz"


def run(*arguments, data_dir):
    return subprocess.run(
        [sys.executable, "-m", "roadtwin.cli.main", "backtest", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "ROADTWIN_DATA_DIR": str(data_dir)},
        timeout=300,
    )


@pytest.fixture
def events(tmp_path):
    """Two years of events of 600 segments; the first hundred have most of them."""
    rng = np.random.default_rng(1)
    rate = np.where(np.arange(600) < 100, 3.0, 0.4)
    path = tmp_path / "events.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "day"])
        for segment, count in enumerate(rng.poisson(2 * rate)):
            for day in rng.integers(0, 730, count):
                writer.writerow([f"s{segment:03d}", date(2023, 1, 1) + timedelta(days=int(day))])
        writer.writerow(["s000", "2024-12-30"])
    return path


def test_a_window_is_predicted_scored_and_counted(tmp_path, events):
    common = ("--events", events, "--segment-column", "id", "--date-column", "day", "--out", tmp_path / "p.csv")

    first = run(*common, "--cut", "2024-06-01", "--horizon-days", 180, "--json", data_dir=tmp_path)
    again = run(
        *common, "--cut", "2024-06-01", "--horizon-days", 180, "--report", tmp_path / "r.html", data_dir=tmp_path
    )

    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    scored = report["scored"]
    assert scored["log"] == {"file": "backtests.jsonl", "this_window": 1, "this_file": 1}
    assert scored["winters_tested"] == 0
    assert scored["forecasts"]["model"]["roc_auc"] > 0.65
    assert 0.7 < scored["forecasts"]["model"]["predicted_over_observed"] < 1.4
    assert set(scored["forecasts"]) == {"model", "count_so_far", "climatology"}
    assert "This window was scored 2 times" in again.stdout
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "This window was scored 2 time(s) on this machine" in page
    assert page.count("<figure") == 3
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert len(rows) == report["segments"]
    assert all(0 < float(row["probability"]) < 1 for row in rows)
    assert [row["probability"] for row in rows] == sorted((r["probability"] for r in rows), reverse=True)


def test_a_window_that_is_not_over_is_predicted_and_not_scored(tmp_path, events):
    result = run(
        *("--events", events, "--segment-column", "id", "--date-column", "day", "--out", tmp_path / "p.csv"),
        *("--cut", "2024-12-01", "--horizon-days", 90),
        data_dir=tmp_path,
    )

    assert result.returncode == 0, result.stderr
    assert "Not scored: the window ends on 2025-03-01, the file on 2024-12-3" in result.stdout
    assert not (tmp_path / "backtests.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"--cut": "June"}, "--cut: got 'June', expected a date"),
        ({"--cut": "2023-02-01"}, "days of events before the cut, expected at least 148"),
        ({"--horizon-days": "0"}, "Horizon: got 0 days"),
        ({"--segment-column": "nowhere"}, "expected one named 'nowhere'"),
        ({"--format": "excel"}, "--format: got 'excel', expected one of columns, houston"),
        ({"--format": "houston"}, "--format houston names its columns itself"),
        ({"--events": "/nowhere.csv"}, "/nowhere.csv: cannot be read"),
        ({"--out": "/nowhere/p.csv"}, "there is no such folder"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, events, changes, sentence):
    options = {
        "--events": str(events), "--segment-column": "id", "--date-column": "day", "--cut": "2024-06-01",
        "--horizon-days": "30", "--out": str(tmp_path / "p.csv"),
    } | changes  # fmt: skip

    words = [word for pair in options.items() for word in pair]
    result = CliRunner().invoke(app, words, env={"ROADTWIN_DATA_DIR": str(tmp_path)})

    assert isinstance(result.exception, RoadtwinError)
    assert sentence in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.slow
@pytest.mark.skipif(not SAN_ANTONIO.exists(), reason="needs ../shared/data/san_antonio")
def test_san_antonio_beats_the_count_so_far(tmp_path):
    result = run(
        *("--events", SAN_ANTONIO, "--segment-column", "CartID", "--date-column", "date"),
        *("--street-column", "MSAG_Name", "--cut", "2020-06-01", "--horizon-days", 365),
        *("--out", tmp_path / "p.csv", "--json"),
        data_dir=tmp_path,
    )

    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    model, count = (report["scored"]["forecasts"][name] for name in ("model", "count_so_far"))
    assert report["segments"] == 11_305
    assert report["events"]["used"] == 46_039
    assert count["roc_auc"] == pytest.approx(0.621, abs=0.001)
    assert report["scored"]["model_minus_count_so_far_roc_auc"]["low"] > 0
    assert model["brier_skill"] > count["brier_skill"]
    assert model["events_on_worst_10_pct"] > count["events_on_worst_10_pct"]
    assert 0.9 < model["predicted_over_observed"] < 1.1
