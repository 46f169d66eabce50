-- name: lock_potholes
-- Two that write holes of the same sections in another order, or count that they did, would wait for each other for
-- ever: the second one waits here, before it has changed a row. Reading goes on.
LOCK TABLE pothole IN SHARE ROW EXCLUSIVE MODE;

-- name: stage_pothole
CREATE TEMP TABLE IF NOT EXISTS staged_pothole (LIKE pothole) ON COMMIT DROP;
TRUNCATE staged_pothole;

-- name: copy_pothole
COPY staged_pothole (
    pothole_id, rule_version, section_id, segment_id, station_m, lon, lat, first_evidence_at, first_recorded_at,
    confirmed_at, secured_at, closed_at, close_reason, last_evidence_at, severity, evidence_count, evidence,
    reopened, opened_at, shut_at, seen_by_person_at
) FROM STDIN;

-- name: remove_lapsed
-- Candidates that nothing confirmed, and whatever another version of the rule made.
DELETE FROM pothole AS p
WHERE
    (%(sections)s::integer [] IS NULL OR p.section_id = ANY(%(sections)s::integer []))
    AND NOT EXISTS (SELECT FROM staged_pothole AS s WHERE s.pothole_id = p.pothole_id);

-- name: merge_pothole
INSERT INTO pothole AS p (
    pothole_id, rule_version, section_id, segment_id, station_m, lon, lat, first_evidence_at, first_recorded_at,
    confirmed_at, secured_at, closed_at, close_reason, last_evidence_at, severity, evidence_count, evidence,
    reopened, opened_at, shut_at, seen_by_person_at
)
SELECT
    pothole_id, rule_version, section_id, segment_id, station_m, lon, lat, first_evidence_at, first_recorded_at,
    confirmed_at, secured_at, closed_at, close_reason, last_evidence_at, severity, evidence_count, evidence,
    reopened, opened_at, shut_at, seen_by_person_at
FROM staged_pothole
ON CONFLICT (pothole_id) DO UPDATE
    SET
        section_id = excluded.section_id, segment_id = excluded.segment_id, station_m = excluded.station_m,
        lon = excluded.lon, lat = excluded.lat, first_evidence_at = excluded.first_evidence_at,
        first_recorded_at = excluded.first_recorded_at, confirmed_at = excluded.confirmed_at,
        secured_at = excluded.secured_at, closed_at = excluded.closed_at,
        close_reason = excluded.close_reason, last_evidence_at = excluded.last_evidence_at, severity = excluded.severity,
        evidence_count = excluded.evidence_count, evidence = excluded.evidence, reopened = excluded.reopened,
        opened_at = excluded.opened_at, shut_at = excluded.shut_at, seen_by_person_at = excluded.seen_by_person_at
    WHERE
        (
            p.segment_id, p.station_m, p.confirmed_at, p.secured_at, p.closed_at, p.close_reason, p.severity,
            p.evidence_count, p.evidence, p.reopened, p.opened_at, p.shut_at, p.seen_by_person_at
        ) IS DISTINCT FROM (
            excluded.segment_id, excluded.station_m, excluded.confirmed_at, excluded.secured_at, excluded.closed_at,
            excluded.close_reason, excluded.severity, excluded.evidence_count, excluded.evidence, excluded.reopened,
            excluded.opened_at, excluded.shut_at, excluded.seen_by_person_at
        );

-- name: read_derivation
SELECT as_of, rule_version, matcher_version FROM pothole_derivation;

-- name: write_derivation
INSERT INTO pothole_derivation (as_of, rule_version, matcher_version)
VALUES (%(as_of)s, %(rule_version)s, %(matcher_version)s)
ON CONFLICT (only_row) DO UPDATE
    SET as_of = excluded.as_of, rule_version = excluded.rule_version, matcher_version = excluded.matcher_version;

-- name: forget_derivation
-- Facts came that had been recorded before: whatever was derived since then may be otherwise.
DELETE FROM pothole_derivation WHERE as_of >= %(recorded_at)s;

-- name: avoid_nested_loops
-- The planner takes event and time of a reading for independent, expects hardly any row of a join over both, and would
-- search every chunk for each of a million readings.
SET LOCAL enable_nestloop = off;

-- name: allow_nested_loops
SET LOCAL enable_nestloop = on;

-- name: clear_evidence
TRUNCATE pothole_evidence;

-- name: read_span_of_new_matches
-- When what was placed since then was observed: a bound for the join below.
SELECT min(observed_at), max(observed_at)
FROM (
    SELECT observed_at FROM reading_match WHERE matched_at >= %(since)s
    UNION ALL
    SELECT r.observed_at
    FROM record_match AS m
    INNER JOIN repair AS r ON m.record_id = r.record_id
    WHERE m.record_kind = 'repair' AND m.matched_at >= %(since)s
    UNION ALL
    SELECT r.observed_at
    FROM record_match AS m
    INNER JOIN report AS r ON m.record_id = r.record_id
    WHERE m.record_kind = 'report' AND m.matched_at >= %(since)s
    UNION ALL
    SELECT i.observed_at
    FROM record_match AS m
    INNER JOIN inspection AS i ON m.record_id = i.record_id
    WHERE m.record_kind = 'finding' AND m.matched_at >= %(since)s
) AS placed;

-- name: collect_evidence
WITH written AS (
    INSERT INTO pothole_evidence AS e (
        kind, evidence_id, part_no, observed_at, recorded_at, section_id, segment_id, station_m, accuracy_m, lon, lat,
        pass_key, width_m, depth_m, severity, flags
    )
    -- An id names one observation. Of two times under one id, as a confused sender gives, the first one counts.
    SELECT DISTINCT ON (evidence_id, kind, part_no)
        kind, evidence_id, part_no, observed_at, recorded_at, section_id, segment_id, station_m, accuracy_m, lon, lat,
        pass_key, width_m, depth_m, severity, flags
    FROM placed_evidence
    WHERE matched_at >= %(since)s AND observed_at BETWEEN %(first)s AND %(last)s
    ORDER BY evidence_id, kind, part_no, recorded_at, observed_at
    ON CONFLICT (evidence_id, kind, part_no) DO UPDATE
        SET
            section_id = excluded.section_id, segment_id = excluded.segment_id, station_m = excluded.station_m,
            accuracy_m = excluded.accuracy_m, lon = excluded.lon, lat = excluded.lat, flags = excluded.flags
        WHERE
            e.observed_at = excluded.observed_at
            AND (e.section_id, e.segment_id, e.station_m, e.flags)
            IS DISTINCT FROM (excluded.section_id, excluded.segment_id, excluded.station_m, excluded.flags)
    RETURNING e.section_id
)

SELECT DISTINCT section_id FROM written;

-- name: read_sections_to_derive
-- Where something may be otherwise than as of `since` (NULL: everywhere): new evidence; an open hole or candidate at which
-- somebody looked since then (an hour is left for looks that were on their way); a candidate that lapses by time alone.
WITH looked_at AS (
    SELECT segment_id
    FROM segment_day
    WHERE recorded_at > %(since)s::timestamptz - INTERVAL '1 hour' AND recorded_at <= %(now)s
    UNION
    SELECT s.segment_id
    FROM inspection AS i
    INNER JOIN segment AS s ON i.public_segment_id = s.public_id
    WHERE i.recorded_at > %(since)s::timestamptz - INTERVAL '1 hour' AND i.recorded_at <= %(now)s
)
SELECT section_id
FROM pothole
WHERE
    %(since)s::timestamptz IS NULL
    OR (
        closed_at IS NULL
        AND (
            segment_id IN (SELECT segment_id FROM looked_at)
            OR (confirmed_at IS NULL AND first_recorded_at <= %(lapsing_since)s)
        )
    )
UNION
SELECT section_id FROM pothole_evidence WHERE recorded_at > %(since)s::timestamptz AND recorded_at <= %(now)s
UNION
SELECT unnest(%(sections)s::integer []);

-- name: count_potholes
SELECT
    (SELECT count(*) FROM pothole_evidence WHERE recorded_at <= %(now)s AND flags & %(unfit)s = 0),
    count(*) FILTER (WHERE confirmed_at IS NULL),
    count(*) FILTER (WHERE confirmed_at IS NOT NULL AND closed_at IS NULL),
    count(closed_at),
    count(*) FILTER (WHERE close_reason = 'not_found')
FROM pothole;
