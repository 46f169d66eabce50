-- name: delete_score_run
-- Scoring again as of the same instant replaces the set.
WITH run AS (DELETE FROM score_run WHERE as_of = %(as_of)s),
score AS (DELETE FROM risk_score WHERE as_of = %(as_of)s)
DELETE FROM feature_row WHERE as_of = %(as_of)s;

-- name: copy_feature_row
COPY feature_row (segment_id, as_of, feature_set_version, feature_values) FROM STDIN (FORMAT BINARY);

-- name: copy_risk_score
COPY risk_score (
    segment_id, as_of, horizon_days, probability, expected_count, probability_low, probability_high, rank, model_run_id,
    reasons
) FROM STDIN (FORMAT BINARY);

-- name: insert_score_run
INSERT INTO score_run (as_of, model_run_id, recorded_at, segment_count, code_version)
VALUES (%(as_of)s, %(model_run_id)s, %(recorded_at)s, %(segment_count)s, %(code_version)s);

-- name: read_newest_score_run
SELECT as_of, model_run_id, recorded_at, segment_count, code_version FROM score_run ORDER BY as_of DESC LIMIT 1;

-- name: lock_refresh
SELECT pg_advisory_lock(%(key)s);

-- name: unlock_refresh
SELECT pg_advisory_unlock(%(key)s);

-- name: thin_scores
WITH superseded AS (
    DELETE FROM score_run AS s
    WHERE
        s.as_of < %(keep_all_since)s
        AND EXISTS (
            SELECT FROM score_run AS later
            WHERE
                later.as_of > s.as_of
                AND (later.as_of AT TIME ZONE %(timezone)s)::date = (s.as_of AT TIME ZONE %(timezone)s)::date
        )
        AND NOT EXISTS (SELECT FROM decision AS d WHERE d.score_as_of = s.as_of)
    RETURNING s.as_of
),

thinned_scores AS (
    DELETE FROM risk_score AS r
    WHERE r.as_of < %(keep_all_since)s AND r.as_of IN (SELECT as_of FROM superseded)
),

thinned_features AS (
    DELETE FROM feature_row AS f
    WHERE f.as_of < %(keep_all_since)s AND f.as_of IN (SELECT as_of FROM superseded)
)

SELECT count(*) FROM superseded;
