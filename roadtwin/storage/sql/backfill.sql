-- name: try_lock
SELECT pg_try_advisory_lock(%(key)s);

-- name: unlock
SELECT pg_advisory_unlock(%(key)s);

-- name: read_complete_until
-- The newest mark of an application: a batch of nothing, with the time until which nothing is missing.
SELECT observed_until
FROM ingest_batch
WHERE recorded_at > %(after)s AND origin = %(origin)s AND worker = %(worker)s AND received = 0
ORDER BY recorded_at DESC, batch_id DESC
LIMIT 1;

-- name: write_complete_until
INSERT INTO ingest_batch (
    worker, origin, recorded_at, received, stored, duplicate, rejected,
    observations_stored, observations_duplicate, observation_conflicts, digested_at, observed_from, observed_until
)
VALUES (%(worker)s, %(origin)s, %(now)s, 0, 0, 0, 0, 0, 0, 0, %(now)s, %(since)s, %(until)s);

-- name: find_newest
-- The newest message of an application that came in before a time; arrival times say nothing of the sender's.
SELECT max(m.observed_at)
FROM message AS m
JOIN device AS d USING (device_id)
WHERE
    d.network_source = %(network_source)s AND d.application = %(application)s
    AND m.observed_at BETWEEN %(after)s AND %(before)s
    AND m.recorded_at < %(before)s
    AND m.clock <> 'arrival'
    AND m.origin = ANY(%(origins)s);

-- name: count_known
SELECT count(*) FROM message
WHERE message_id = ANY(%(message_ids)s) AND observed_at BETWEEN %(first)s AND %(last)s;
