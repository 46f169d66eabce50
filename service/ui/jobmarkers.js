import { h } from "./dom.js";
import { t } from "./i18n.js";
import { state, update } from "./store.js";

/** Marks of the planned jobs on the map while the list of jobs is open: crew and order, in the crew's colour. */
export class JobMarkers {
  #markers = [];

  constructor(map, library) {
    this.map = map;
    this.library = library;
  }

  show() {
    for (const marker of this.#markers) marker.remove();
    this.#markers = [];
    if (state.tab !== "jobs" || !state.worklist) return;
    const planned = state.worklist.plan.jobs.filter((job) => job.crew !== null || job.job === state.job);
    this.#markers = planned.map((job) =>
      new this.library.Marker({ element: this.#element(job) }).setLngLat([job.mid.lon, job.mid.lat]).addTo(this.map),
    );
  }

  #element(job) {
    const text = job.crew === null ? "–" : `${job.crew}.${job.order}`;
    const open = job.job === state.job;
    return h(
      "button",
      {
        type: "button",
        class: `map-job job-mark crew-${((job.crew ?? 0) - 1) % 6}${open ? " open" : ""}`,
        title: `${text} ${job.name}`,
        "aria-label": t("job_on_map", { n: text, street: job.name }),
        data: { job: job.job },
        onclick: (event) => {
          event.stopPropagation(); // the map would take it for a click on a segment
          update({ job: job.job });
          document.querySelector("work-list").revealJob();
        },
      },
      text,
    );
  }

  /** Segments of the open job, by id. */
  static segments() {
    const { worklist, job } = state;
    if (!worklist || job === null) return [];
    return [...worklist.potholes, ...worklist.inspections].filter((task) => task.job === job).map((task) => task.segment_id);
  }

  /** Bring the open job into view. */
  fit() {
    const job = state.worklist?.plan.jobs.find((j) => j.job === state.job);
    if (!job) return;
    const [west, south, east, north] = job.bbox;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map.fitBounds([[west, south], [east, north]], { padding: 90, maxZoom: 15.5, animate: !still });
  }
}
