"""Deciding on the page: jobs on the list and the map, what if, inspections by lot, decisions."""

import re
from datetime import UTC, datetime

import pytest

from roadtwin.jobs.draw import draw_inspections
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from tests.service_city import KEYS
from tests.service_model import add_model, make_artefact


@pytest.fixture
def modelled(visit):
    """The page of a city with a model."""
    with connect(visit.site.database_url) as db:
        if db.execute("SELECT count(*) FROM feature_row").fetchone() == (0,):
            add_model(db, visit.site.city, make_artefact())
    visit.page.reload()
    return visit


def test_jobs_are_told_by_crew_and_an_open_one_is_shown_on_the_map(visit):
    visit.wait_for_map()
    page = visit.page
    page.locator("#tab-jobs").click()
    first = page.locator(".job-head").first
    first.wait_for()
    assert "Kolonne 1" in page.locator(".crew h3").first.inner_text()
    assert re.search(r"\d h \d+ min", first.locator(".side").inner_text())
    assert "spart" in page.locator(".summary").inner_text()
    planned = page.locator(".map-job").count()
    assert planned == page.locator('.job-head .job-mark:text-matches("^[0-9]")').count() > 0
    first.click()
    tasks = page.locator(".job.open .job-tasks .task")
    tasks.first.wait_for()
    ids = [tasks.nth(i).get_attribute("data-segment") for i in range(tasks.count())]
    marked = """id => document.querySelector("road-map").map.getFeatureState({source: "segments", id}).job === true"""
    assert all(page.evaluate(marked, id_) for id_ in ids)
    assert page.locator(".map-job.open").count() == 1
    page.locator("#tab-potholes").click()
    page.wait_for_function("() => document.querySelectorAll('.map-job').length === 0")
    assert not page.evaluate(marked, ids[0])


def test_other_crews_and_hours_make_other_jobs(visit):
    page = visit.page
    page.locator("#tab-jobs").click()
    page.locator(".job-head").first.wait_for()
    page.locator('[data-focus="crews"]').fill("1")
    page.locator('[data-focus="crews"]').press("Tab")
    page.locator('[data-focus="hours"]').fill("1")
    page.locator('[data-focus="hours"]').press("Tab")
    page.locator(".crew.left", has_text="Passt heute nicht mehr").wait_for()
    assert page.locator(".crew").count() == 2


def test_a_job_chosen_on_the_map_opens_in_the_list(visit):
    visit.wait_for_map()
    visit.page.locator("#tab-jobs").click()
    mark = visit.page.locator(".map-job").last
    mark.wait_for()
    number = mark.get_attribute("data-job")
    mark.dispatch_event("click")
    visit.page.locator(f'.job.open [data-job="{number}"]').wait_for()


def test_what_if_tells_before_and_after_for_every_horizon_with_its_assumptions(modelled):
    page = modelled.page
    page.locator("#tab-inspect").click()
    page.locator(".task").first.click()
    panel = page.locator("what-if")
    panel.locator('[data-whatif="treatment"]').select_option("resurfacing")
    panel.locator("table.whatif").wait_for()
    assert panel.locator("tbody tr").count() == 3
    now, treated = (panel.locator("tr.now td").nth(i).inner_text() for i in (1, 2))
    assert now != treated
    assert "kein Beweis" in panel.locator(".assumptions").inner_text()
    panel.locator('[data-whatif="weather"]').select_option("frost_thaw")
    panel.locator("th", has_text="nach dem Wetter").wait_for()
    panel.locator('[data-whatif="weather_days"]').select_option("28")
    panel.locator('.assumptions [data-code="counts_from_the_end"]', has_text="28 Tage").wait_for()
    page.locator('input[name=language][value="en"]').check()
    panel.locator("th", has_text="after the weather").wait_for()
    assert "no proof" in panel.locator(".assumptions").inner_text()
    # Another segment is asked the same.
    page.locator(".task").nth(1).click()
    panel.locator("table.whatif").wait_for()
    assert panel.locator('[data-whatif="treatment"]').input_value() == "resurfacing"


def test_what_cannot_be_answered_is_said_in_the_panel(visit):
    """The shared city has scores without feature rows until a test gives it a model."""
    page = visit.page
    page.locator("#tab-inspect").click()
    page.locator(".task").first.click()
    with connect(visit.site.database_url) as db:
        db.execute("DELETE FROM feature_row")
        db.commit()
    page.locator('[data-whatif="treatment"]').select_option("resurfacing")
    page.locator("what-if .form-problem", has_text="No segment with a score").wait_for()


@pytest.mark.writes
def test_a_decision_from_the_list_is_kept_with_its_score_and_counts_as_decided(visit):
    page = visit.page
    page.locator("#tab-inspect").click()
    page.locator(".summary", has_text="ohne Entscheidung").wait_for()
    before = int(re.search(r"\d+", page.locator(".summary .bad").inner_text()).group())
    segment_id = page.locator(".task").first.get_attribute("data-segment")
    page.locator(f'[data-decide="{segment_id}"]').focus()
    page.keyboard.press("Enter")
    assert "34 % in 28 Tagen" in page.locator("dialog .hint").first.inner_text().replace("\xa0", " ")
    page.locator("select[name=action]").select_option("none")
    assert page.locator("textarea[name=note]").evaluate("e => e.required")
    page.locator("select[name=action]").select_option("inspect")
    page.locator("input[name=key]").fill(KEYS["editor"])
    page.locator("dialog button[type=submit]").click()
    page.locator(".task", has_text="entschieden: kontrollieren").wait_for()
    assert f"{before - 1} ohne Entscheidung" in page.locator(".summary").inner_text()
    with connect(visit.site.database_url) as db:
        kept = db.execute("SELECT horizon_days, probability, rank, score_as_of FROM decision").fetchone()
    assert (kept[0], round(kept[1], 2), kept[2], kept[3]) == (28, 0.34, 1, visit.site.city.as_of)


@pytest.mark.writes
def test_inspections_by_lot_are_marked_with_their_probability(visit):
    city = visit.site.city
    with connect(visit.site.database_url) as db:
        settings = Settings(_secrets_dir=None, crew_capacity=8, random_inspection_share=0.25)
        draw_inspections(db, settings, score_as_of=city.as_of, now=datetime.now(UTC))
        db.commit()
    visit.page.reload()
    visit.page.locator("#tab-inspect").click()
    visit.page.locator('[data-focus="capacity"]').fill("8")
    visit.page.locator('[data-focus="capacity"]').press("Enter")
    lot = visit.page.locator(".chip.lot")
    lot.first.wait_for()
    assert lot.count() == 2
    assert "Wahrscheinlichkeit" in lot.first.get_attribute("title")
    assert "2 ausgelost" in visit.page.locator(".summary").inner_text()


def test_a_tab_that_is_pressed_while_the_list_is_made_anew_opens(visit):
    page = visit.page
    page.locator(".task").first.wait_for()
    page.locator("#tab-jobs").hover()
    page.mouse.down()
    page.evaluate(
        "async () => { const s = await import('/ui/store.js');"
        " s.update({ worklist: { ...s.state.worklist } }); s.announceLanguage(); }"
    )
    page.mouse.up()

    assert page.locator("#tab-jobs").get_attribute("aria-selected") == "true"
    page.locator(".job-head").first.wait_for()
