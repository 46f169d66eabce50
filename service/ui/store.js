// What the page shows, in one place; parts listen to `change` and look at what changed.
const target = new EventTarget();

export const state = {
  horizon: 28,
  selected: null, // public segment id
  hovered: null,
  district: "",
  capacity: null,
  include: [],
  tab: "potholes", // of the worklist: potholes, inspect or jobs
  crews: null,
  hours: null,
  job: null, // number of the job that is open
  city: null,
  worklist: null,
  status: null,
  segment: null,
};

export function update(changes) {
  const names = Object.keys(changes).filter((name) => state[name] !== changes[name]);
  if (names.length === 0) return;
  Object.assign(state, changes);
  target.dispatchEvent(new CustomEvent("change", { detail: new Set(names) }));
}

export function announceLanguage() {
  target.dispatchEvent(new CustomEvent("change", { detail: new Set(["language"]) }));
}

/** Call `listener` whenever one of `names` changes. */
export function on(names, listener) {
  target.addEventListener("change", (event) => {
    if (names.some((name) => event.detail.has(name))) listener(event.detail);
  });
}

/** What the worklist is asked for; its table is asked the same. */
export function worklistQuery() {
  const { horizon, capacity, district, include, crews, hours } = state;
  return { horizon_days: horizon, capacity, district, include: include.join(","), crews, hours };
}
