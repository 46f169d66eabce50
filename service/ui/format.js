import { currentLanguage, t } from "./i18n.js";

const locale = () => (currentLanguage() === "de" ? "de-DE" : "en-GB");

export function number(value, digits = 0) {
  return new Intl.NumberFormat(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** A probability in percent; small ones keep a decimal, tiny ones say "below". */
export function percent(p) {
  if (p === null || p === undefined) return "–";
  if (p > 0 && p < 0.001) return `< ${number(0.1, 1)} %`;
  return `${number(p * 100, p < 0.0995 ? 1 : 0)} %`;
}

/** The size of a time span, in the unit that fits. */
export function span(seconds) {
  const s = Math.abs(seconds);
  if (s < 90) return t("age_seconds", { n: number(s) });
  if (s < 5400) return t("age_minutes", { n: number(s / 60) });
  if (s < 48 * 3600) return t("age_hours", { n: number(s / 3600) });
  if (s < 730 * 86400) return t("age_days", { n: number(s / 86400) });
  return t("age_years", { n: number(s / (365.25 * 86400), 1) });
}

export const ago = (seconds) => t("ago", { age: span(seconds) });
export const secondsSince = (iso) => (Date.now() - Date.parse(iso)) / 1000;

export function date(iso) {
  return new Intl.DateTimeFormat(locale(), { day: "2-digit", month: "2-digit", year: "numeric" }).format(new Date(iso));
}

export function instant(iso) {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}

export function time(value) {
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit" }).format(value);
}
