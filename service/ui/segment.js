import { h, svg } from "./dom.js";
import { ago, date, instant, number, percent, secondsSince, span } from "./format.js";
import { currentLanguage, t, TEXTS, word } from "./i18n.js";
import { riskClass } from "./scale.js";
import { evidenceText } from "./evidence.js";
import { on, state, update } from "./store.js";
import "./whatif.js";
import { severityMark } from "./worklist.js";

/** The texts end in the factor, which has a column of its own here. */
const reasonText = (reason) => (currentLanguage() === "de" ? reason.text_de : reason.text_en).replace(/: ×[\d.,]+$/, "");

const EVIDENCE_FIRST = 12;
const UNITS = { trench_area_pct: "%", tree_cover_pct: "%", thickness_cm: "cm", gully_spacing_m: "m", frost_deficit_cm: "cm", width_m: "m", speed_limit_kmh: "km/h" };

/** The 90 % interval of a score in words. */
function intervalOf({ probability_low: low, probability_high: high }) {
  return low === null ? t("risk_no_interval") : t("risk_interval", { low: percent(low), high: percent(high) });
}

class SegmentPanel extends HTMLElement {
  #whatIf = document.createElement("what-if"); // one for all segments: treatment and weather stay chosen
  #all = false;
  #shown = null;

  connectedCallback() {
    on(["segment", "language", "horizon", "selected"], () => this.render());
  }

  render() {
    const segment = state.segment;
    this.hidden = !state.selected;
    if (this.hidden) return;
    if (!segment || segment.segment_id !== state.selected) {
      if (this.#shown !== state.selected) this.replaceChildren(h("p", { class: "empty" }, t("loading")));
      return;
    }
    const same = this.#shown === segment.segment_id;
    const scroll = same ? (this.querySelector(".panel-body")?.scrollTop ?? 0) : 0;
    if (!same) this.#all = false;
    this.#shown = segment.segment_id;
    this.setAttribute("aria-label", segment.name);
    const focused = this.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    this.replaceChildren(this.#head(segment), this.#actions(segment), this.#body(segment));
    this.querySelector(".panel-body").scrollTop = scroll;
    if (focused) this.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  #head(segment) {
    const from = (id) => Number(id.split(":").at(-1).split("-")[0]);
    const before = segment.neighbours.find((id) => from(id) < from(segment.segment_id));
    const after = segment.neighbours.find((id) => from(id) > from(segment.segment_id));
    const go = (id, sign, label) =>
      h(
        "button",
        {
          type: "button",
          class: "icon-button",
          disabled: !id,
          title: t(label),
          "aria-label": t(label),
          data: { focus: label },
          onclick: () => update({ selected: id }),
        },
        sign,
      );
    return h(
      "header",
      { class: "panel-head" },
      h("h1", {}, segment.name),
      h(
        "nav",
        {},
        go(before, "‹", "neighbour_before"),
        go(after, "›", "neighbour_after"),
        h(
          "button",
          {
            type: "button",
            class: "icon-button",
            title: t("close"),
            "aria-label": t("close"),
            data: { focus: "close" },
            onclick: () => update({ selected: null }),
          },
          "✕",
        ),
      ),
      h(
        "p",
        { class: "where" },
        [
          segment.district,
          word("class", segment.road_class),
          t("stations", { from: number(segment.from_station_m), to: number(segment.to_station_m) }),
        ].join(" · "),
      ),
      segment.hindrances.length > 0 &&
        h(
          "p",
          { class: "chips" },
          segment.hindrances.map((name) => h("span", { class: "chip warn" }, t(`hindrance_${name}`))),
        ),
    );
  }

  #actions(segment) {
    const action = (kind, main) =>
      h(
        "button",
        {
          type: "button",
          class: `tool${main ? " primary" : ""}`,
          data: { focus: kind, record: kind },
          onclick: () => document.querySelector("record-dialog").open(kind, { segment }),
        },
        `+ ${t(`kind_${kind}`)}`,
      );
    return h("div", { class: "actions" }, action("inspection", true), action("repair"), action("decision"));
  }

  #body(segment) {
    const parts = [this.#risk, this.#reasons, this.#whatIfPart, this.#potholes, this.#state, this.#evidence, this.#attributes];
    return h("div", { class: "panel-body", tabIndex: 0 }, parts.map((part) => part.call(this, segment)));
  }

  #risk(segment) {
    const score = segment.scores.find((s) => s.horizon_days === state.horizon);
    const grade =
      segment.condition_grade === null
        ? t("grade_unknown")
        : `${number(segment.condition_grade, 1)} (${t("grade_scale")})`;
    const gradeLine = h("span", {}, `${t("grade")}: ${grade}`);
    if (!score) return h("section", {}, h("h2", {}, t("risk")), h("p", {}, t("risk_none")), h("p", { class: "facts" }, gradeLine));
    const rare = score.probability < 0.0095;
    const n = number(score.probability * (rare ? 1000 : 100));
    const total = state.city?.score_run?.segment_count;
    return h(
      "section",
      {},
      h("h2", {}, t("risk")),
      h(
        "div",
        { class: "risk-main" },
        h("span", { class: "value" }, percent(score.probability)),
        h("p", {}, t(rare ? "risk_meaning_rare" : "risk_meaning", { n, days: score.horizon_days })),
      ),
      h("div", { class: "horizons" }, segment.scores.map((s) => this.#horizon(s))),
      h(
        "p",
        { class: "facts" },
        total && h("span", {}, t("risk_rank", { n: number(score.rank), total: number(total) })),
        h("span", {}, intervalOf(score)),
        h("span", {}, t("risk_expected", { n: number(score.expected_per_100_m, 2) })),
        gradeLine,
      ),
      this.#history(segment),
    );
  }

  #horizon(score) {
    const now = score.horizon_days === state.horizon ? "now" : "muted";
    const colour = `var(--risk-${riskClass(score.probability, score.horizon_days)})`;
    const low = score.probability_low;
    const high = score.probability_high;
    return [
      h("span", { class: now }, t("days_short", { n: score.horizon_days })),
      h(
        "span",
        { class: "track", title: intervalOf(score) },
        h("i", { css: { width: `${Math.max(1, score.probability * 100)}%`, background: colour } }),
        low !== null &&
          h("span", { class: "interval", css: { left: `${low * 100}%`, width: `${(high - low) * 100}%` } }),
      ),
      h("span", { class: now }, percent(score.probability)),
    ];
  }

  #history(segment) {
    const points = segment.history.filter((p) => p.horizon_days === state.horizon);
    if (points.length < 3) return null;
    const days = points.map((p) => Date.parse(p.day) / 86_400_000);
    const top = Math.max(...points.map((p) => p.probability));
    const x = (day) => ((day - days[0]) / Math.max(1, days.at(-1) - days[0])) * 100;
    const y = (p) => 38 - (p / top) * 34;
    const path = points.map((p, i) => `${i ? "L" : "M"}${x(days[i]).toFixed(2)} ${y(p.probability).toFixed(2)}`).join("");
    const label = t("risk_history", { n: number(days.at(-1) - days[0] + 1) });
    return h(
      "figure",
      {},
      svg(
        "svg",
        { class: "spark", viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": label },
        svg("line", { x1: 0, x2: 100, y1: 38, y2: 38 }),
        svg("path", { d: path }),
      ),
      h("figcaption", { class: "spark-note" }, h("span", {}, label), h("span", {}, `max. ${percent(top)}`)),
    );
  }

  #reasons(segment) {
    const score = segment.scores.find((s) => s.horizon_days === state.horizon);
    if (!score) return null;
    if (!score.reasons?.length) return h("section", {}, h("h2", {}, t("reasons")), h("p", { class: "muted" }, t("reasons_none")));
    const strongest = Math.max(...score.reasons.map((r) => Math.abs(r.contribution_log_odds)));
    const items = score.reasons.slice(0, 8).map((reason) => {
      const up = reason.contribution_log_odds > 0;
      const width = `${(Math.abs(reason.contribution_log_odds) / strongest) * 50}%`;
      return h(
        "li",
        {},
        h("span", {}, reasonText(reason)),
        h(
          "span",
          { class: "bar" },
          h("i", { class: up ? "up" : "down", css: up ? { left: "50%", width } : { right: "50%", width } }),
        ),
        h("span", { class: "factor" }, `×${number(reason.factor, reason.factor < 1.95 ? 2 : 1)}`),
      );
    });
    return h(
      "section",
      {},
      h("h2", {}, t("reasons")),
      h("ul", { class: "reasons" }, items),
      h("p", { class: "hint" }, t("reasons_hint")),
    );
  }

  #whatIfPart(segment) {
    if (segment.scores.length === 0) return null;
    this.#whatIf.segment = segment;
    return h("section", {}, h("h2", {}, t("whatif")), this.#whatIf);
  }

  #potholes(segment) {
    const open = segment.potholes.filter((p) => p.closed_at === null);
    const items = open.map((hole) =>
      h(
        "li",
        {},
        severityMark(hole),
        h(
          "span",
          {},
          [
            t(`severity_${hole.severity}`),
            t(`status_${hole.status}`),
            hole.seen_again && t("seen_again"),
            hole.reopened && t("reopened"),
            t("known_since", { age: span(secondsSince(hole.first_recorded_at)) }),
            t("evidence_age", { age: span(secondsSince(hole.last_evidence_at)) }),
            hole.evidence_count === 1 ? t("evidence_count_one") : t("evidence_count", { n: number(hole.evidence_count) }),
          ]
            .filter(Boolean)
            .join(" · "),
        ),
        h(
          "button",
          {
            type: "button",
            class: "link",
            onclick: () => document.querySelector("record-dialog").open("repair", { segment, hole }),
          },
          t("record_repair"),
        ),
        h(
          "button",
          {
            type: "button",
            class: "link",
            data: { decide: hole.pothole_id },
            onclick: () => document.querySelector("record-dialog").open("decision", { segment, hole }),
          },
          t("record_decision"),
        ),
      ),
    );
    const closed = segment.potholes.filter((p) => p.status === "repaired");
    const last = closed.map((p) => p.closed_at).sort().at(-1);
    const before = last && t("potholes_closed", { n: number(closed.length), age: span(secondsSince(last)) });
    return h(
      "section",
      {},
      h("h2", {}, t("potholes_here")),
      items.length > 0 && h("ul", { class: "holes" }, items),
      h("p", { class: "muted" }, before ?? (items.length ? "" : t("potholes_none"))),
    );
  }

  #state(segment) {
    const german = currentLanguage() === "de";
    const digits = (v) => (Math.abs(v) >= 100 ? 0 : 1);
    const known = segment.state.filter((q) => q.value !== null);
    const source = (q) => q.source && h("small", {}, ` ${q.source.split("+").map((s) => word("source", s)).join(" + ")}`);
    const rows = known.map((q) =>
      h(
        "tr",
        {},
        h("td", {}, (german ? q.label_de : q.label_en) ?? q.quantity, source(q)),
        h(
          "td",
          { class: "n" },
          q.quantity.endsWith("_probability") ? percent(q.value) : number(q.value, digits(q.value)),
          // Of a probability, the sd says no more than itself.
          q.sd === null || q.quantity.endsWith("_probability") ? "" : h("small", {}, ` ± ${number(q.sd, digits(q.value))}`),
          q.unit && q.unit !== "1" ? ` ${q.unit}` : "",
        ),
        h("td", { class: "n" }, number(q.count)),
        h("td", { class: "n" }, q.newest_at ? span(secondsSince(q.newest_at)) : "–"),
      ),
    );
    const heads = ["state_quantity", "state_value", "state_count", "state_age"];
    const w = segment.weather;
    const shown = (value, n) => (value === null ? "–" : number(value, n));
    const weather =
      w &&
      t("weather_line", {
        t: shown(w.air_temp_c, 1),
        rain: shown(w.rain_24h_mm, 1),
        rain7: shown(w.rain_7d_mm, 0),
        min: shown(w.minimum_7d_c, 1),
        frost: number(w.frost_hours_7d),
      });
    return h(
      "section",
      {},
      h("h2", {}, t("state")),
      rows.length
        ? h(
            "table",
            {},
            h("thead", {}, h("tr", {}, heads.map((key, i) => h("th", { class: i ? "n" : "", scope: "col" }, t(key))))),
            h("tbody", {}, rows),
          )
        : h("p", { class: "muted" }, t("state_none")),
      weather && h("p", { class: "hint", title: instant(w.observed_at) }, `${t("weather")}: ${weather} (${ago(secondsSince(w.observed_at))})`),
    );
  }

  #evidence(segment) {
    const all = segment.evidence;
    const shown = this.#all ? all : all.slice(0, EVIDENCE_FIRST);
    const items = shown.map((entry) =>
      h(
        "li",
        { class: entry.kind, data: { evidence: entry.id } },
        h("span", { class: "at", title: instant(entry.at) }, ago(secondsSince(entry.at))),
        h(
          "span",
          { class: "what" },
          h("b", {}, t(`kind_${entry.kind}`)),
          entry.pending && [" ", h("span", { class: "chip" }, t("pending"))],
          h("br"),
          evidenceText(entry),
        ),
      ),
    );
    return h(
      "section",
      {},
      h("h2", {}, t("evidence")),
      items.length ? h("ol", { class: "timeline" }, items) : h("p", { class: "muted" }, t("evidence_empty")),
      shown.length < all.length &&
        h(
          "button",
          {
            type: "button",
            class: "link",
            onclick: () => {
              this.#all = true;
              this.render();
            },
          },
          t("evidence_more", { n: number(all.length) }),
        ),
    );
  }

  #attributes(segment) {
    const entries = Object.entries(segment.attributes).filter(([key]) => TEXTS[`attr_${key}`]);
    for (const name of ["owner", "maintenance_district"]) if (segment[name]) entries.push([name, segment[name]]);
    if (segment.warranty_until) entries.push(["warranty_until", date(segment.warranty_until)]);
    const show = (name, value) => {
      if (typeof value === "boolean") return t(value ? "yes" : "no");
      if (typeof value !== "number") return word(`attr_${name}`, value);
      const text = name.endsWith("_year") ? String(value) : number(value, Number.isInteger(value) ? 0 : 1);
      return UNITS[name] ? `${text} ${UNITS[name]}` : text;
    };
    return h(
      "section",
      {},
      h("h2", {}, t("attributes")),
      h("dl", { class: "attributes" }, entries.map(([name, value]) => [h("dt", {}, t(`attr_${name}`)), h("dd", {}, show(name, value))])),
      h("p", { class: "panel-foot" }, segment.segment_id),
    );
  }
}

customElements.define("segment-panel", SegmentPanel);
