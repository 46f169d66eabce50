import { download } from "./api.js";
import { h } from "./dom.js";
import { number, percent, secondsSince, span } from "./format.js";
import { currentLanguage, t, word } from "./i18n.js";
import { jobList, jobSummary } from "./jobs.js";
import { riskClass } from "./scale.js";
import { on, state, update, worklistQuery } from "./store.js";

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

const TABS = ["potholes", "inspect", "jobs"];

/** How sure it is that the pothole is there; nothing while the twin has not said. */
function sureChip(task) {
  if (task.status === "repaired" || (task.open_probability ?? null) === null) return null;
  if (task.confirmed_by_person) {
    return h("span", { class: "chip good", title: t("confirmed_title") }, t("confirmed"));
  }
  const text = t(task.doubtful ? "doubtful" : "sure", { p: percent(task.open_probability) });
  return h("span", { class: `chip${task.doubtful ? " warn" : ""}`, title: t("sure_title") }, text);
}

function chips(task) {
  const { hindrances, decision } = task;
  return [
    hindrances.map((name) => [h("span", { class: "chip warn" }, t(`hindrance_${name}`)), " "]),
    task.selected_by === "random" && [
      h("span", { class: "chip lot", title: t("by_lot_title", { p: percent(task.selection_probability) }) }, t("by_lot")),
      " ",
    ],
    decision && [
      h("span", { class: "chip good", title: decision.reason ?? "" }, t("decided_as", { action: word("action", decision.action) })),
      " ",
    ],
  ].filter(Boolean);
}

class WorkList extends HTMLElement {
  #tabs = null;

  connectedCallback() {
    this.setAttribute("aria-label", t("worklist"));
    this.render();
    on(["worklist", "language", "city", "include", "horizon", "tab", "job"], () => this.render());
    on(["selected", "hovered"], () => this.mark());
  }

  render() {
    const list = state.worklist;
    const tasks = this.querySelector(".tasks");
    const scroll = tasks?.scrollTop ?? 0;
    const focused = this.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    this.#tabs ??= this.#makeTabs();
    this.#fillTabs(list);
    // The tabs stay where they are: a click is pressing and letting go of one and the same element.
    if (!this.contains(this.#tabs)) this.replaceChildren(this.#tabs);
    while (this.#tabs.nextSibling) this.#tabs.nextSibling.remove();
    this.append(...this.#frame(list).filter(Boolean));
    this.querySelector(".tasks").scrollTop = scroll;
    if (focused) this.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    this.mark();
  }

  #frame(list) {
    return [this.#filters(list), this.#summary(list), this.#tasks(list), this.#leftOut(list)];
  }

  #makeTabs() {
    const tab = (name) =>
      h(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          data: { focus: `tab-${name}`, tab: name },
          "aria-controls": "tasks",
          onclick: () => this.show(name),
          onkeydown: (event) => {
            if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
            const step = event.key === "ArrowRight" ? 1 : TABS.length - 1;
            this.show(TABS[(TABS.indexOf(name) + step) % TABS.length]);
            this.querySelector('[aria-selected="true"]').focus();
          },
        },
        h("span", { class: "name" }),
        h("span", { class: "count" }),
        h("span", { class: "undecided" }),
      );
    return h("div", { class: "tabs", role: "tablist" }, TABS.map(tab));
  }

  #fillTabs(list) {
    const counts = {
      potholes: list?.open_pothole_count,
      inspect: list?.inspections.length,
      jobs: list?.plan.jobs.filter((job) => job.crew !== null).length,
    };
    this.#tabs.setAttribute("aria-label", t("worklist"));
    for (const button of this.#tabs.children) {
      const [name, count, undecided] = button.children;
      const { tab } = button.dataset;
      const open = tab === "inspect" ? (list?.undecided_count ?? 0) : 0;
      button.setAttribute("aria-selected", String(state.tab === tab));
      button.tabIndex = state.tab === tab ? 0 : -1;
      name.textContent = t(`tab_${tab}`);
      count.hidden = !list;
      count.textContent = list ? number(counts[tab]) : "";
      undecided.hidden = open === 0;
      undecided.title = open > 0 ? t("undecided", { n: number(open) }) : "";
    }
  }

  show(tab) {
    this.querySelector(".tasks").scrollTop = 0;
    update({ tab, job: null });
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
      state.tab === "jobs"
        ? [
            this.#number("crews", t("crews"), { min: 1, max: 50 }, list?.plan.crews),
            this.#number("hours", t("hours"), { min: 0.5, max: 24, step: 0.5 }, list?.plan.hours),
          ]
        : this.#number("capacity", t("capacity"), { min: 1, max: 2000 }, list?.capacity ?? state.city?.crew_capacity),
      h(
        "button",
        {
          type: "button",
          class: "tool",
          title: t("export_csv_title"),
          data: { focus: "csv" },
          onclick: () => {
            const name = `roadtwin-${list?.today ?? "worklist"}.csv`;
            return download("/v1/worklist.csv", worklistQuery(), name);
          },
        },
        `↓ ${t("export_csv")}`,
      ),
    );
  }

  #number(name, label, limits, present) {
    return h(
      "label",
      {},
      label,
      h("input", {
        type: "number",
        ...limits,
        data: { focus: name },
        value: state[name] ?? present ?? "",
        onchange: (e) => e.target.checkValidity() && update({ [name]: Number(e.target.value) || null }),
      }),
    );
  }

  #summary(list) {
    if (!list) return null;
    if (state.tab === "jobs") return list.plan.jobs.length > 0 && h("p", { class: "summary" }, jobSummary(list));
    if (state.tab === "inspect") return this.#inspectSummary(list);
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

  #inspectSummary(list) {
    const lot = list.inspections.filter((task) => task.selected_by === "random").length;
    const open = list.undecided_count;
    return h(
      "p",
      { class: "summary" },
      h("span", { class: open > 0 ? "bad" : "" }, open > 0 ? t("undecided", { n: number(open) }) : t("undecided_none")),
      lot > 0 && h("span", { title: t("by_lot_why") }, t("by_lot_count", { n: number(lot) })),
      list.score_as_of && !list.by_lot && h("span", {}, t("by_lot_missing")),
    );
  }

  #tasks(list) {
    let content = h("p", { class: "empty" }, t("loading"));
    if (list && state.tab === "jobs") {
      content = jobList(list, (task) => (task.pothole_id ? this.#pothole(task) : this.#inspection(task)));
    } else if (list && state.tab === "potholes") {
      content = list.potholes.length
        ? h("ol", {}, list.potholes.map((task) => h("li", {}, this.#pothole(task))))
        : h("p", { class: "empty" }, t("no_potholes"));
    } else if (list) {
      content = list.inspections.length
        ? h("ol", {}, list.inspections.map((task) => h("li", {}, this.#inspection(task))))
        : h("p", { class: "empty" }, t(list.score_as_of ? "no_inspections" : "no_scores"));
    }
    return h("div", { class: "tasks", id: "tasks", role: "tabpanel", "aria-labelledby": `tab-${state.tab}` }, content);
  }

  #row(task, focus, ...children) {
    const decide = h(
      "button",
      {
        type: "button",
        class: "decide link",
        data: { focus: `decide-${focus}`, decide: task.pothole_id ?? task.segment_id },
        "aria-label": `${t("record_decision")}: ${task.name}`,
        onclick: () => document.querySelector("record-dialog").open("decision", { task }),
      },
      t("record_decision"),
    );
    const button = h(
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
    return task.status === "repaired" ? button : [button, decide];
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
        sureChip(task),
        " ",
        chips(task),
        [
          task.seen_again && t("seen_again"),
          task.reopened && t("reopened"),
          task.district,
          t(`severity_${task.severity}`),
          status,
          task.pending && t("pending"),
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
      h("span", { class: "line", title: reason ?? "" }, chips(task), reason ?? seen),
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
    for (const task of this.querySelectorAll(".task[data-segment]")) {
      const current = task.dataset.segment === state.selected;
      if (current) task.setAttribute("aria-current", "true");
      else task.removeAttribute("aria-current");
      task.classList.toggle("hovered", task.dataset.segment === state.hovered);
    }
  }

  /** Bring the open job into view: somebody chose it on the map. */
  revealJob() {
    this.querySelector(".job.open")?.scrollIntoView({ block: "nearest" });
  }

  /** Bring the selected segment's row into view, where it is on the list. */
  reveal() {
    this.querySelector('.task[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
  }
}

customElements.define("work-list", WorkList);
