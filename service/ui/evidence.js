import { date, number, percent } from "./format.js";
import { t, word } from "./i18n.js";

/** One line for an entry of the evidence. */
export function evidenceText(entry) {
  return TEXT_OF[entry.kind](entry.details).filter(Boolean).join(" · ");
}

const seen = (details, field, key) => details[field] > 0 && t(key, { n: number(details[field]) });
const depth = (metres) => metres && `${number(metres * 100)} cm`;

function finding(f) {
  return [word("class", f.class_code), t(`severity_${f.severity}`), depth(f.depth_m)].filter(Boolean).join(", ");
}

const TEXT_OF = {
  pothole: (d) => [
    t(`severity_${d.severity}`),
    t(`status_${d.status}`),
    d.seen_again && t("seen_again"),
    d.reopened && t("reopened"),
    d.evidence_count === 1 ? t("evidence_count_one") : t("evidence_count", { n: number(d.evidence_count) }),
  ],
  passes: (d) => {
    const found = [
      seen(d, "potholes_seen", "seen_potholes"),
      seen(d, "alligator_cracks", "seen_alligator"),
      seen(d, "longitudinal_cracks", "seen_longitudinal"),
      seen(d, "transverse_cracks", "seen_transverse"),
    ].filter(Boolean);
    const counts = t("passes_line", { n: number(d.passes), good: number(d.good_passes) });
    return [counts, ...(found.length ? found : [t("passes_nothing")])];
  },
  repair: (d) => [t(`repair_${d.kind}`), word("method", d.method), depth(d.depth_m), d.crew, d.note],
  inspection: (d) => [
    d.inspector_role,
    ...(d.findings?.length ? d.findings.map(finding) : [t("findings_none")]),
    d.note,
  ],
  report: (d) => [word("category", d.category), word("channel", d.channel), d.text],
  decision: (d) => [
    word("action", d.action),
    d.reason,
    d.probability !== undefined && t("decision_known", { p: percent(d.probability), n: d.horizon_days }),
    d.decided_by,
  ],
  planned_work: (d) => [word("work", d.work_kind), `${date(d.starts_on)} – ${date(d.ends_on)}`],
};
