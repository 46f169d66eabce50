import { post } from "./api.js";
import { h } from "./dom.js";
import { number, percent } from "./format.js";
import { currentLanguage, t } from "./i18n.js";
import { on, state } from "./store.js";

const TREATMENTS = ["none", "cold_mix", "infill", "crack_sealing", "resurfacing", "drainage_repair", "reconstruction"];
const DAYS = [7, 28];
const WEATHERS = ["as_forecast", "hard_frost", "frost_thaw", "long_rain", "mild"];

/** "What if": treatment and weather in, probabilities before and after out, with what was assumed. */
class WhatIf extends HTMLElement {
  #segment = null;
  #asked = { treatment: "none", weather: "as_forecast", weather_days: 7 };
  #answer = null;
  #problem = null;
  #waiting = false;
  #count = 0;

  constructor() {
    super();
    on(["language"], () => this.#segment && this.render());
  }

  /** Another segment keeps treatment and weather, so that segments can be compared. */
  set segment(segment) {
    const other = this.#segment?.segment_id !== segment.segment_id;
    const newer = this.#segment?.scores[0]?.as_of !== segment.scores[0]?.as_of;
    this.#segment = segment;
    if (other) this.#answer = this.#problem = null;
    this.render();
    if ((other || newer) && this.#isAsking()) this.ask();
  }

  #isAsking() {
    return this.#asked.treatment !== "none" || this.#asked.weather !== "as_forecast";
  }

  async ask() {
    const count = ++this.#count;
    const question = { segment_ids: [this.#segment.segment_id], ...this.#asked };
    let answer = null;
    let problem = null;
    this.#waiting = this.#isAsking();
    this.render();
    if (this.#waiting) {
      try {
        answer = await post("/v1/whatif", question);
      } catch (error) {
        problem = error.message;
      }
    }
    if (count !== this.#count) return; // asked otherwise meanwhile
    this.#waiting = false;
    this.#answer = answer;
    this.#problem = problem;
    this.render();
  }

  render() {
    const focused = this.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    this.replaceChildren(
      h("div", { class: "whatif-choice" }, this.#choices()),
      this.#problem ? h("p", { class: "form-problem", role: "alert" }, this.#problem) : "",
      h("div", { "aria-live": "polite", "aria-busy": String(this.#waiting) }, this.#result()),
    );
    if (focused) this.querySelector(`[data-focus="${focused}"]`)?.focus({ preventScroll: true });
  }

  #result() {
    if (this.#waiting) return h("p", { class: "hint" }, t("loading"));
    return this.#answer ? [this.#table(), this.#notes()] : h("p", { class: "hint" }, t("whatif_hint"));
  }

  #choices() {
    const select = (name, values, text, label) =>
      h(
        "label",
        {},
        label,
        h(
          "select",
          {
            data: { focus: `whatif-${name}`, whatif: name },
            onchange: (event) => {
              const value = event.target.value;
              this.#asked = { ...this.#asked, [name]: name === "weather_days" ? Number(value) : value };
              this.ask();
            },
          },
          values.map((v) => h("option", { value: v, selected: v === this.#asked[name] }, text(v))),
        ),
      );
    return [
      select("treatment", TREATMENTS, (v) => t(`treatment_${v}`), t("whatif_treatment")),
      select("weather", WEATHERS, (v) => t(`scenario_${v}`), t("whatif_weather")),
      this.#asked.weather !== "as_forecast" &&
        select("weather_days", DAYS, (n) => t("days_short", { n }), t("whatif_for")),
    ].filter(Boolean);
  }

  #table() {
    const [segment] = this.#answer.segments;
    const cell = (e) =>
      h(
        "td",
        { class: "n" },
        percent(e.probability),
        h("small", {}, h("br"), `${percent(e.probability_low)} – ${percent(e.probability_high)}`),
      );
    const weather = this.#answer.weather !== "as_forecast";
    const treated = this.#answer.treatment !== "none";
    const columns = ["now", weather && "untreated", treated && "treated"].filter(Boolean);
    return h(
      "table",
      { class: "whatif" },
      h(
        "thead",
        {},
        h("tr", {}, h("th", { scope: "col" }, t("horizon")), columns.map((c) => h("th", { class: "n", scope: "col" }, t(`whatif_${c}`)))),
      ),
      h(
        "tbody",
        {},
        segment.horizons.map((row) =>
          h(
            "tr",
            { class: row.horizon_days === state.horizon ? "now" : "" },
            h("td", {}, t("days_short", { n: row.horizon_days })),
            columns.map((c) => cell(row[c])),
          ),
        ),
      ),
    );
  }

  #notes() {
    const german = currentLanguage() === "de";
    const [segment] = this.#answer.segments;
    const shown = (value) => (value === null ? t("grade_unknown") : number(value, Number.isInteger(value) ? 0 : 1));
    const changed = segment.changed.map((c) => {
      const unit = c.unit === "1" ? "" : ` ${c.unit}`;
      return h("li", {}, `${german ? c.label_de : c.label_en}: ${shown(c.now)} → ${shown(c.then)}${unit}`);
    });
    return [
      h("ul", { class: "assumptions" }, this.#answer.assumptions.map((a) => h("li", { data: { code: a.code } }, german ? a.text_de : a.text_en))),
      changed.length > 0 && h("details", { class: "hint" }, h("summary", {}, t("whatif_changed", { n: changed.length })), h("ul", {}, changed)),
    ].filter(Boolean);
  }
}

customElements.define("what-if", WhatIf);
