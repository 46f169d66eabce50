import { h } from "./dom.js";
import { number } from "./format.js";
import { t } from "./i18n.js";
import { state, update } from "./store.js";

const hours = (minutes) => t("job_hours", { h: number(Math.floor(minutes / 60)), min: number(Math.round(minutes % 60)) });

function tasksOf(list, job) {
  const holes = list.potholes.filter((p) => p.job === job.job).map((p) => ({ ...p, key: p.pothole_id }));
  const looks = list.inspections.filter((s) => s.job === job.job).map((s) => ({ ...s, key: s.segment_id }));
  const order = [...job.pothole_ids, ...job.segment_ids];
  return [...holes, ...looks].sort((a, b) => order.indexOf(a.key) - order.indexOf(b.key));
}

function describe(job) {
  const { pothole_ids: holes, segment_ids: looks } = job;
  return [
    holes.length > 0 && t(holes.length === 1 ? "job_pothole" : "job_potholes", { n: number(holes.length) }),
    looks.length > 0 && t(looks.length === 1 ? "job_inspection" : "job_inspections", { n: number(looks.length) }),
    job.must && t("job_must"),
  ]
    .filter(Boolean)
    .join(" · ");
}

function card(job, list, renderTask) {
  const open = state.job === job.job;
  const mark = job.crew === null ? "–" : `${job.crew}.${job.order}`;
  return h(
    "li",
    { class: `job${open ? " open" : ""}` },
    h(
      "button",
      {
        type: "button",
        class: "task job-head",
        "aria-expanded": String(open),
        data: { job: job.job, focus: `j-${job.job}` },
        onclick: () => update({ job: open ? null : job.job }),
      },
      h("span", { class: `mark job-mark crew-${((job.crew ?? 0) - 1) % 6}` }, mark),
      h("span", { class: "title" }, h("b", {}, job.name), h("small", { class: "muted" }, job.district)),
      h("span", { class: "side" }, hours(job.duration_min)),
      h("span", { class: "line" }, describe(job)),
    ),
    open && h("ol", { class: "job-tasks" }, tasksOf(list, job).map((task) => h("li", {}, renderTask(task)))),
  );
}

/** The jobs of the day by crew, then those that do not fit. */
export function jobList(list, renderTask) {
  const { plan } = list;
  if (plan.jobs.length === 0) return h("p", { class: "empty" }, t("jobs_none"));
  const crews = plan.crew_minutes.map((minutes, i) => {
    const jobs = plan.jobs.filter((job) => job.crew === i + 1);
    return (
      jobs.length > 0 &&
      h(
        "section",
        { class: "crew" },
        h(
          "h3",
          {},
          t("job_crew", { n: i + 1 }),
          h("small", {}, `${hours(minutes)} · ${t("job_drive", { min: number(plan.drive_minutes[i]) })}`),
        ),
        h("ol", {}, jobs.map((job) => card(job, list, renderTask))),
      )
    );
  });
  const left = plan.jobs.filter((job) => job.crew === null);
  const rest =
    left.length > 0 &&
    h(
      "section",
      { class: "crew left" },
      h("h3", {}, t("jobs_left", { n: number(left.length) })),
      h("ol", {}, left.map((job) => card(job, list, renderTask))),
    );
  return h("div", {}, crews.filter(Boolean), rest, h("p", { class: "hint job-note" }, assumptions(plan)));
}

function assumptions({ assumptions: a }) {
  return t("jobs_assumptions", {
    mobilisation: number(a.mobilisation_min),
    reach: number(a.reach_m),
    extent: number(a.extent_m),
    holes: Object.values(a.pothole_min).map((m) => number(m)).join("/"),
    look: number(a.inspection_min),
    speed: number(a.drive_speed_kmh),
  });
}

/** What the jobs save, in one line. */
export function jobSummary({ plan }) {
  const planned = plan.jobs.filter((job) => job.crew !== null).length;
  return [
    h("span", {}, t("jobs_planned", { n: number(planned), tasks: number(plan.planned_tasks) })),
    plan.saved_minutes > 0 && h("span", {}, t("jobs_saved", { time: hours(plan.saved_minutes) })),
  ].filter(Boolean);
}
