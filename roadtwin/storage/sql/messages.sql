-- name: temp_tables_are_there
SELECT to_regclass('pg_temp.incoming_message') IS NOT NULL;

-- name: create_temp_tables
CREATE TEMP TABLE incoming_message (LIKE message) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE incoming_observation (LIKE observation) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE incoming_vehicle_reading (LIKE vehicle_reading) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE incoming_detection (LIKE detection) ON COMMIT DELETE ROWS;

-- name: lock_messages_known_by_id
-- One writer at a time decides whether a message without a time of its own is a new one.
SELECT pg_advisory_xact_lock(%(key)s);

-- name: find_message_ids
-- Without an upper bound: our clock may have been set back since.
SELECT message_id
FROM message
WHERE message_id = ANY(%(message_ids)s) AND observed_at >= %(after)s;

-- name: next_batch_id
-- Taken when its transaction begins: whoever waits for batches after the newest one must not miss any.
SELECT nextval(pg_get_serial_sequence('ingest_batch', 'batch_id'));

-- name: copy_messages
COPY message (
    message_id, observed_at, recorded_at, retained, flags, batch_id, raw_no, clock, format, event_kind, origin, device_id,
    f_cnt, f_port, gateway_count, best_rssi_dbm, best_snr_db, clock_skew_s, topic, details
) FROM STDIN (FORMAT BINARY);

-- name: copy_incoming_messages
COPY incoming_message (
    message_id, observed_at, recorded_at, retained, flags, batch_id, raw_no, clock, format, event_kind, origin, device_id,
    f_cnt, f_port, gateway_count, best_rssi_dbm, best_snr_db, clock_skew_s, topic, details
) FROM STDIN (FORMAT BINARY);

-- name: insert_messages
INSERT INTO message
SELECT * FROM incoming_message
ORDER BY observed_at, message_id
ON CONFLICT DO NOTHING
RETURNING raw_no;

-- name: copy_observations
COPY observation (
    series_id, observed_at, recorded_at, value, flags, profile_version
) FROM STDIN (FORMAT BINARY);

-- name: copy_incoming_observations
COPY incoming_observation (
    series_id, observed_at, recorded_at, value, flags, profile_version
) FROM STDIN (FORMAT BINARY);

-- name: insert_observations
INSERT INTO observation
SELECT * FROM incoming_observation
ORDER BY series_id, observed_at, profile_version
ON CONFLICT DO NOTHING;

-- name: find_observation_conflicts
SELECT i.series_id, i.observed_at, i.profile_version, i.value, i.recorded_at
FROM incoming_observation AS i
JOIN observation AS o
    ON i.series_id = o.series_id AND i.observed_at = o.observed_at AND i.profile_version = o.profile_version
WHERE i.value IS DISTINCT FROM o.value
ORDER BY i.series_id, i.observed_at, i.profile_version;

-- name: insert_observation_conflict
INSERT INTO observation_conflict (series_id, observed_at, profile_version, value, recorded_at)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING;

-- name: copy_vehicle_readings
COPY vehicle_reading (
    event_id, observed_at, recorded_at, lon, lat, speed_mps, blur, wet, light, flags, origin, vehicle_pseudonym,
    calibration_id, pass_id, camera_model, camera_version, accuracy_m, heading_deg, accel_rms_mps2, accel_peak_mps2,
    sample_rate_hz, lane, image_ref
) FROM STDIN (FORMAT BINARY);

-- name: copy_incoming_vehicle_readings
COPY incoming_vehicle_reading (
    event_id, observed_at, recorded_at, lon, lat, speed_mps, blur, wet, light, flags, origin, vehicle_pseudonym,
    calibration_id, pass_id, camera_model, camera_version, accuracy_m, heading_deg, accel_rms_mps2, accel_peak_mps2,
    sample_rate_hz, lane, image_ref
) FROM STDIN (FORMAT BINARY);

-- name: insert_vehicle_readings
INSERT INTO vehicle_reading
SELECT * FROM incoming_vehicle_reading
ORDER BY observed_at, event_id
ON CONFLICT DO NOTHING;

-- name: copy_detections
COPY detection (
    event_id, detection_no, observed_at, recorded_at, confidence, bbox_px, image_width_px, image_height_px, class_code,
    width_m, length_m, depth_m, area_m2, track_id
) FROM STDIN (FORMAT BINARY);

-- name: copy_incoming_detections
COPY incoming_detection (
    event_id, detection_no, observed_at, recorded_at, confidence, bbox_px, image_width_px, image_height_px, class_code,
    width_m, length_m, depth_m, area_m2, track_id
) FROM STDIN (FORMAT BINARY);

-- name: insert_detections
INSERT INTO detection
SELECT * FROM incoming_detection
ORDER BY observed_at, event_id, detection_no
ON CONFLICT DO NOTHING;

-- name: upsert_rejected_message
INSERT INTO rejected_message AS r (
    digest, topic, payload, payload_bytes, payload_sha256, code, reason, first_seen_at, last_seen_at, count
)
VALUES (
    %(digest)s, %(topic)s, %(payload)s, %(payload_bytes)s, %(payload_sha256)s, %(code)s, %(reason)s,
    %(first_seen_at)s, %(last_seen_at)s, %(count)s
)
ON CONFLICT (digest) DO UPDATE SET
    count = r.count + excluded.count,
    first_seen_at = least(r.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(r.last_seen_at, excluded.last_seen_at),
    code = excluded.code,
    reason = excluded.reason;

-- name: insert_batch
INSERT INTO ingest_batch (
    batch_id, worker, origin, recorded_at, received, stored, duplicate, rejected,
    observations_stored, observations_duplicate, observation_conflicts, receptions,
    observed_from, observed_until
)
OVERRIDING SYSTEM VALUE
VALUES (
    %(batch_id)s, %(worker)s, %(origin)s, %(recorded_at)s, %(received)s, %(stored)s, %(duplicate)s, %(rejected)s,
    %(observations_stored)s, %(observations_duplicate)s, %(observation_conflicts)s, %(receptions)s,
    %(observed_from)s, %(observed_until)s
);

-- name: read_accounts
-- The accounts of the batches after one of them (0: all), and its own number for the next time.
SELECT
    coalesce(sum(received), 0)::bigint,
    coalesce(sum(stored), 0)::bigint,
    coalesce(sum(duplicate), 0)::bigint,
    coalesce(sum(rejected), 0)::bigint,
    coalesce(sum(observations_stored), 0)::bigint,
    coalesce(sum(observations_duplicate), 0)::bigint,
    coalesce(sum(observation_conflicts), 0)::bigint
FROM ingest_batch
WHERE batch_id > %(after_batch_id)s;

-- name: read_last_batch_id
SELECT coalesce(max(batch_id), 0) FROM ingest_batch;

-- name: count_rows
SELECT
    (SELECT count(*) FROM message),
    (SELECT coalesce(sum(count), 0)::bigint FROM rejected_message);

-- name: count_messages_without_bytes
SELECT count(*) FROM message AS m
WHERE m.raw_no IS NOT NULL AND NOT EXISTS (SELECT FROM raw_batch AS b WHERE b.batch_id = m.batch_id);

-- name: count_messages_stored_twice
SELECT count(*) FROM (
    SELECT message_id FROM message GROUP BY message_id HAVING count(*) > 1
) AS twice;

-- name: find_rejected_payloads
SELECT payload_sha256, sum(count)::bigint FROM rejected_message
WHERE payload_sha256 = ANY(%(digests)s::bytea [])
GROUP BY payload_sha256;
