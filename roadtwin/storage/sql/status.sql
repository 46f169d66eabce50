-- name: read_counts
SELECT
    (SELECT count(*) FROM road_section WHERE valid_to IS NULL) AS sections,
    (SELECT count(*) FROM segment WHERE valid_to IS NULL) AS segments,
    (SELECT count(*) FROM device WHERE status = 'confirmed') AS devices_confirmed,
    (SELECT count(*) FROM device WHERE status = 'unconfirmed') AS devices_unconfirmed,
    (SELECT coalesce(sum(received), 0)::bigint FROM ingest_batch) AS messages_received,
    (SELECT coalesce(sum(stored), 0)::bigint FROM ingest_batch) AS messages_stored,
    (SELECT coalesce(sum(duplicate), 0)::bigint FROM ingest_batch) AS messages_duplicate,
    (SELECT coalesce(sum(rejected), 0)::bigint FROM ingest_batch) AS messages_rejected,
    (SELECT coalesce(sum(observations_stored), 0)::bigint FROM ingest_batch) AS observations_stored,
    (SELECT count(*) FROM pothole WHERE confirmed_at IS NOT NULL AND closed_at IS NULL) AS potholes_open;

-- name: read_last_batch
SELECT recorded_at, worker, origin, received, stored, duplicate, rejected
FROM ingest_batch
WHERE received > 0  -- what `roadtwin reprocess` measured anew came from no message
ORDER BY recorded_at DESC, batch_id DESC
LIMIT 1;

-- name: read_newest_scores
SELECT
    s.as_of,
    s.recorded_at,
    s.segment_count,
    s.model_run_id,
    m.trained_at,
    coalesce((m.card -> 'learned' ->> 'cold_start')::boolean, FALSE) AS cold_start
FROM score_run AS s
INNER JOIN model_run AS m ON s.model_run_id = m.model_run_id
ORDER BY s.as_of DESC
LIMIT 1;

-- name: read_city
SELECT name, timezone, simulated
FROM city;
