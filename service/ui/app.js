import { get, key, Problem, segmentPath } from "./api.js";
import { translatePage } from "./controls.js";
import { time } from "./format.js";
import { t } from "./i18n.js";
import { on, state, update, worklistQuery } from "./store.js";
import "./map.js";
import "./record.js";
import "./segment.js";
import "./status.js";
import "./worklist.js";

const REFRESH_MS = 30_000;
let lastGood = new Date();

// What is selected stands in the address, so that a link leads to it.
function readAddress() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const horizon = Number(hash.get("horizon"));
  update({
    selected: hash.get("segment") || null,
    horizon: [7, 28, 90].includes(horizon) ? horizon : state.horizon,
  });
}

function writeAddress() {
  const hash = new URLSearchParams({ horizon: state.horizon, ...(state.selected ? { segment: state.selected } : {}) });
  history.replaceState(null, "", `#${hash}`);
}

function showProblem(text) {
  const element = document.getElementById("problem");
  element.hidden = !text;
  element.textContent = text ?? "";
}

/** Run a request; what goes wrong is said at the top of the page, and what was shown stays. */
async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Problem) showProblem(error.status === 401 && !key.get() ? t("need_key") : error.message);
    else if (error instanceof TypeError) showProblem(t("lost", { time: time(lastGood) }));
    else throw error;
    return false;
  }
}

async function loadWorklist() {
  const worklist = await get("/v1/worklist", worklistQuery());
  update({ worklist });
}

async function loadSegment() {
  const id = state.selected;
  if (!id) {
    update({ segment: null });
    return;
  }
  try {
    const segment = await get(segmentPath(id));
    if (state.selected === id) update({ segment });
  } catch (error) {
    if (error instanceof Problem && error.status === 404) update({ selected: null });
    throw error;
  }
}

async function refresh() {
  const good = await attempt(async () => {
    // Each part is shown as it comes: without a city there is still a status, and a worklist that is empty.
    await Promise.all([
      get("/v1/ingest/status").then((status) => update({ status })),
      get("/v1/city").then((city) => {
        update({ city });
        return document.querySelector("road-map").refresh();
      }),
      loadWorklist(),
      loadSegment(),
    ]);
  });
  if (good) {
    lastGood = new Date();
    showProblem(null);
  }
}

function showCity() {
  document.getElementById("city-name").textContent = state.city?.name ?? "";
  document.getElementById("simulated").hidden = !state.city?.simulated;
  document.getElementById("cold-start").hidden = !state.city?.score_run?.cold_start;
  document.title = state.city ? `Roadtwin – ${state.city.name}` : "Roadtwin";
}

function start() {
  readAddress();
  translatePage();
  on(["language"], translatePage);
  on(["city"], showCity);
  on(["horizon", "district", "capacity", "include", "crews", "hours"], () => {
    update({ job: null }); // jobs are numbered anew
    attempt(loadWorklist);
  });
  on(["selected"], () => {
    attempt(loadSegment);
    document.querySelector("work-list").reveal();
  });
  on(["selected", "horizon"], writeAddress);
  addEventListener("hashchange", readAddress);
  addEventListener("roadtwin-recorded", refresh);
  addEventListener("roadtwin-key", () => {
    translatePage();
    refresh();
  });
  document.getElementById("key-button").addEventListener("click", () => document.querySelector("record-dialog").open("key"));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) update({ selected: null });
  });
  refresh();
  setInterval(() => document.visibilityState === "visible" && refresh(), REFRESH_MS);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());
}

start();
