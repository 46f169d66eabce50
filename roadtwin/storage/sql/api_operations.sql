-- name: read_totals
SELECT
    origin,
    count(*) AS batches,
    coalesce(sum(received), 0)::bigint AS received,
    coalesce(sum(stored), 0)::bigint AS stored,
    coalesce(sum(duplicate), 0)::bigint AS duplicate,
    coalesce(sum(rejected), 0)::bigint AS rejected,
    coalesce(sum(observations_stored), 0)::bigint AS observations_stored,
    coalesce(sum(observation_conflicts), 0)::bigint AS observation_conflicts,
    max(recorded_at) AS newest_at
FROM ingest_batch
GROUP BY origin
ORDER BY origin;

-- name: read_rate
SELECT
    coalesce(sum(received) FILTER (WHERE recorded_at > %(now)s - INTERVAL '1 minute'), 0)::bigint AS received_1min,
    coalesce(sum(received) FILTER (WHERE recorded_at > %(now)s - INTERVAL '5 minutes'), 0)::bigint AS received_5min,
    coalesce(sum(received), 0)::bigint AS received_60min,
    coalesce(sum(rejected), 0)::bigint AS rejected_60min
FROM ingest_batch
WHERE recorded_at > %(now)s - INTERVAL '60 minutes' AND recorded_at <= %(now)s;

-- name: read_batches
SELECT
    batch_id,
    worker,
    origin,
    recorded_at,
    received,
    stored,
    duplicate,
    rejected,
    observations_stored,
    observations_duplicate,
    observation_conflicts
FROM ingest_batch
ORDER BY batch_id DESC
LIMIT %(limit)s;

-- name: read_newest_message
SELECT recorded_at, observed_at, format
FROM message
WHERE recorded_at <= %(now)s
ORDER BY recorded_at DESC
LIMIT 1;

-- name: count_devices
SELECT status, count(*) AS count
FROM device
GROUP BY status
ORDER BY status;

-- name: count_rejected
SELECT count(*) AS kinds, coalesce(sum(count), 0)::bigint AS messages, max(last_seen_at) AS newest_at
FROM rejected_message;

-- name: list_rejected
SELECT
    encode(digest, 'hex') AS digest,
    topic,
    substring(payload FOR 256) AS payload_head,
    payload_bytes,
    code,
    reason,
    first_seen_at,
    last_seen_at,
    count
FROM rejected_message
WHERE
    (%(code)s::text IS NULL OR code = %(code)s::text)
    AND (
        %(before_at)s::timestamptz IS NULL
        OR (last_seen_at, digest) < (%(before_at)s::timestamptz, decode(%(before_digest)s::text, 'hex'))
    )
ORDER BY last_seen_at DESC, digest DESC
LIMIT %(limit)s;

-- name: read_devices
SELECT
    d.device_id,
    d.network_source,
    d.application,
    d.device,
    d.dev_eui,
    d.name,
    d.profile_name,
    d.status,
    d.first_seen_at,
    d.last_seen_at,
    i.lon,
    i.lat,
    coalesce(m.messages_24h, 0) AS messages_24h,
    m.best_rssi_dbm,
    m.best_snr_db
FROM device AS d
LEFT JOIN LATERAL (
    SELECT lon, lat
    FROM device_installation
    WHERE device_id = d.device_id AND valid_from <= %(now)s AND (valid_to IS NULL OR valid_to > %(now)s)
    ORDER BY valid_from DESC
    LIMIT 1
) AS i ON TRUE
LEFT JOIN (
    SELECT device_id, count(*) AS messages_24h, max(best_rssi_dbm) AS best_rssi_dbm, max(best_snr_db) AS best_snr_db
    FROM message
    WHERE
        recorded_at > %(now)s - INTERVAL '24 hours' AND recorded_at <= %(now)s AND device_id = ANY(%(device_ids)s)
    GROUP BY device_id
) AS m ON m.device_id = d.device_id
WHERE d.device_id = ANY(%(device_ids)s)
ORDER BY d.device_id;

-- name: read_newest_values
-- The last value in force of each series of these devices.
SELECT
    s.device_id,
    s.channel,
    s.quantity,
    s.depth_cm,
    o.observed_at,
    o.value,
    o.flags
FROM series AS s
CROSS JOIN LATERAL (
    SELECT observed_at, value, flags
    FROM observation
    WHERE
        series_id = s.series_id AND observed_at <= %(now)s AND recorded_at <= %(now)s
        AND (superseded_at IS NULL OR superseded_at > %(now)s)
    ORDER BY observed_at DESC, profile_version DESC
    LIMIT 1
) AS o
WHERE s.device_id = ANY(%(device_ids)s)
ORDER BY s.device_id, s.quantity, s.channel;

-- name: confirm_device
UPDATE device SET status = 'confirmed'
WHERE device_id = %(device_id)s
RETURNING device_id, network_source, application, device, status;

-- name: read_device_status
SELECT status FROM device WHERE device_id = %(device_id)s FOR UPDATE;

-- name: read_model_artefact
SELECT model_run_id, feature_set_version, rule_version, library_versions, artefact, artefact_sha256
FROM model_run
WHERE model_run_id = %(model_run_id)s;

-- name: ping
SELECT
    (SELECT count(*) FROM segment WHERE valid_to IS NULL) AS segments,
    (SELECT max(as_of) FROM score_run) AS score_as_of;
