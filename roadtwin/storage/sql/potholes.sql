-- name: stage_pothole
CREATE TEMP TABLE IF NOT EXISTS staged_pothole (LIKE pothole) ON COMMIT DROP;
TRUNCATE staged_pothole;

-- name: copy_pothole
COPY staged_pothole (
    pothole_id, rule_version, section_id, segment_id, station_m, lon, lat, first_evidence_at, first_recorded_at,
    confirmed_at, secured_at, closed_at, close_reason, last_evidence_at, severity, evidence_count, evidence,
    reopened
) FROM STDIN;

-- name: remove_lapsed
-- Candidates that nothing confirmed, and whatever another version of the rule made.
DELETE FROM pothole AS p WHERE NOT EXISTS (SELECT FROM staged_pothole AS s WHERE s.pothole_id = p.pothole_id);

-- name: merge_pothole
INSERT INTO pothole AS p (
    pothole_id, rule_version, section_id, segment_id, station_m, lon, lat, first_evidence_at, first_recorded_at,
    confirmed_at, secured_at, closed_at, close_reason, last_evidence_at, severity, evidence_count, evidence,
    reopened
)
SELECT
    pothole_id, rule_version, section_id, segment_id, station_m, lon, lat, first_evidence_at, first_recorded_at,
    confirmed_at, secured_at, closed_at, close_reason, last_evidence_at, severity, evidence_count, evidence,
    reopened
FROM staged_pothole
ON CONFLICT (pothole_id) DO UPDATE
    SET
        section_id = excluded.section_id, segment_id = excluded.segment_id, station_m = excluded.station_m,
        lon = excluded.lon, lat = excluded.lat, first_evidence_at = excluded.first_evidence_at,
        first_recorded_at = excluded.first_recorded_at, confirmed_at = excluded.confirmed_at,
        secured_at = excluded.secured_at, closed_at = excluded.closed_at,
        close_reason = excluded.close_reason, last_evidence_at = excluded.last_evidence_at, severity = excluded.severity,
        evidence_count = excluded.evidence_count, evidence = excluded.evidence, reopened = excluded.reopened
    WHERE
        (
            p.segment_id, p.station_m, p.confirmed_at, p.secured_at, p.closed_at, p.close_reason, p.severity,
            p.evidence_count, p.evidence
        ) IS DISTINCT FROM (
            excluded.segment_id, excluded.station_m, excluded.confirmed_at, excluded.secured_at, excluded.closed_at,
            excluded.close_reason, excluded.severity, excluded.evidence_count, excluded.evidence
        );
