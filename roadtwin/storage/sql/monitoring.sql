-- name: list_unsettled_runs
-- One set of scores a week (the first of it) whose outcome of this horizon is not worked out, and settled by now.
SELECT DISTINCT ON (floor(extract(EPOCH FROM s.as_of) / 604800)) s.as_of, s.model_run_id
FROM score_run AS s
WHERE
    s.as_of > %(since)s AND s.as_of <= %(settled_by)s
    AND NOT EXISTS (
        SELECT FROM score_outcome AS o
        WHERE
            o.horizon_days = %(horizon_days)s
            AND floor(extract(EPOCH FROM o.score_as_of) / 604800) = floor(extract(EPOCH FROM s.as_of) / 604800)
    )
ORDER BY floor(extract(EPOCH FROM s.as_of) / 604800), s.as_of;

-- name: copy_probability
COPY (
    SELECT segment_id, probability
    FROM risk_score
    WHERE as_of = %(as_of)s AND horizon_days = %(horizon_days)s
) TO STDOUT (FORMAT BINARY);

-- name: read_feature_values
SELECT feature_values
FROM feature_row
WHERE as_of = %(as_of)s AND feature_set_version = %(feature_set_version)s;

-- name: insert_outcome
INSERT INTO score_outcome (
    score_as_of, horizon_days, model_run_id, recorded_at, segments_known, predicted, observed, squared_error,
    climatology_squared_error
)
VALUES (
    %(score_as_of)s, %(horizon_days)s, %(model_run_id)s, %(recorded_at)s, %(segments_known)s, %(predicted)s, %(observed)s,
    %(squared_error)s, %(climatology_squared_error)s
)
ON CONFLICT DO NOTHING;

-- name: list_outcomes
SELECT
    score_as_of, horizon_days, model_run_id, recorded_at, segments_known, predicted, observed, squared_error,
    climatology_squared_error
FROM score_outcome
WHERE score_as_of > %(since)s AND recorded_at <= %(now)s
ORDER BY score_as_of, horizon_days;

-- name: read_drift_reference
SELECT drift_reference FROM model_run WHERE model_run_id = %(model_run_id)s;

-- name: insert_monitoring
INSERT INTO model_monitoring (monitored_at, model_run_id, score_as_of, alarms, figures)
VALUES (%(monitored_at)s, %(model_run_id)s, %(score_as_of)s, %(alarms)s, %(figures)s)
ON CONFLICT (monitored_at) DO UPDATE SET alarms = excluded.alarms, figures = excluded.figures;

-- name: read_newest_monitoring
SELECT monitored_at, model_run_id, score_as_of, alarms, figures
FROM model_monitoring
ORDER BY monitored_at DESC
LIMIT 1;

-- name: list_monitoring
SELECT monitored_at, model_run_id, alarms
FROM model_monitoring
ORDER BY monitored_at DESC
LIMIT %(limit)s;
