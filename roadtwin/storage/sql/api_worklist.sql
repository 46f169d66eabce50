-- name: read_open_potholes
-- Confirmed ones that are open, and those that were repaired since the day began. A candidate is no pothole yet.
SELECT
    p.pothole_id,
    p.segment_id,
    p.section_id,
    s.public_id,
    s.name,
    s.district,
    s.road_class,
    p.station_m,
    p.lon,
    p.lat,
    p.severity,
    p.evidence_count,
    spell.seen_again,
    spell.broken_up_again AS reopened,
    p.seen_by_person_at IS NOT NULL AS confirmed_by_person,
    -- A state from before the hole was open (again) says nothing of it. One that looks back and finds nobody who saw it
    -- does: it has been repaired, or forgotten.
    CASE
        WHEN t.as_of >= spell.open_since
            THEN (t.state -> 'open_pothole_probability' ->> 'value')::double precision
    END AS twin_probability,
    p.first_recorded_at,
    spell.known_since,
    p.confirmed_at,
    p.last_evidence_at,
    p.secured_at,
    p.closed_at,
    p.close_reason,
    section.owner,
    section.warranty_until,
    section.maintenance_district,
    w.starts_on AS works_start_on,
    w.kind AS works_kind,
    d.action AS decided_action,
    d.decided_at,
    d.reason AS decided_reason
FROM pothole AS p
INNER JOIN pothole_spell AS spell ON spell.pothole_id = p.pothole_id
INNER JOIN segment AS s ON s.segment_id = p.segment_id
INNER JOIN road_section AS section ON section.section_id = s.section_id
LEFT JOIN twin_state AS t ON t.segment_id = p.segment_id
LEFT JOIN (
    SELECT DISTINCT ON (public_segment_id) public_segment_id, starts_on, kind
    FROM planned_work
    WHERE recorded_at <= %(now)s AND ends_on >= %(today)s AND starts_on <= %(works_until)s
    ORDER BY public_segment_id, starts_on
) AS w ON w.public_segment_id = s.public_id
LEFT JOIN (
    SELECT DISTINCT ON (pothole_id) pothole_id, action, decided_at, reason
    FROM decision
    WHERE pothole_id IS NOT NULL AND recorded_at <= %(now)s
    ORDER BY pothole_id, decided_at DESC
) AS d ON d.pothole_id = p.pothole_id
WHERE
    p.confirmed_at IS NOT NULL
    AND (p.closed_at IS NULL OR (p.closed_at >= %(day_start)s AND p.close_reason = 'repaired'))
    AND (%(district)s::text IS NULL OR s.district = %(district)s::text)
ORDER BY p.first_recorded_at, p.pothole_id;

-- name: read_pending_repairs
-- Repairs that the next run of matching will take in; the worklist must not send a crew there meanwhile.
SELECT r.record_id, r.observed_at, r.kind, r.public_segment_id, r.lon, r.lat
FROM repair AS r
WHERE
    r.recorded_at >= %(since)s
    AND NOT EXISTS (
        SELECT FROM record_match AS m WHERE m.record_kind = 'repair' AND m.record_id = r.record_id
    )
ORDER BY r.observed_at
LIMIT 5000;

-- name: read_risky_segments
-- Worst first. `only_ids`: these segments alone; `without_ids`: all but these.
SELECT
    s.segment_id,
    s.section_id,
    s.public_id,
    s.name,
    s.district,
    s.road_class,
    s.length_m,
    (s.from_station_m + s.to_station_m) / 2 AS station_m,
    s.mid_lon,
    s.mid_lat,
    r.probability,
    r.probability_low,
    r.probability_high,
    r.expected_count,
    r.rank,
    r.reasons,
    t.condition_grade,
    t.newest_evidence_at,
    section.owner,
    section.warranty_until,
    section.maintenance_district,
    section.inspection_interval_days,
    w.starts_on AS works_start_on,
    w.kind AS works_kind,
    i.inspected_at,
    d.action AS decided_action,
    d.decided_at,
    d.reason AS decided_reason
FROM risk_score AS r
INNER JOIN segment AS s ON s.segment_id = r.segment_id
INNER JOIN road_section AS section ON section.section_id = s.section_id
LEFT JOIN twin_state AS t ON t.segment_id = s.segment_id
LEFT JOIN (
    SELECT DISTINCT ON (public_segment_id) public_segment_id, starts_on, kind
    FROM planned_work
    WHERE recorded_at <= %(now)s AND ends_on >= %(today)s AND starts_on <= %(works_until)s
    ORDER BY public_segment_id, starts_on
) AS w ON w.public_segment_id = s.public_id
LEFT JOIN (
    SELECT public_segment_id, max(observed_at) AS inspected_at
    FROM inspection
    WHERE recorded_at <= %(now)s AND observed_at >= %(inspected_since)s
    GROUP BY public_segment_id
) AS i ON i.public_segment_id = s.public_id
LEFT JOIN (
    SELECT DISTINCT ON (segment_id) segment_id, action, decided_at, reason
    FROM decision
    WHERE segment_id IS NOT NULL AND pothole_id IS NULL AND recorded_at <= %(now)s AND decided_at >= %(decided_since)s
    ORDER BY segment_id, decided_at DESC
) AS d ON d.segment_id = s.segment_id
WHERE
    r.as_of = %(as_of)s
    AND r.horizon_days = %(horizon_days)s
    AND s.valid_to IS NULL
    AND (%(district)s::text IS NULL OR s.district = %(district)s::text)
    AND (%(only_ids)s::integer [] IS NULL OR s.segment_id = ANY(%(only_ids)s::integer []))
    AND (%(without_ids)s::integer [] IS NULL OR s.segment_id <> ALL(%(without_ids)s::integer []))
ORDER BY r.rank, s.segment_id
LIMIT %(limit)s;

-- name: count_inspected
SELECT count(DISTINCT s.segment_id) AS count
FROM inspection AS i
INNER JOIN segment AS s ON s.public_id = i.public_segment_id AND s.valid_to IS NULL
WHERE
    i.recorded_at <= %(now)s
    AND i.observed_at >= %(day_start)s
    AND s.segment_id = ANY(%(only_ids)s::integer []);
