-- name: read_versions
-- One row that changes whenever an answer about segments may change.
SELECT
    (SELECT max(as_of) FROM score_run) AS score_as_of,
    (SELECT string_agg(concat(about, ' ', version), ', ' ORDER BY about) FROM answer_version) AS versions;

-- name: read_city
SELECT
    c.name,
    c.timezone,
    c.simulated,
    count(s.segment_id) AS segment_count,
    coalesce(sum(s.length_m), 0) / 1000 AS length_km,
    min((s.bounds[1])[0]) AS min_lon,
    min((s.bounds[1])[1]) AS min_lat,
    max((s.bounds[0])[0]) AS max_lon,
    max((s.bounds[0])[1]) AS max_lat
FROM city AS c
LEFT JOIN segment AS s ON s.valid_to IS NULL AND s.nominal_length_m = %(nominal_length_m)s
GROUP BY c.name, c.timezone, c.simulated;

-- name: read_districts
SELECT
    district AS name,
    count(*) AS segment_count,
    sum(length_m) / 1000 AS length_km,
    sum(mid_lon * length_m) / sum(length_m) AS lon,
    sum(mid_lat * length_m) / sum(length_m) AS lat
FROM segment
WHERE valid_to IS NULL AND nominal_length_m = %(nominal_length_m)s AND district <> ''  -- '': the register names none
GROUP BY district
ORDER BY district;

-- name: read_score_run
SELECT
    r.as_of,
    r.recorded_at,
    r.segment_count,
    r.model_run_id,
    m.trained_at,
    coalesce((m.card -> 'learned' ->> 'cold_start')::boolean, FALSE) AS cold_start
FROM score_run AS r
INNER JOIN model_run AS m ON m.model_run_id = r.model_run_id
ORDER BY r.as_of DESC
LIMIT 1;

-- name: list_segments
-- Worst first by the asked horizon; segments without score come last. (rank, segment_id) is the key of the next page.
SELECT
    s.segment_id,
    s.public_id,
    s.name,
    s.district,
    s.road_class,
    s.length_m,
    s.mid_lon,
    s.mid_lat,
    s.geometry_wkb,
    section.owner,
    section.warranty_until,
    t.condition_grade,
    t.evidence_count,
    t.newest_evidence_at,
    coalesce(h.open_potholes, 0) AS open_potholes,
    h.worst_severity,
    coalesce(r.rank, 2147483647) AS page_rank
FROM segment AS s
INNER JOIN road_section AS section ON section.section_id = s.section_id
LEFT JOIN risk_score AS r
    ON r.segment_id = s.segment_id AND r.as_of = %(as_of)s AND r.horizon_days = %(horizon_days)s
LEFT JOIN twin_state AS t ON t.segment_id = s.segment_id
LEFT JOIN (
    SELECT segment_id, count(*) AS open_potholes, max(severity) AS worst_severity
    FROM pothole
    WHERE confirmed_at IS NOT NULL AND closed_at IS NULL
    GROUP BY segment_id
) AS h ON h.segment_id = s.segment_id
WHERE
    s.valid_to IS NULL
    AND s.nominal_length_m = %(nominal_length_m)s
    AND (
        %(min_lon)s::float8 IS NULL
        OR s.bounds && box(point(%(min_lon)s::float8, %(min_lat)s::float8), point(%(max_lon)s::float8, %(max_lat)s::float8))
    )
    AND (%(district)s::text IS NULL OR s.district = %(district)s::text)
    AND (%(min_risk)s::float8 IS NULL OR r.probability >= %(min_risk)s::float8)
    AND (coalesce(r.rank, 2147483647), s.segment_id) > (%(after_rank)s::integer, %(after_segment_id)s::integer)
ORDER BY coalesce(r.rank, 2147483647), s.segment_id
LIMIT %(limit)s;

-- name: read_scores
SELECT
    segment_id,
    horizon_days,
    probability,
    expected_count,
    probability_low,
    probability_high,
    rank,
    model_run_id,
    reasons
FROM risk_score
WHERE as_of = %(as_of)s AND segment_id = ANY(%(segment_ids)s)
ORDER BY segment_id, horizon_days;

-- name: read_all_risks
-- The map's three numbers of every segment; tuples, for thousands of rows.
SELECT segment_id, horizon_days, probability, rank
FROM risk_score
WHERE as_of = %(as_of)s;

-- name: find_segment
SELECT
    s.segment_id,
    s.public_id,
    s.section_id,
    s.name,
    s.district,
    s.road_class,
    s.length_m,
    s.nominal_length_m,
    s.from_station_m,
    s.to_station_m,
    s.mid_lon,
    s.mid_lat,
    s.valid_from,
    s.valid_to,
    s.geometry_wkb,
    s.attributes,
    section.source,
    section.source_section_id,
    section.owner,
    section.maintenance_district,
    section.warranty_until,
    section.inspection_interval_days,
    t.as_of AS state_as_of,
    t.state,
    t.condition_grade,
    t.evidence_count,
    t.newest_evidence_at,
    coalesce(n.neighbours, '[]'::jsonb) AS neighbours
FROM segment AS s
INNER JOIN road_section AS section ON section.section_id = s.section_id
LEFT JOIN twin_state AS t ON t.segment_id = s.segment_id
LEFT JOIN LATERAL (
    SELECT jsonb_agg(o.public_id ORDER BY o.from_station_m) AS neighbours
    FROM segment AS o
    WHERE
        o.section_id = s.section_id
        AND o.valid_to IS NULL
        AND o.nominal_length_m = s.nominal_length_m
        AND o.segment_id <> s.segment_id
        AND (abs(o.to_station_m - s.from_station_m) < 1 OR abs(o.from_station_m - s.to_station_m) < 1)
) AS n ON TRUE
WHERE s.public_id = %(public_id)s
ORDER BY s.valid_to DESC NULLS FIRST  -- the one that has the id now; else the last one that had it
LIMIT 1;

-- name: read_score_history
-- The last score of each local day, oldest first.
SELECT DISTINCT ON ((as_of AT TIME ZONE %(timezone)s)::date, horizon_days)
    (as_of AT TIME ZONE %(timezone)s)::date AS day,
    as_of,
    horizon_days,
    probability,
    model_run_id
FROM risk_score
WHERE segment_id = %(segment_id)s AND as_of >= %(since)s AND as_of <= %(as_of)s
ORDER BY (as_of AT TIME ZONE %(timezone)s)::date, horizon_days, as_of DESC;

-- name: read_feature_row
SELECT as_of, feature_set_version, feature_values
FROM feature_row
WHERE segment_id = %(segment_id)s AND as_of = %(as_of)s
ORDER BY feature_set_version DESC
LIMIT 1;

-- name: read_weather
-- The newest hour that is known, and what the last day and week were like, over the stations' first.
WITH
newest AS (
    SELECT station, max(observed_at) AS observed_at
    FROM weather
    WHERE recorded_at <= %(now)s AND observed_at <= %(now)s AND observed_at > %(now)s - INTERVAL '30 days'
    GROUP BY station
    ORDER BY max(observed_at) DESC, station
    LIMIT 1
),

hours AS (
    SELECT DISTINCT ON (w.observed_at) w.*
    FROM weather AS w
    INNER JOIN newest AS n ON n.station = w.station
    WHERE
        w.observed_at > n.observed_at - INTERVAL '7 days'
        AND w.observed_at <= n.observed_at
        AND w.recorded_at <= %(now)s
    ORDER BY w.observed_at, w.recorded_at DESC
)

SELECT
    n.station,
    n.observed_at,
    max(h.air_temp_c) FILTER (WHERE h.observed_at = n.observed_at) AS air_temp_c,
    max(h.snow_depth_cm) FILTER (WHERE h.observed_at = n.observed_at) AS snow_depth_cm,
    sum(h.rain_mm) FILTER (WHERE h.observed_at > n.observed_at - INTERVAL '24 hours') AS rain_24h_mm,
    sum(h.rain_mm) AS rain_7d_mm,
    min(h.air_temp_c) AS minimum_7d_c,
    count(*) FILTER (WHERE h.air_temp_c < 0) AS frost_hours_7d
FROM newest AS n
INNER JOIN hours AS h ON TRUE
GROUP BY n.station, n.observed_at;
