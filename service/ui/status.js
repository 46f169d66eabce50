import { h } from "./dom.js";
import { ago, number, secondsSince } from "./format.js";
import { currentLanguage, t } from "./i18n.js";
import { on, state } from "./store.js";

const LATE_S = 300;

class IngestStrip extends HTMLElement {
  connectedCallback() {
    this.setAttribute("role", "status");
    this.setAttribute("aria-label", t("status"));
    this.render();
    on(["status", "city", "language"], () => this.render());
    setInterval(() => this.render(), 5000);
  }

  render() {
    const status = state.status;
    if (!status) {
      this.replaceChildren(h("span", {}, t("loading")));
      return;
    }
    const age = status.newest_message_at ? secondsSince(status.newest_message_at) : null;
    const late = age === null || age > LATE_S;
    const run = state.city?.score_run;
    const number_ = (text, n) => {
      const [before, after] = text.split("{n}");
      return [before, h("b", {}, n), after];
    };
    const counted = (key, n) => number_(t(key, { n: "{n}" }), number(n));
    this.replaceChildren(
      h(
        "span",
        { title: t(late ? "status_late" : "status_flowing") },
        h("span", { class: `pulse ${late ? "late" : "ok"}` }),
        h("span", { class: "sr" }, t(late ? "status_late" : "status_flowing")),
        counted("status_rate", status.messages_per_min_1),
      ),
      h(
        "span",
        { class: late ? "attention" : "" },
        age === null ? t("status_silent") : t("status_newest", { age: ago(age) }),
      ),
      h("span", {}, counted("status_stored", status.stored)),
      h("span", { class: status.rejected_60_min > 0 ? "attention" : "" }, counted("status_rejected", status.rejected)),
      ...(status.devices_unconfirmed > 0
        ? [h("span", { class: "attention" }, counted("status_unconfirmed", status.devices_unconfirmed))]
        : []),
      h(
        "span",
        { class: state.city?.model_alarm_count > 0 ? "attention" : "" },
        h(
          "a",
          { href: `/model?lang=${currentLanguage()}` },
          state.city?.model_alarm_count > 0 ? t("model_alarms", { n: number(state.city.model_alarm_count) }) : t("model_card"),
        ),
      ),
      h(
        "span",
        { class: "push" },
        run ? t("status_scores", { age: ago(secondsSince(run.as_of)) }) : t("status_no_scores"),
      ),
    );
  }
}

customElements.define("ingest-strip", IngestStrip);
