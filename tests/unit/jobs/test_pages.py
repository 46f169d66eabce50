"""The pages on how good forecasts are: they stand alone, in two languages, and say what the report says."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from models.evaluation import plain
from models.features import FEATURE_SET, GROUPS
from models.metrics import gain_curve, reliability, roc_curve
from models.resampling import FIGURES
from roadtwin.jobs.evaluate import CityMap, Evaluation
from roadtwin.jobs.evaluate_gates import gates_json, gates_of
from roadtwin.jobs.pages.backtest import backtest_page
from roadtwin.jobs.pages.evaluation import evaluation_page
from roadtwin.jobs.pages.worlds import worlds_page
from roadtwin.reporting.words import in_german

SAME_IN_BOTH = r"ROC-AUC|North|South| ?\d+|[−-]?\d+(?:,\d{3})*"


@pytest.fixture(scope="module")
def truth(world):
    measured = world(1)[1]
    ceilings = {"true_count_so_far": "count_so_far", "true_climatology": "climatology", "oracle": "informed"}
    horizon = dict(measured.json)
    horizon["intervals"] = measured.json["intervals"] | {
        name: measured.json["intervals"][of] for name, of in ceilings.items()
    }
    inside = {"share": 0.91, "below": 0.05, "above": 0.04, "by_fifth": [0.9, 0.92, 0.91, 0.88, 0.93]}
    return {
        "labels": {"true": [horizon], "recorded": [horizon]},
        "coverage": [{"mean_width": 0.2, "oracle": inside, "informed": inside}],
        "gates": plain(gates_json([*gates_of([measured], "true"), *gates_of([measured], "recorded")])),
        "events": {
            "true": 1200, "recall": 0.97, "precision": 0.93, "merged": 3, "missed": 30, "split": 8, "invented": 50,
            "delay_first_record_d": [3.4, 12.0], "delay_confirmed_d": [0.5, None],
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def evaluation(world, truth):
    horizons = [world(1)[1].json]
    splits = [
        {"kind": kind, "first_test_cut": "2026-01-05", "last_test_cut": "2026-12-07", "test_winters": 1,
         "horizons": horizons}
        for kind in ("temporal", "spatio-temporal", "spatial", "random")
    ]  # fmt: skip
    names = FEATURE_SET.names
    skill = horizons[0]["forecasts"]["model"]
    report = {
        "city": "Musterstadt", "data": "simulated", "headline": "spatio-temporal", "splits": splits,
        "splits_missing": [{"kind": "random", "reason_en": "Got 11 of 30.", "reason_de": "Es sind 11 von 30."}],
        "data_from": "2023-01-01T00:00", "data_until": "2026-12-31T00:00", "segments": 200, "rows": 9000,
        "test_rows": 2600, "blocks": 40, "crew_capacity": 20, "feature_set_version": 2, "rule_version": 2,
        "winters": {"recorded": 4, "tested": 1}, "split": {"block_m": 500.0, "test_from": "2026-01-01T00:00"},
        "intervals": {"share": 0.9, "draws": 40},
        "leakage_gap": [{"horizon_days": 28, "roc_auc": 0.0213, "brier_skill": 0.04}],
        "effects": {
            "horizon_days": 28,
            "features": [
                {"feature": name, "strength_log_odds": 0.5 / (n + 1), "effect": [[0.0, -0.3], [1.0, 0.1], [2.5, 0.4]]}
                for n, name in enumerate(names[:10])
            ],
        },
        "ablation": {
            "split": "spatio-temporal",
            "steps": [{"groups": list(GROUPS[: n + 1]), "horizons": [{"horizon_days": 28, **skill}]}
                      for n in range(len(GROUPS))],
        },
        "leaks": {
            "passed": False,
            "future_in_features": {"values": 1000, "changed": {"roughness_mps2": 7}, "passed": False,
                                   "not_checked": ["wearing_course_age_years", "heavy_vehicles_per_day"]},
            "shuffled_labels": {"roc_auc": [0.49], "passed": True},
            "embargo": {kind: {"least_gap_days": [None], "passed": None} for kind in ("temporal", "spatial")},
        },
        "truth": truth,
    }  # fmt: skip
    lines = tuple(np.array([[7.0 + 0.001 * n, 51.4], [7.0 + 0.001 * n, 51.401]]) for n in range(200))
    rng = np.random.default_rng(1)
    city_map = CityMap(28, lines, rng.random(200), np.where(np.arange(200) < 5, np.nan, rng.random(200)))
    return Evaluation(report, city_map, {})


@pytest.fixture(scope="module")
def of_worlds(world, truth):
    worlds = [world(seed)[1] for seed in range(3)]
    intervals = truth["labels"]["true"][0]["intervals"]
    return worlds_page(
        {
            "seeds": [11, 12, 13], "length_km": 120.0, "winters": 4, "until": "2026-11-24T00:00:00",
            "scenario": "ordinary",
            "gates": [
                gate for labels in ("true", "recorded") for gate in plain(gates_json(gates_of(worlds, labels)))
            ],
            "means": {"true": [{"horizon_days": 28, "forecasts": intervals}]},
            "worlds": [{"seed": seed, "truth": truth} for seed in (11, 12, 13)],
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def of_backtest():
    rng = np.random.default_rng(2)
    p = rng.random(500)
    labels = (rng.random(500) < p).astype(float)
    names = ("model", "count_so_far", "climatology")
    figures = {figure: [0.7, 0.65, 0.75] for figure in (*FIGURES, "events_on_worst_10_pct")}
    bins = [{"rows": b.rows, "predicted": b.predicted, "observed": b.observed} for b in reliability(labels, p)]
    return {
        "segments": 500, "horizon_days": 365, "cut": "2020-06-01", "window_end": "2021-06-01", "features": ["a", "b"],
        "training_windows": 8, "weather": "not given",
        "events": {"used": 9000, "rows": 9100, "left_out": {"without a date": 100}, "first_day": "2017-01-01",
                   "last_day": "2022-01-01", "sha256": "ab" * 32, "notes": ["lanes: 1 of 9 values unknown"],
                   "notes_de": ["lanes: 1 von 9 Werten unbekannt"]},
        "scored": {
            "events_in_window": 900, "segments_with_event": 250, "winters_tested": 1, "resamples": 200,
            "log": {"this_window": 1, "this_file": 5,
                    "while_made": {"this_window": 6, "this_file": 12, "level_rule_changes": 3}},
            "intervals": dict.fromkeys(names, figures), "model_minus": dict.fromkeys(names[1:], figures),
            "curves": {
                "reliability": dict.fromkeys(names, bins),
                "roc": dict.fromkeys(names, roc_curve(labels, p)),
                "gain": dict.fromkeys(names, gain_curve(labels, p)),
            },
        },
    }  # fmt: skip


class _Page(HTMLParser):
    """Ids of figures, and addresses that would be fetched."""

    def __init__(self, text):
        super().__init__()
        self.figures, self.fetched = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "figure":
            self.figures.add(found["id"])
        self.fetched += [
            found[name]
            for name in ("src", "href", "xlink:href")
            if name in found and not found[name].startswith(("data:", "#"))
        ]


def untranslated(page):
    """Texts of drawings that stand in English only."""
    texts = [text.replace("&gt;", ">").replace("&amp;", "&") for text in re.findall(r"<text[^>]*>([^<]+)</text>", page)]
    return {text for text in texts if not re.fullmatch(SAME_IN_BOTH, text) and in_german(text, {}) == text}


@pytest.fixture(scope="module")
def of_city(evaluation):
    return evaluation_page(evaluation)


def test_the_page_of_a_city_stands_alone_and_in_two_languages(of_city):
    page = _Page(of_city)

    assert page.figures == {
        "splits", "roc", "gain", "reliability", "balance", "map", "ceilings", "coverage", "ablation", "effects"
    }  # fmt: skip
    assert page.fetched == []
    assert untranslated(of_city) == set()
    assert not re.search(r"\bnan\b|\binf\b", re.sub(r'data:image/png[^"]*', "", of_city))


def test_the_page_of_a_city_says_what_no_interval_says(of_city):
    assert "Winters tested: 1 of the 4 recorded." in of_city
    assert "Geprüfte Winter: 1 von 4 aufgezeichneten." in of_city
    assert "+0.021 ROC-AUC" in of_city
    assert "+0,021 ROC-AUC" in of_city
    assert "7 of 1,000 values differ" in of_city
    assert "the road register said of every segment: its attributes (Age of the wearing course; " in of_city
    assert "was im Straßenregister stand: dessen Angaben (Alter der Deckschicht; " in of_city
    assert of_city.count("nothing to check") == of_city.count("nichts zu prüfen") == 1
    assert of_city.count('class="missed"') >= 1


def test_the_page_of_worlds_names_seeds_and_gates(of_worlds):
    page = _Page(of_worlds)

    assert page.figures == {"ceilings", "worlds"}
    assert page.fetched == []
    assert untranslated(of_worlds) == set()
    assert "11, 12, 13" in of_worlds
    assert "Kriterien an wahren Zielwerten" in of_worlds
    assert of_worlds.count('class="met"') > 20


def test_the_page_of_a_backtest_counts_winters_and_scorings(of_backtest):
    text = backtest_page(of_backtest)
    page = _Page(text)

    assert page.figures == {"roc", "gain", "reliability"}
    assert page.fetched == []
    assert untranslated(text) == set()
    assert "The window holds 1 winter:" in text
    assert "Das Fenster enthält 1 Winter:" in text
    assert "scored 1 time on this machine, windows of this file 5 times." in text
    assert "While the method was made, this window was scored 6 times, windows of this file 12 times." in text
    assert "The rule for the level was changed 3 times after windows of this file had been seen" in text
    assert "wurde 3-mal geändert" in text
    assert '<span lang="en">lanes: 1 of 9 values unknown</span><span lang="de">lanes: 1 von 9 Werten unb' in text
    assert "(s)" not in text


def test_files_that_the_method_was_not_made_on_have_no_such_sentence(of_backtest):
    log = of_backtest["scored"]["log"] | {"while_made": None}
    text = backtest_page(of_backtest | {"scored": of_backtest["scored"] | {"log": log}})

    assert "method was made" not in text
    assert "scored 1 time on this machine" in text


def test_a_backtest_that_was_not_scored_says_so(of_backtest):
    text = backtest_page(of_backtest | {"scored": None})

    assert _Page(text).figures == set()
    assert "Nicht bewertet" in text
