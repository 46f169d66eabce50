-- name: read_newest_run
-- The newest scores, and what the training of their model knew of each feature.
SELECT r.as_of, r.model_run_id, m.drift_reference -> 'features' AS known_features
FROM score_run AS r
INNER JOIN model_run AS m ON m.model_run_id = r.model_run_id
ORDER BY r.as_of DESC
LIMIT 1;

-- name: select_rows
-- Feature rows of the asked segments, worst first by the horizon. Without ids: 100 m segments only, at most `limit`.
SELECT
    s.public_id,
    s.name,
    s.district,
    s.length_m,
    r.rank,
    f.feature_set_version,
    f.feature_values,
    count(*) OVER () AS matching_count
FROM segment AS s
INNER JOIN risk_score AS r
    ON r.segment_id = s.segment_id AND r.as_of = %(as_of)s AND r.horizon_days = %(horizon_days)s
INNER JOIN feature_row AS f ON f.segment_id = s.segment_id AND f.as_of = %(as_of)s
WHERE
    s.valid_to IS NULL
    AND (%(segment_ids)s::text [] IS NULL OR s.public_id = ANY(%(segment_ids)s::text []))
    AND (%(segment_ids)s::text [] IS NOT NULL OR s.nominal_length_m = %(nominal_length_m)s)
    AND (
        %(min_lon)s::float8 IS NULL
        OR s.bounds && box(point(%(min_lon)s::float8, %(min_lat)s::float8), point(%(max_lon)s::float8, %(max_lat)s::float8))
    )
    AND (%(district)s::text IS NULL OR s.district = %(district)s::text)
ORDER BY r.rank, s.segment_id
LIMIT %(limit)s;

-- name: find_known_ids
SELECT public_id FROM segment WHERE public_id = ANY(%(segment_ids)s::text []) AND valid_to IS NULL;

-- name: read_smooth_roughness
-- Roughness of the city's smoothest tenth, from the same set of features. `position` counts from 1.
SELECT
    percentile_cont(0.1) WITHIN GROUP (ORDER BY feature_values[%(position)s]) FILTER (
        WHERE feature_values[%(position)s] <> 'NaN'
    ) AS smooth
FROM feature_row
WHERE as_of = %(as_of)s;
