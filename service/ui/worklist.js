import { download } from "./api.js";
import { h } from "./dom.js";
import { number, percent, secondsSince, span } from "./format.js";
import { currentLanguage, t, word } from "./i18n.js";
import { riskClass } from "./scale.js";
import { on, state, update } from "./store.js";

// A pothole that nobody has seen for this long may be gone: then that is what the crew should read.
const STALE_S = 30 * 86_400;

/** When a pothole is due, in words; `late` when that has passed. */
export function dueText(task) {
  if (task.status === "repaired") return { text: t("status_repaired"), late: false };
  const left = -secondsSince(task.due_at);
  if (left < 0) return { text: t("due_overdue", { age: span(left) }), late: true };
  if (left < 24 * 3600) return { text: t("due_today"), late: false };
  return { text: t("due_in", { age: span(left) }), late: false };
}

export function severityMark(task) {
  const done = task.status === "repaired" || task.status === "secured";
  return h(
    "span",
    {
      class: `severity s${task.severity}${done ? " done" : ""}`,
      title: `${t("severity")}: ${t(`severity_${task.severity}`)}`,
    },
    String(task.severity),
  );
}

const chips = (hindrances) => hindrances.map((name) => [h("span", { class: "chip warn" }, t(`hindrance_${name}`)), " "]);

class WorkList extends HTMLElement {
  #tab = "potholes";

  connectedCallback() {
    this.setAttribute("aria-label", t("worklist"));
    this.render();
    on(["worklist", "language", "city", "include", "horizon"], () => this.render());
    on(["selected", "hovered"], () => this.mark());
  }

  render() {
    const list = state.worklist;
    const tasks = this.querySelector(".tasks");
    const scroll = tasks?.scrollTop ?? 0;
    const focused = this.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    this.replaceChildren(...this.#frame(list).filter(Boolean));
    this.querySelector(".tasks").scrollTop = scroll;
    if (focused) this.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    this.mark();
  }

  #frame(list) {
    return [this.#tabs(list), this.#filters(list), this.#summary(list), this.#tasks(list), this.#leftOut(list)];
  }

  #tabs(list) {
    const tab = (name, count) =>
      h(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          data: { focus: `tab-${name}` },
          "aria-selected": String(this.#tab === name),
          "aria-controls": "tasks",
          tabIndex: this.#tab === name ? 0 : -1,
          onclick: () => this.show(name),
          onkeydown: (event) => {
            if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
            this.show(name === "potholes" ? "inspect" : "potholes");
            this.querySelector('[aria-selected="true"]').focus();
          },
        },
        t(`tab_${name}`),
        list && h("span", { class: "count" }, number(count)),
      );
    return h(
      "div",
      { class: "tabs", role: "tablist", "aria-label": t("worklist") },
      tab("potholes", list?.open_pothole_count),
      tab("inspect", list?.inspections.length),
    );
  }

  show(tab) {
    this.#tab = tab;
    this.querySelector(".tasks").scrollTop = 0;
    this.render();
  }

  #filters(list) {
    const districts = state.city?.districts ?? [];
    return h(
      "div",
      { class: "filters" },
      h(
        "select",
        {
          "aria-label": t("district"),
          data: { focus: "district" },
          onchange: (e) => update({ district: e.target.value }),
        },
        h("option", { value: "" }, t("all_districts")),
        districts.map((d) => h("option", { value: d.name, selected: d.name === state.district }, d.name)),
      ),
      h(
        "label",
        {},
        t("capacity"),
        h("input", {
          type: "number",
          min: 1,
          max: 2000,
          data: { focus: "capacity" },
          value: state.capacity ?? list?.capacity ?? state.city?.crew_capacity ?? "",
          onchange: (e) => e.target.checkValidity() && update({ capacity: Number(e.target.value) || null }),
        }),
      ),
      h(
        "button",
        {
          type: "button",
          class: "tool",
          title: t("export_csv_title"),
          data: { focus: "csv" },
          onclick: () => {
            const asked = { capacity: state.capacity, horizon_days: state.horizon, district: state.district };
            const name = `roadtwin-${list?.today ?? "worklist"}.csv`;
            return download("/v1/worklist.csv", { ...asked, include: state.include.join(",") }, name);
          },
        },
        `↓ ${t("export_csv")}`,
      ),
    );
  }

  #summary(list) {
    if (!list || this.#tab !== "potholes") return null;
    const shown = list.potholes.filter((p) => p.status !== "repaired").length;
    return h(
      "p",
      { class: "summary" },
      list.overdue_count > 0 && h("span", { class: "bad" }, t("summary_overdue", { n: number(list.overdue_count) })),
      list.secured_count > 0 && h("span", {}, t("summary_secured", { n: number(list.secured_count) })),
      h("span", {}, t("summary_repaired", { n: number(list.repaired_today_count) })),
      shown < list.open_pothole_count &&
        h("span", {}, t("shown_of", { n: number(shown), total: number(list.open_pothole_count) })),
    );
  }

  #tasks(list) {
    let content = h("p", { class: "empty" }, t("loading"));
    if (list && this.#tab === "potholes") {
      content = list.potholes.length
        ? h("ol", {}, list.potholes.map((task) => h("li", {}, this.#pothole(task))))
        : h("p", { class: "empty" }, t("no_potholes"));
    } else if (list) {
      content = list.inspections.length
        ? h("ol", {}, list.inspections.map((task) => h("li", {}, this.#inspection(task))))
        : h("p", { class: "empty" }, t(list.score_as_of ? "no_inspections" : "no_scores"));
    }
    return h("div", { class: "tasks", id: "tasks", role: "tabpanel", "aria-labelledby": `tab-${this.#tab}` }, content);
  }

  #row(task, focus, ...children) {
    return h(
      "button",
      {
        type: "button",
        class: "task",
        data: { segment: task.segment_id, focus },
        onclick: () => update({ selected: task.segment_id }),
        onmouseenter: () => update({ hovered: task.segment_id }),
        onmouseleave: () => update({ hovered: null }),
      },
      ...children,
    );
  }

  #pothole(task) {
    const due = dueText(task);
    const unseen = secondsSince(task.last_evidence_at);
    const status = task.status === "open" ? null : t(`status_${task.status}`);
    return this.#row(
      task,
      `p-${task.pothole_id}`,
      h("span", { class: "mark" }, severityMark(task)),
      h("span", { class: "title" }, h("b", {}, task.name)),
      h("span", { class: "side" }, h("span", { class: due.late ? "bad" : "" }, due.text)),
      h(
        "span",
        { class: "line" },
        chips(task.hindrances),
        [
          task.district,
          t(`severity_${task.severity}`),
          status,
          task.pending && t("pending"),
          task.reopened && t("reopened"),
          unseen > STALE_S
            ? t("evidence_age", { age: span(unseen) })
            : t("known_since", { age: span(task.age_s) }),
        ]
          .filter(Boolean)
          .join(" · "),
      ),
    );
  }

  #inspection(task) {
    const reason = (currentLanguage() === "de" ? task.main_reason_de : task.main_reason_en)?.replace(/: ×[\d.,]+$/, "");
    const seen = task.newest_evidence_at
      ? t("evidence_age", { age: span(secondsSince(task.newest_evidence_at)) })
      : t("evidence_none");
    const risk = riskClass(task.probability, state.worklist.horizon_days);
    return this.#row(
      task,
      `s-${task.segment_id}`,
      h("span", { class: "mark rank" }, String(task.position)),
      h("span", { class: "title" }, h("b", {}, task.name), h("small", { class: "muted" }, task.district)),
      h(
        "span",
        { class: "side" },
        h(
          "span",
          { class: "meter" },
          h("i", { css: { width: `${Math.max(3, task.probability * 100)}%`, background: `var(--risk-${risk})` } }),
        ),
        h("b", {}, percent(task.probability)),
      ),
      h("span", { class: "line", title: reason ?? "" }, chips(task.hindrances), reason ?? seen),
    );
  }

  #leftOut(list) {
    const names = Object.keys(list?.left_out ?? {});
    if (names.length === 0 && state.include.length === 0) return null;
    const all = ["other_owner", "warranty", "planned_work", "inspected", "decided"];
    const showing = state.include.length > 0;
    return h(
      "p",
      { class: "left-out" },
      !showing && t("left_out"),
      names.map((name) => h("span", {}, `${number(list.left_out[name])} ${word("hindrance", name)}`)),
      h(
        "button",
        {
          type: "button",
          class: "link",
          data: { focus: "left-out" },
          onclick: () => update({ include: showing ? [] : all }),
        },
        t(showing ? "left_out_hide" : "left_out_show"),
      ),
    );
  }

  mark() {
    for (const task of this.querySelectorAll(".task")) {
      const current = task.dataset.segment === state.selected;
      if (current) task.setAttribute("aria-current", "true");
      else task.removeAttribute("aria-current");
      task.classList.toggle("hovered", task.dataset.segment === state.hovered);
    }
  }

  /** Bring the selected segment's row into view, where it is on the list. */
  reveal() {
    this.querySelector('.task[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
  }
}

customElements.define("work-list", WorkList);
