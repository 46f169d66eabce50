-- name: try_lock
-- One run at a time; held by the connection.
SELECT pg_try_advisory_lock(%(key)s);

-- name: unlock
SELECT pg_advisory_unlock(%(key)s);

-- name: find_devices
SELECT device_id, network_source, application, device
FROM device
WHERE
    device = %(key)s OR dev_eui = lower(%(key)s)
    OR network_source || '/' || application || '/' || device = %(key)s
ORDER BY device_id;

-- name: find_device_by_id
SELECT device_id, network_source, application, device FROM device WHERE device_id = %(device_id)s;

-- name: count_messages
SELECT count(*)
FROM message AS m
INNER JOIN device AS d ON m.device_id = d.device_id
WHERE
    (m.batch_id IS NULL OR m.batch_id <= %(last_batch_id)s)
    AND (%(device_ids)s::integer [] IS NULL OR m.device_id = ANY(%(device_ids)s))
    AND (
        %(profile_names)s::text [] IS NULL
        OR d.profile_name = ANY(%(profile_names)s) OR m.details ->> 'profile' = ANY(%(profile_names)s)
    )
    AND (%(format)s::text IS NULL OR m.format = %(format)s)
    AND (%(since)s::timestamptz IS NULL OR m.observed_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR m.observed_at < %(until)s);

-- name: read_arrivals
-- Arrivals of devices (units of a run) after one of them, in their order: no transaction stays open between pages.
SELECT DISTINCT m.recorded_at, m.device_id
FROM message AS m
INNER JOIN device AS d ON m.device_id = d.device_id
WHERE
    m.recorded_at >= %(after_at)s::timestamptz AND (m.recorded_at, m.device_id) > (%(after_at)s, %(after_device_id)s)
    AND (m.batch_id IS NULL OR m.batch_id <= %(last_batch_id)s)
    AND (%(device_ids)s::integer [] IS NULL OR m.device_id = ANY(%(device_ids)s))
    AND (
        %(profile_names)s::text [] IS NULL
        OR d.profile_name = ANY(%(profile_names)s) OR m.details ->> 'profile' = ANY(%(profile_names)s)
    )
    AND (%(format)s::text IS NULL OR m.format = %(format)s)
    AND (%(since)s::timestamptz IS NULL OR m.observed_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR m.observed_at < %(until)s)
ORDER BY m.recorded_at, m.device_id
LIMIT %(limit)s;

-- name: find_arrivals
SELECT DISTINCT m.recorded_at, m.device_id
FROM message AS m
WHERE m.message_id = ANY(%(message_ids)s) AND m.device_id IS NOT NULL
ORDER BY m.recorded_at, m.device_id;

-- name: read_messages
-- In the order in which a writer took them, as far as it is known: of equal claims the first stands.
SELECT m.device_id, m.recorded_at, m.topic, m.format, m.retained, m.batch_id, m.raw_no, m.payload
FROM unnest(%(device_ids)s::integer [], %(arrivals)s::timestamptz []) AS w (device_id, arrived_at)
INNER JOIN message AS m ON w.arrived_at = m.recorded_at AND w.device_id = m.device_id
WHERE m.recorded_at BETWEEN %(first)s AND %(last)s
ORDER BY m.recorded_at, m.device_id, m.observed_at, m.message_id;

-- name: read_raw_batches
SELECT batch_id, payloads FROM raw_batch WHERE batch_id = ANY(%(batch_ids)s);

-- name: read_observations_of
-- What is in force of what these devices measured in a window of arrivals; which of them are asked for is told by us.
SELECT
    o.series_id, o.observed_at, o.value, o.flags, o.profile_version, o.superseded_at, s.device_id,
    coalesce(o.message_recorded_at, o.recorded_at)
FROM observation AS o
INNER JOIN series AS s ON o.series_id = s.series_id
WHERE
    s.device_id = ANY(%(device_ids)s) AND o.superseded_at IS NULL
    AND o.recorded_at BETWEEN %(first)s AND %(last)s AND o.message_recorded_at IS NULL
UNION ALL
SELECT
    o.series_id, o.observed_at, o.value, o.flags, o.profile_version, o.superseded_at, s.device_id,
    o.message_recorded_at
FROM observation AS o
INNER JOIN series AS s ON o.series_id = s.series_id
WHERE
    s.device_id = ANY(%(device_ids)s) AND o.superseded_at IS NULL
    AND o.message_recorded_at BETWEEN %(first)s AND %(last)s;

-- name: read_observations_at
-- All versions at these instants, whichever message measured them.
SELECT
    o.series_id, o.observed_at, o.value, o.flags, o.profile_version, o.superseded_at, s.device_id,
    coalesce(o.message_recorded_at, o.recorded_at)
FROM unnest(%(series_ids)s::integer [], %(instants)s::timestamptz []) AS w (series_id, observed_at)
INNER JOIN observation AS o ON w.series_id = o.series_id AND w.observed_at = o.observed_at
INNER JOIN series AS s ON o.series_id = s.series_id
WHERE o.observed_at BETWEEN %(first)s AND %(last)s;

-- name: supersede_observations
-- Only the end mark: value, flags and times of a row stay as they were. A condition on the mark itself would mislead the
-- planner: nearly all rows have none, which it does not know of a table that it never analysed. `only_series`: see
-- roadtwin.storage.compressed.
UPDATE observation AS o SET superseded_at = coalesce(o.superseded_at, %(now)s)
FROM unnest(%(series_ids)s::integer [], %(instants)s::timestamptz [], %(versions)s::smallint [])
    AS w (series_id, observed_at, profile_version)
WHERE
    o.series_id = w.series_id AND o.observed_at = w.observed_at AND o.profile_version = w.profile_version
    AND o.observed_at BETWEEN %(first)s AND %(last)s
    AND (%(only_series)s::integer [] IS NULL OR o.series_id = ANY(%(only_series)s::integer []));

-- name: insert_observations
INSERT INTO observation (
    series_id, observed_at, recorded_at, value, flags, profile_version, message_recorded_at
)
SELECT w.series_id, w.observed_at, %(now)s, w.value, w.flags, w.profile_version, w.arrived_at
FROM unnest(
    %(series_ids)s::integer [], %(instants)s::timestamptz [], %(values)s::double precision [], %(flags)s::smallint [],
    %(versions)s::smallint [], %(arrivals)s::timestamptz []
) AS w (series_id, observed_at, value, flags, profile_version, arrived_at)
ORDER BY w.series_id, w.observed_at, w.profile_version
ON CONFLICT DO NOTHING;

-- name: count_rejected
SELECT count(*)
FROM rejected_message
WHERE
    reprocessed_at IS NULL AND (%(code)s::text IS NULL OR code = %(code)s)
    AND (%(since)s::timestamptz IS NULL OR first_seen_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR first_seen_at < %(until)s);

-- name: read_rejected
SELECT digest, topic, payload, payload_bytes, payload_sha256, first_seen_at
FROM rejected_message
WHERE
    digest > %(after)s AND reprocessed_at IS NULL AND (%(code)s::text IS NULL OR code = %(code)s)
    AND (%(since)s::timestamptz IS NULL OR first_seen_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR first_seen_at < %(until)s)
ORDER BY digest
LIMIT %(limit)s;

-- name: mark_reprocessed
UPDATE rejected_message SET reprocessed_at = %(now)s WHERE digest = ANY(%(digests)s::bytea []);

-- name: insert_accounts
-- A batch without messages; there is nothing in it to digest.
INSERT INTO ingest_batch (
    worker, origin, recorded_at, received, stored, duplicate, rejected,
    observations_stored, observations_duplicate, observation_conflicts, digested_at
)
VALUES (%(worker)s, %(origin)s, %(now)s, 0, 0, 0, 0, %(stored)s, %(duplicate)s, %(conflicts)s, %(now)s);
