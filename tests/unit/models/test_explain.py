"""Reasons in words."""

import numpy as np
import pytest

from models.explain import SEASON, explain, german, reasons_of_row
from models.features import FEATURE_SET


def reason(name: str, value: float, contribution: float):
    values, contributions = np.zeros(len(FEATURE_SET.names)), np.zeros(len(FEATURE_SET.names))
    values[FEATURE_SET.index(name)], contributions[FEATURE_SET.index(name)] = value, contribution
    return next(r for r in reasons_of_row(values, contributions) if r.feature == name)


def test_a_reason_says_value_and_factor_in_both_languages():
    result = reason("freeze_thaw_30d", 23, np.log(1.6))

    assert result.text_de == "23 Frost-Tau-Wechsel in 30 Tagen: ×1,6"
    assert result.text_en == "23 freeze–thaw cycles in 30 days: ×1.6"
    assert result.factor == pytest.approx(1.6)


@pytest.mark.parametrize(
    ("name", "value", "german_text", "english_text"),
    [
        ("days_since_repair", 1.2, "letzte Reparatur hier vor 1 Tag: ×2,0", "last repair here 1 day ago: ×2.0"),
        ("heavy_vehicles_per_day", 1250, "1.250 Schwerfahrzeuge am Tag: ×2,0", "1,250 heavy vehicles a day: ×2.0"),
        ("drainage", 2, "Entwässerung schlecht: ×2,0", "drainage poor: ×2.0"),
        ("pavement_class", 3, "Belastungsklasse Bk3,2: ×2,0", "pavement class Bk3.2: ×2.0"),
        ("bus_route", 1, "Buslinie: ja: ×2,0", "bus route: yes: ×2.0"),
        ("width_m", np.nan, "Fahrbahnbreite: unbekannt: ×2,0", "Width of the carriageway: unknown: ×2.0"),
    ],
)
def test_values_are_written_as_readers_expect(name, value, german_text, english_text):
    result = reason(name, value, np.log(2.0))

    assert (result.text_de, result.text_en) == (german_text, english_text)
    assert (result.value is None) == np.isnan(value)


def test_a_factor_below_one_keeps_two_decimals():
    assert reason("length_m", 80, np.log(0.62)).text_de == "Abschnitt 80 m lang: ×0,62"


def test_reasons_add_up_to_the_log_odds_and_come_strongest_first(trained):
    x = trained.test.features[:20]
    log_odds = trained.model.log_odds(x)
    for column, horizon in enumerate(trained.model.horizons_days):
        for row, reasons in enumerate(explain(trained.model, x, horizon)):
            total = trained.model.intercept_[column] + sum(r.contribution_log_odds for r in reasons)
            assert total == pytest.approx(log_odds[row, column])
            sizes = [abs(r.contribution_log_odds) for r in reasons]
            assert sizes == sorted(sizes, reverse=True)


def test_the_season_is_one_reason_with_its_month():
    values = np.zeros(len(FEATURE_SET.names))
    angle = 2 * np.pi * 45 / 365
    values[FEATURE_SET.index("season_sin")] = np.sin(angle)
    values[FEATURE_SET.index("season_cos")] = np.cos(angle)

    season = [r for r in reasons_of_row(values, np.zeros(values.size)) if r.feature.startswith("season")]

    assert [r.feature for r in season] == [SEASON]
    assert (season[0].text_de, season[0].text_en) == ("Jahreszeit (Februar): ×1,0", "time of year (February): ×1.0")
    assert season[0].value == 46


def test_only_so_many_reasons_as_asked_for(trained):
    assert {len(reasons) for reasons in explain(trained.model, trained.test.features[:5], 7, limit=4)} == {4}


def test_german_numbers_have_a_decimal_comma():
    assert german(1234.5, 1) == "1.234,5"
