-- name: read_potholes
SELECT
    p.pothole_id,
    p.station_m,
    p.lon,
    p.lat,
    p.first_evidence_at,
    p.first_recorded_at,
    p.confirmed_at,
    p.secured_at,
    p.closed_at,
    p.close_reason,
    p.last_evidence_at,
    p.severity,
    p.evidence_count,
    p.evidence,
    spell.seen_again,
    spell.broken_up_again AS reopened
FROM pothole AS p
INNER JOIN pothole_spell AS spell ON spell.pothole_id = p.pothole_id
WHERE p.segment_id = %(segment_id)s
ORDER BY p.closed_at IS NOT NULL, coalesce(p.closed_at, p.last_evidence_at) DESC
LIMIT %(limit)s;

-- name: read_pass_days
SELECT DISTINCT ON (day)
    day,
    recorded_at,
    passes,
    good_passes,
    longitudinal_cracks,
    transverse_cracks,
    alligator_cracks,
    potholes_seen,
    roughness_mps2
FROM segment_day
WHERE segment_id = %(segment_id)s
ORDER BY day DESC, recorded_at DESC
LIMIT %(limit)s;

-- name: read_repairs
-- Known by the sender's segment or by matching; the highest matcher version is in force.
SELECT
    r.record_id,
    r.observed_at,
    r.recorded_at,
    r.origin,
    r.lon,
    r.lat,
    r.kind,
    r.method,
    r.area_m2,
    r.depth_m,
    r.crew,
    r.note,
    m.matched_at
FROM repair AS r
LEFT JOIN LATERAL (
    SELECT segment_id, matched_at
    FROM record_match
    WHERE record_kind = 'repair' AND record_id = r.record_id
    ORDER BY matcher_version DESC
    LIMIT 1
) AS m ON TRUE
WHERE
    r.record_id IN (
        SELECT record_id FROM repair WHERE public_segment_id = %(public_id)s
        UNION
        SELECT record_id FROM record_match WHERE record_kind = 'repair' AND segment_id = %(segment_id)s
        UNION
        SELECT unnest(%(near_ids)s::uuid [])
    )
    AND (m.segment_id = %(segment_id)s OR m.matched_at IS NULL)
ORDER BY r.observed_at DESC
LIMIT %(limit)s;

-- name: read_inspections
SELECT
    i.record_id,
    i.observed_at,
    i.recorded_at,
    i.origin,
    i.inspector_role,
    i.note,
    coalesce(
        jsonb_agg(
            jsonb_build_object(
                'class_code', f.class_code, 'severity', f.severity, 'width_m', f.width_m, 'depth_m', f.depth_m,
                'lon', f.lon, 'lat', f.lat
            ) ORDER BY f.finding_no
        ) FILTER (WHERE f.finding_no IS NOT NULL),
        '[]'::jsonb
    ) AS findings
FROM inspection AS i
LEFT JOIN inspection_finding AS f ON f.record_id = i.record_id
WHERE i.public_segment_id = %(public_id)s
GROUP BY i.record_id
ORDER BY i.observed_at DESC
LIMIT %(limit)s;

-- name: read_reports
SELECT
    r.record_id,
    r.observed_at,
    r.recorded_at,
    r.origin,
    r.lon,
    r.lat,
    r.channel,
    r.category,
    r.text,
    m.matched_at
FROM report AS r
LEFT JOIN LATERAL (
    SELECT segment_id, matched_at
    FROM record_match
    WHERE record_kind = 'report' AND record_id = r.record_id
    ORDER BY matcher_version DESC
    LIMIT 1
) AS m ON TRUE
WHERE
    r.record_id IN (
        SELECT record_id FROM report WHERE public_segment_id = %(public_id)s
        UNION
        SELECT record_id FROM record_match WHERE record_kind = 'report' AND segment_id = %(segment_id)s
        UNION
        SELECT unnest(%(near_ids)s::uuid [])
    )
    AND (m.segment_id = %(segment_id)s OR m.matched_at IS NULL)
ORDER BY r.observed_at DESC
LIMIT %(limit)s;

-- name: read_decisions
SELECT decision_id, decided_at, recorded_at, decided_by, pothole_id, score_as_of, horizon_days, probability, action, reason
FROM decision
WHERE
    segment_id = %(segment_id)s
    OR pothole_id IN (SELECT pothole_id FROM pothole WHERE segment_id = %(segment_id)s)
ORDER BY decided_at DESC
LIMIT %(limit)s;

-- name: read_planned_works
SELECT record_id, observed_at, recorded_at, starts_on, ends_on, kind
FROM planned_work
WHERE public_segment_id = %(public_id)s AND ends_on >= %(today)s
ORDER BY starts_on
LIMIT %(limit)s;

-- name: read_unmatched_positions
-- Records that came in since the last matching, without a segment of their own: few at any time.
SELECT record_kind, record_id, lon, lat
FROM (
    SELECT 'repair' AS record_kind, record_id, lon, lat, recorded_at
    FROM repair
    WHERE public_segment_id IS NULL AND lon IS NOT NULL AND recorded_at >= %(since)s
    UNION ALL
    SELECT 'report' AS record_kind, record_id, lon, lat, recorded_at
    FROM report
    WHERE public_segment_id IS NULL AND lon IS NOT NULL AND recorded_at >= %(since)s
) AS r
WHERE
    lon BETWEEN %(min_lon)s AND %(max_lon)s
    AND lat BETWEEN %(min_lat)s AND %(max_lat)s
    AND NOT EXISTS (
        SELECT FROM record_match AS m WHERE m.record_kind = r.record_kind AND m.record_id = r.record_id
    )
ORDER BY recorded_at
LIMIT 1000;

-- name: has_segment_near
SELECT
FROM segment
WHERE
    valid_to IS NULL
    AND bounds && box(point(%(min_lon)s::float8, %(min_lat)s::float8), point(%(max_lon)s::float8, %(max_lat)s::float8))
LIMIT 1;

-- name: read_segments_near
SELECT segment_id, public_id, geometry_wkb
FROM segment
WHERE
    valid_to IS NULL
    AND nominal_length_m = %(nominal_length_m)s
    AND bounds && box(point(%(min_lon)s::float8, %(min_lat)s::float8), point(%(max_lon)s::float8, %(max_lat)s::float8))
ORDER BY segment_id
LIMIT 500;
