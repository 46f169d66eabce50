"""What a person sees and does on the page, in a real Chromium."""

import json
import re

import pytest

from roadtwin.storage.database import connect
from tests.service_city import KEYS


def open_first_inspection(visit) -> str:
    visit.page.locator("#tab-inspect").click()
    first = visit.page.locator(".task").first
    segment_id = first.get_attribute("data-segment")
    first.click()
    visit.page.locator(".panel-body").wait_for()
    return segment_id


def enter_key(visit) -> None:
    visit.page.locator("#key-button").click()
    visit.page.locator("input[name=key]").fill(KEYS["editor"])
    visit.page.locator("dialog button[type=submit]").click()


def middle_on_screen(visit, segment_id: str) -> dict[str, float]:
    lon, lat = visit.site.city.middles[segment_id]
    return visit.page.evaluate(
        """([lon, lat]) => {
            const element = document.querySelector("road-map");
            const box = element.querySelector("canvas").getBoundingClientRect();
            const point = element.map.project([lon, lat]);
            return {x: box.x + point.x, y: box.y + point.y};
        }""",
        [lon, lat],
    )


def test_the_map_draws_every_segment_and_the_open_potholes(visit):
    visit.wait_for_map()
    ids = visit.page.evaluate(
        """() => [...new Set(document.querySelector("road-map").map.queryRenderedFeatures({layers: ["segments"]})
            .map(f => f.properties.segment_id))]"""
    )
    assert set(ids) == set(visit.site.city.segment_ids)
    holes = visit.page.evaluate(
        """() => document.querySelector("road-map").map.queryRenderedFeatures({layers: ["potholes"]}).length"""
    )
    assert holes == 6


def test_the_canvas_is_not_one_colour(visit):
    visit.wait_for_map()
    colours = visit.page.evaluate(
        """() => new Promise(resolve => {
            const map = document.querySelector("road-map").map;
            map.once("render", () => {
                const gl = map.painter.context.gl;
                const pixels = new Uint8Array(gl.drawingBufferWidth * gl.drawingBufferHeight * 4);
                gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
                const seen = new Set();
                for (let i = 0; i < pixels.length; i += 4) seen.add(pixels.slice(i, i + 3).join());
                resolve(seen.size);
            });
            map.triggerRepaint();
        })"""
    )
    assert colours > 5


def test_a_click_on_the_map_selects_a_segment_and_marks_it_in_the_list(visit):
    visit.wait_for_map()
    visit.page.locator("#tab-inspect").click()
    segment_id = visit.page.locator(".task").nth(1).get_attribute("data-segment")
    point = middle_on_screen(visit, segment_id)
    visit.page.mouse.click(point["x"], point["y"])
    visit.page.locator(".panel-foot").wait_for()
    assert visit.page.locator(".panel-foot").inner_text() == segment_id
    assert visit.page.locator('.task[aria-current="true"]').get_attribute("data-segment") == segment_id
    assert f"segment={segment_id}".replace(":", "%3A") in visit.page.url


def test_pointing_at_the_list_highlights_the_map_and_the_other_way_round(visit):
    visit.wait_for_map()
    task = visit.page.locator(".task").first
    segment_id = task.get_attribute("data-segment")
    task.hover()
    hovered = """id => document.querySelector("road-map").map.getFeatureState({source: "segments", id}).hovered"""
    assert visit.page.evaluate(hovered, segment_id) is True
    point = middle_on_screen(visit, segment_id)
    visit.page.mouse.move(point["x"] + 2, point["y"])
    visit.page.locator(".map-tooltip").wait_for()
    assert visit.page.locator(".task.hovered").first.get_attribute("data-segment") == segment_id


def test_the_worklist_begins_with_the_most_urgent_pothole_and_says_what_is_left_out(visit):
    page = visit.page
    page.locator(".task").first.wait_for()
    assert "Alfredstraße" in page.locator(".task").first.inner_text()
    assert "überfällig" in page.locator(".task").first.inner_text()
    assert page.locator(".task").count() == 7
    assert "anderer Baulastträger" in page.locator(".left-out").inner_text()
    page.locator(".left-out button").click()
    page.wait_for_function("() => document.querySelectorAll('.task').length === 9")


def test_the_panel_explains_risk_reasons_state_and_evidence(visit):
    open_first_inspection(visit)
    text = visit.page.locator("segment-panel").inner_text()
    assert re.search(r"Von 100 Abschnitten wie diesem bekommen etwa 34 in den nächsten\s+28\s+Tagen", text)
    assert "9 Frost-Tau-Tage" in text
    assert "×2,5" in text
    assert "dieses Modell nennt keinen Bereich" in text
    assert "1,4 ± 0,6 °C" in text.replace("\xa0", " ")
    assert "Was wir wissen" in text
    assert "Straßenbegeher" in text


def test_the_horizon_changes_list_legend_and_panel(visit):
    visit.wait_for_map()
    open_first_inspection(visit)
    visit.page.locator('input[name=horizon][value="7"]').check()
    visit.page.locator(".risk-main .value", has_text="12 %").wait_for()
    assert "in 7 Tagen" in visit.page.locator(".legend summary").inner_text()
    visit.page.wait_for_function("() => document.querySelector('.task .side').textContent.includes('12')")


def test_english_replaces_every_german_text_and_is_remembered(visit):
    open_first_inspection(visit)
    visit.page.locator('input[name=language][value="en"]').check()
    page = visit.page
    assert page.locator("html").get_attribute("lang") == "en"
    assert "Simulated city" in page.locator("#simulated").inner_text()
    assert page.locator("#cold-start").is_hidden()
    assert "Potholes" in page.locator(".tabs").inner_text()
    assert "9 freeze–thaw days" in page.locator("segment-panel").inner_text()
    assert "messages/min" in page.locator("ingest-strip").inner_text()
    page.reload()
    page.locator(".tabs", has_text="To inspect").wait_for()


@pytest.mark.writes
def test_intervals_and_a_cold_start_are_said_in_words_and_the_notice_leads_to_the_card(visit):
    with connect(visit.site.database_url) as db:
        db.execute("UPDATE risk_score SET probability_low = 0.12, probability_high = 0.56")
        db.execute('UPDATE model_run SET card = card || \'{"learned": {"cold_start": true}}\'')
        db.commit()
    page = visit.page
    page.reload()
    notice = page.locator("#cold-start")
    notice.wait_for()
    assert notice.inner_text() == "Kaltstart: hier noch ungeprüft"
    assert "Physik" in notice.get_attribute("title")
    open_first_inspection(visit)
    assert "90-%-Bereich 12 % bis 56 %" in page.locator("segment-panel").inner_text().replace("\xa0", " ")
    page.locator('input[name=language][value="en"]').check()
    assert notice.inner_text() == "Cold start: not tested here yet"
    notice.click()
    page.wait_for_url("**/model?lang=en")


@pytest.mark.context(locale="en-GB")
def test_a_browser_that_is_not_german_is_served_english(visit):
    visit.page.locator(".tabs", has_text="Potholes").wait_for()


@pytest.mark.writes
def test_a_repair_recorded_with_the_editors_key_appears_in_the_evidence_at_once(visit):
    visit.page.locator(".task").first.click()
    visit.page.locator(".holes button").first.click()
    visit.page.locator("input[name=crew]").fill("Kolonne 7")
    visit.page.locator("input[name=key]").fill(KEYS["editor"])
    visit.page.locator("dialog button[type=submit]").click()
    entry = visit.page.locator(".timeline li.repair", has_text="Kolonne 7")
    entry.wait_for()
    assert "repariert" in entry.inner_text()
    visit.page.locator(".task", has_text="wird übernommen").wait_for()
    assert visit.page.evaluate("localStorage.length") == 0
    assert visit.page.evaluate("sessionStorage.getItem('roadtwin.key')") == KEYS["editor"]


@pytest.mark.writes
def test_an_inspection_without_finding_takes_the_segment_off_the_list(visit):
    enter_key(visit)
    segment_id = open_first_inspection(visit)
    visit.page.locator('[data-record="inspection"]').click()
    visit.page.locator("dialog button[type=submit]").click()
    visit.page.locator(".timeline li.inspection", has_text="nichts gefunden").wait_for()
    visit.page.wait_for_function("id => document.querySelector('.task').dataset.segment !== id", arg=segment_id)


def test_a_wrong_key_is_said_in_the_dialog_and_not_kept(visit):
    open_first_inspection(visit)
    visit.page.locator('[data-record="decision"]').click()
    visit.page.locator("input[name=key]").fill("wrong")
    visit.page.locator("dialog button[type=submit]").click()
    visit.page.locator(".form-problem", has_text="API key").wait_for()
    assert visit.page.evaluate("sessionStorage.getItem('roadtwin.key')") is None
    visit.complaints.clear()  # the browser itself reports the refused request


def test_the_page_works_with_the_keyboard_alone(visit):
    visit.page.locator(".task").first.wait_for()
    visit.page.locator("#tab-potholes").focus()
    visit.page.keyboard.press("ArrowRight")
    assert visit.page.locator("#tab-inspect").get_attribute("aria-selected") == "true"
    visit.page.locator(".task").nth(2).focus()
    visit.page.keyboard.press("Enter")
    visit.page.locator(".panel-body").wait_for()
    assert visit.page.evaluate("document.activeElement.className") == "task"
    visit.page.keyboard.press("Escape")
    visit.page.locator("segment-panel").wait_for(state="hidden")


def test_nothing_is_asked_of_another_origin_and_nothing_complains(visit):
    visit.wait_for_map()
    open_first_inspection(visit)
    visit.page.mouse.wheel(0, -300)
    visit.page.wait_for_timeout(500)
    assert visit.foreign == []
    assert visit.complaints == []


def test_without_the_map_library_the_page_says_how_to_get_it_and_lists_still_work(visit):
    visit.page.route("**/ui/vendor/**", lambda route: route.fulfill(status=404, body=""))
    visit.page.reload()
    visit.page.locator(".map-message code").wait_for()
    assert visit.page.locator(".map-message code").inner_text() == "python deploy/install_ui_libraries.py"
    open_first_inspection(visit)
    assert "Warum" in visit.page.locator("segment-panel").inner_text()


def test_a_service_that_is_gone_is_said_and_what_was_shown_stays(visit):
    visit.page.locator(".task").first.wait_for()
    visit.page.route("**/v1/**", lambda route: route.abort())
    visit.page.locator('input[name=horizon][value="90"]').check()
    visit.page.locator("#problem", has_text="Der Dienst antwortet nicht").wait_for()
    assert visit.page.locator(".task").count() == 7


@pytest.mark.context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
def test_on_a_phone_nothing_is_wider_than_the_screen(visit):
    visit.wait_for_map()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    open_first_inspection(visit)
    assert visit.page.evaluate("document.querySelector('segment-panel').getBoundingClientRect().width") == 390
    visit.page.locator('[data-focus="close"]').click()
    visit.page.locator("segment-panel").wait_for(state="hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_light_and_dark(visit, scheme):
    visit.page.emulate_media(color_scheme=scheme)
    tokens = visit.page.evaluate(
        """() => Object.fromEntries(["--surface", "--raised", "--ink", "--muted", "--accent", "--bad", "--warn",
            "--warn-bg", "--on-accent", "--good"].map(n => [n, getComputedStyle(document.documentElement)
            .getPropertyValue(n).trim()]))"""
    )
    pairs = [(text, "--surface") for text in ("--ink", "--muted", "--accent", "--bad", "--good")]
    pairs += [("--muted", "--raised"), ("--warn", "--warn-bg"), ("--on-accent", "--accent"), ("--warn", "--surface")]
    low = {pair: ratio for pair in pairs if (ratio := contrast(*(tokens[name] for name in pair))) < 4.5}
    assert low == {}, json.dumps({str(k): v for k, v in low.items()})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_risk_colours_run_one_way_in_luminance(visit, scheme):
    visit.page.emulate_media(color_scheme=scheme)
    colours = visit.page.evaluate(
        """() => [0, 1, 2, 3, 4].map(i => getComputedStyle(document.documentElement)
            .getPropertyValue(`--risk-${i}`).trim())"""
    )
    steps = [luminance(colour) for colour in colours]
    assert steps == sorted(steps, reverse=scheme == "light")


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_api_page_shows_every_operation_without_help_from_elsewhere(visit):
    visit.page.goto(f"{visit.site.url}/v1/docs")
    visit.page.locator("details").first.wait_for()
    operations = visit.page.locator("summary code").all_inner_texts()
    assert {"/v1/segments", "/v1/worklist", "/v1/repairs"} <= set(operations)
    visit.page.locator("details", has_text="/v1/repairs").locator("summary").click()
    assert '"method"' in visit.page.locator("details", has_text="/v1/repairs").locator("pre").inner_text()
    assert visit.foreign == []
    assert visit.complaints == []
