import { number } from "./format.js";

// Lower bounds of the risk classes by horizon [probability]. Fixed, so that a colour means the same every day.
export const BREAKS = {
  7: [0.01, 0.03, 0.06, 0.12],
  28: [0.04, 0.1, 0.2, 0.35],
  90: [0.1, 0.25, 0.45, 0.65],
};

/** Index of a risk class, 0 (lowest) to 4; null without a score. */
export function riskClass(p, horizon) {
  return p === null || p === undefined ? null : BREAKS[horizon].filter((bound) => p >= bound).length;
}

/** Classes as text, lowest first. */
export function classLabels(horizon) {
  const bounds = BREAKS[horizon].map((bound) => number(bound * 100));
  return [`< ${bounds[0]} %`, ...bounds.slice(0, -1).map((low, i) => `${low}–${bounds[i + 1]} %`), `≥ ${bounds.at(-1)} %`];
}

/** Colours have their one home in base.css, light and dark. */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export const riskColours = () => [0, 1, 2, 3, 4].map((i) => token(`--risk-${i}`));
