import { key } from "./api.js";
import { h } from "./dom.js";
import { currentLanguage, LANGUAGES, setLanguage, t } from "./i18n.js";
import { announceLanguage, on, state, update } from "./store.js";

function segmented(name, legend, choices, present, choose) {
  return h(
    "fieldset",
    { class: "segmented" },
    h("legend", {}, legend),
    h(
      "span",
      { class: "choices" },
      choices.map(([value, text, title]) =>
        h(
          "label",
          { title },
          h("input", { type: "radio", name, value, checked: value === present, onchange: () => choose(value) }),
          text,
        ),
      ),
    ),
  );
}

class HorizonSwitch extends HTMLElement {
  connectedCallback() {
    this.render();
    on(["horizon", "language", "city"], () => this.render());
  }
  render() {
    const days = state.city?.horizons_days ?? [7, 28, 90];
    const focused = this.contains(document.activeElement);
    const choices = days.map((n) => [n, t("days_short", { n })]);
    this.replaceChildren(
      segmented("horizon", t("horizon"), choices, state.horizon, (horizon) => update({ horizon: Number(horizon) })),
    );
    if (focused) this.querySelector("input:checked")?.focus();
  }
}

class LanguageSwitch extends HTMLElement {
  connectedCallback() {
    this.render();
    on(["language"], () => this.render());
  }
  render() {
    const focused = this.contains(document.activeElement);
    const names = { de: ["DE", "Deutsch"], en: ["EN", "English"] };
    const choices = LANGUAGES.map((l) => [l, ...names[l]]);
    const choose = (wanted) => {
      setLanguage(wanted);
      announceLanguage();
    };
    const control = segmented("language", "", choices, currentLanguage(), choose);
    control.querySelector("legend").replaceChildren(h("span", { class: "sr" }, t("language")));
    this.replaceChildren(control);
    if (focused) this.querySelector("input:checked")?.focus();
  }
}

/** Texts that stand in index.html. */
export function translatePage() {
  document.documentElement.lang = currentLanguage();
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-title]")) element.title = t(element.dataset.title);
  document.getElementById("cold-start").href = `/model?lang=${currentLanguage()}`;
  document.getElementById("key-button").textContent = t(key.get() ? "key_set" : "key_enter");
}

customElements.define("horizon-switch", HorizonSwitch);
customElements.define("language-switch", LanguageSwitch);
