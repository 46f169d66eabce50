-- name: delete_score_run
-- Scoring again as of the same instant replaces the set.
WITH run AS (DELETE FROM score_run WHERE as_of = %(as_of)s),
score AS (DELETE FROM risk_score WHERE as_of = %(as_of)s)
DELETE FROM feature_row WHERE as_of = %(as_of)s;

-- name: copy_feature_row
COPY feature_row (segment_id, as_of, feature_set_version, feature_values) FROM STDIN;

-- name: copy_risk_score
COPY risk_score (
    segment_id, as_of, horizon_days, probability, expected_count, probability_low, probability_high, rank, model_run_id,
    reasons
) FROM STDIN;

-- name: insert_score_run
INSERT INTO score_run (as_of, model_run_id, recorded_at, segment_count)
VALUES (%(as_of)s, %(model_run_id)s, %(recorded_at)s, %(segment_count)s);

-- name: read_newest_score_run
SELECT as_of, model_run_id, recorded_at, segment_count FROM score_run ORDER BY as_of DESC LIMIT 1;
