import { key, post, Problem } from "./api.js";
import { h, uuid } from "./dom.js";
import { percent } from "./format.js";
import { t } from "./i18n.js";
import { state } from "./store.js";

const PATHS = { repair: "/v1/repairs", inspection: "/v1/inspections", decision: "/v1/decisions" };
const FINDINGS = ["D40", "D20", "D00", "D10", "PATCH", "RAVEL", "RUT"];

const label = (text, control) => h("label", {}, text, control);
const choose = (name, options, present) =>
  h("select", { name }, options.map(([value, text]) => h("option", { value, selected: value === present }, text)));

/** The dialog in which an editor records what was done, seen or decided. The same record is never sent as two. */
class RecordDialog extends HTMLElement {
  #dialog = h("dialog");

  connectedCallback() {
    this.append(this.#dialog);
  }

  /** kind: repair, inspection, decision or key; of a segment, a pothole on it, or a task of the worklist. */
  open(kind, { segment, hole, task } = {}) {
    const id = uuid();
    if (task) {
      segment = task;
      hole = task.pothole_id ? task : undefined;
    }
    const problem = h("p", { class: "form-problem", role: "alert", hidden: true });
    const save = h("button", { type: "submit", class: "tool primary" }, t("record_save"));
    const title = kind === "key" ? t("key_enter") : t(`record_${kind}`);
    const form = h(
      "form",
      {
        method: "dialog",
        autocomplete: "off",
        "aria-label": title,
        onsubmit: async (event) => {
          event.preventDefault();
          await this.#save(kind, id, segment, hole, form, problem, save);
        },
      },
      h("h2", {}, title),
      segment && h("p", { class: "muted" }, `${segment.name}, ${segment.district} · ${segment.segment_id}`),
      kind === "decision" && this.#known(segment, hole),
      h("div", { class: "fields" }, this.#fields(kind, hole), this.#keyField(kind)),
      problem,
      h(
        "div",
        { class: "dialog-actions" },
        kind === "key" && key.get() && this.#forgetButton(),
        h("button", { type: "button", class: "tool", onclick: () => this.#dialog.close() }, t("record_cancel")),
        save,
      ),
    );
    this.#dialog.replaceChildren(form);
    this.#dialog.showModal();
  }

  /** What is known now and will be kept with the decision. */
  #known(segment, hole) {
    if (hole) return h("p", { class: "hint" }, `${t("class_D40")}: ${t(`severity_${hole.severity}`)}`);
    const p = segment.probability ?? segment.scores?.find((s) => s.horizon_days === state.horizon)?.probability;
    return p !== undefined && h("p", { class: "hint" }, t("record_known", { p: percent(p), n: state.horizon }));
  }

  #forgetButton() {
    const forget = () => {
      key.set(null);
      this.#dialog.close();
    };
    return h("button", { type: "button", class: "tool", onclick: forget }, t("key_forget"));
  }

  #fields(kind, hole) {
    const note = (text) => label(text, h("textarea", { name: "note", maxLength: 4000, placeholder: t("record_privacy") }));
    if (kind === "repair") {
      const results = ["repaired", "secured"].map((v) => [v, t(`repair_${v}`)]);
      const methods = ["cold_mix", "hot_mix", "infill", "patch", "resurfacing", "barrier"].map((v) => [v, t(`method_${v}`)]);
      return [
        h(
          "div",
          { class: "pair" },
          label(t("record_result"), choose("result", results, hole?.status === "open" ? "repaired" : undefined)),
          label(t("method"), choose("method", methods)),
        ),
        label(t("record_crew"), h("input", { name: "crew", maxLength: 200 })),
        note(t("record_note")),
      ];
    }
    if (kind === "inspection") {
      const findings = [["", t("record_no_finding")], ...FINDINGS.map((code) => [code, t(`class_${code}`)])];
      const severities = [1, 2, 3].map((v) => [String(v), t(`severity_${v}`)]);
      return [
        label(t("record_role"), h("input", { name: "role", required: true, maxLength: 200, value: t("record_role_default") })),
        label(t("record_finding"), choose("finding", findings)),
        h(
          "div",
          { class: "pair" },
          label(t("severity"), choose("severity", severities, "2")),
          label(t("record_depth_cm"), h("input", { name: "depth_cm", type: "number", min: 0, max: 200, step: 0.5 })),
        ),
        note(t("record_note")),
      ];
    }
    if (kind === "decision") {
      const actions = ["inspect", "repair", "secure", "defer", "none"].map((v) => [v, t(`action_${v}`)]);
      const choice = choose("action", actions, hole ? "repair" : "inspect");
      const reason = note(t("record_reason"));
      // To do nothing needs a reason; an empty one is refused by the form already.
      choice.addEventListener("change", () => (reason.querySelector("textarea").required = choice.value === "none"));
      return [label(t("action"), choice), reason];
    }
    return [];
  }

  #keyField(kind) {
    if (kind !== "key" && key.get()) return null;
    return [
      label(t("key_label"), h("input", { name: "key", type: "password", required: true, value: "" })),
      h("p", { class: "hint" }, t("key_hint")),
    ];
  }

  #body(kind, id, segment, hole, form) {
    const data = Object.fromEntries(new FormData(form));
    const now = new Date().toISOString();
    if (kind === "decision") {
      // Of a pothole the newest score is kept, if there is one; of a score, the one that was looked at.
      const seen = segment.scores ? segment.scores[0]?.as_of : state.worklist?.score_as_of;
      const decision = { decision_id: id, decided_at: now, segment_id: segment.segment_id, action: data.action };
      const about = hole ? { pothole_id: hole.pothole_id } : { score_as_of: seen ?? null };
      return { ...decision, ...about, horizon_days: state.horizon, reason: data.note?.trim() || null };
    }
    const record = { record_id: id, observed_at: now, segment_id: segment.segment_id, note: data.note || null };
    if (kind === "repair") {
      const position = hole ? { lon: hole.lon, lat: hole.lat } : null;
      return { ...record, position, kind: data.result, method: data.method, crew: data.crew || null };
    }
    const depth_m = data.depth_cm ? Number(data.depth_cm) / 100 : null;
    const finding = { class_code: data.finding, severity: Number(data.severity), depth_m };
    return { ...record, inspector_role: data.role, findings: data.finding ? [finding] : [] };
  }

  async #save(kind, id, segment, hole, form, problem, save) {
    const before = key.get();
    const entered = form.elements.key?.value.trim();
    if (entered) key.set(entered);
    if (kind === "key") {
      this.#dialog.close();
      return;
    }
    problem.hidden = true;
    save.disabled = true;
    save.textContent = t("record_saving");
    try {
      await post(PATHS[kind], this.#body(kind, id, segment, hole, form));
      this.#dialog.close();
      dispatchEvent(new Event("roadtwin-recorded"));
    } catch (error) {
      if (error instanceof Problem && error.status === 401) key.set(before === entered ? null : before);
      problem.textContent = error.message;
      problem.hidden = false;
      if (error instanceof Problem && error.status === 401 && !form.elements.key) {
        form.querySelector(".fields").append(...this.#keyField("key"));
      }
    } finally {
      save.disabled = false;
      save.textContent = t("record_save");
    }
  }
}

customElements.define("record-dialog", RecordDialog);
