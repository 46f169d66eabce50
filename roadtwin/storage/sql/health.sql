-- name: try_lock
-- One digest at a time; held until the transaction ends.
SELECT pg_try_advisory_xact_lock(%(key)s);

-- name: read_undigested
SELECT
    batch_id,
    stored,
    observations_stored,
    receptions,
    observed_from,
    observed_until
FROM ingest_batch
WHERE digested_at IS NULL
ORDER BY batch_id
LIMIT %(limit)s;

-- name: count_undigested
SELECT count(*), min(recorded_at) FROM ingest_batch WHERE digested_at IS NULL;

-- name: read_messages
-- By range: a list of batches would be looked up one by one in every chunk. What else lies in it is left out by us.
COPY (
    SELECT
        batch_id,
        message_id,
        device_id,
        observed_at,
        recorded_at,
        coalesce(f_cnt, -1),
        (CASE event_kind WHEN 'up' THEN 1 WHEN 'join' THEN 2 WHEN 'readings' THEN 3 ELSE 0 END)::int2,
        flags,
        coalesce(gateway_count, -1::int2),
        coalesce(best_rssi_dbm, 'NaN'),
        coalesce(clock_skew_s, 'NaN')
    FROM message
    WHERE
        batch_id BETWEEN %(first)s AND %(last)s AND device_id IS NOT NULL
        AND observed_at BETWEEN %(observed_from)s AND %(observed_until)s
) TO STDOUT (FORMAT BINARY);

-- name: read_observations
-- What was recorded in these windows.
COPY (
    SELECT o.series_id, o.observed_at, o.recorded_at, o.value, o.flags, o.profile_version
    FROM unnest(%(begins)s::timestamptz [], %(ends)s::timestamptz []) AS w (begins, ends)
    CROSS JOIN LATERAL (
        SELECT series_id, observed_at, recorded_at, value, flags, profile_version
        FROM observation
        WHERE
            recorded_at BETWEEN w.begins AND w.ends
            AND observed_at BETWEEN %(observed_from)s AND %(observed_until)s
    ) AS o
) TO STDOUT (FORMAT BINARY);

-- name: read_series
COPY (
    SELECT
        s.series_id,
        s.device_id,
        coalesce(array_position(%(quantities)s::text [], s.quantity) - 1, -1),
        coalesce(t.last_observed_at, '-infinity'),
        coalesce(t.last_value, 'NaN'),
        coalesce(t.unchanged_since, '-infinity'),
        coalesce(t.unchanged_count, 0),
        coalesce(t.stuck, FALSE),
        coalesce(t.sound_at, '-infinity'),
        coalesce(t.sound_value, 'NaN')
    FROM series AS s
    LEFT JOIN series_state AS t ON s.series_id = t.series_id
    WHERE s.series_id = ANY(%(series_ids)s)
    ORDER BY s.series_id
) TO STDOUT (FORMAT BINARY);

-- name: read_devices
COPY (
    SELECT
        d.device_id,
        coalesce(h.messages, 0),
        coalesce(h.uplinks, 0),
        coalesce(h.last_message_at, '-infinity'),
        coalesce(h.interval_s, 'NaN'),
        coalesce(h.interval_count, 0),
        coalesce(h.frames_missing, 0),
        coalesce(h.counter_falls, 0),
        coalesce(h.rejoins, 0),
        coalesce(h.last_reset_at, '-infinity'),
        coalesce(h.repeated_counters, 0),
        coalesce(h.retransmissions, 0),
        coalesce(h.recent_frames, 0),
        coalesce(h.recent_missing, 0),
        coalesce(h.first_frame_at, '-infinity'),
        coalesce(h.first_f_cnt, -1),
        coalesce(h.clock_skew_s, 'NaN'),
        coalesce(h.clock_skew_weight, 0),
        coalesce(h.clock_skew_count, 0),
        coalesce(h.last_clock_skew_s, 'NaN'),
        coalesce(h.rssi_dbm, 'NaN'),
        coalesce(h.rssi_weight, 0),
        coalesce(h.gateways, 'NaN'),
        coalesce(h.gateways_weight, 0),
        coalesce(h.battery_v, 'NaN'),
        coalesce(h.highest_battery_v, 'NaN'),
        coalesce(h.battery_pct, 'NaN'),
        coalesce(h.battery_at, '-infinity'),
        coalesce(h.battery_low, FALSE)
    FROM device AS d
    LEFT JOIN device_health AS h ON d.device_id = h.device_id
    WHERE d.device_id = ANY(%(device_ids)s)
    ORDER BY d.device_id
) TO STDOUT (FORMAT BINARY);

-- name: read_recent_frames
COPY (
    SELECT h.device_id, f.at, f.f_cnt
    FROM device_health AS h
    CROSS JOIN LATERAL unnest(h.recent_frames_at, h.recent_f_cnts) AS f (at, f_cnt)
    WHERE h.device_id = ANY(%(device_ids)s)
) TO STDOUT (FORMAT BINARY);

-- name: read_recent_joins
COPY (
    SELECT h.device_id, j.at
    FROM device_health AS h
    CROSS JOIN LATERAL unnest(h.recent_joins_at) AS j (at)
    WHERE h.device_id = ANY(%(device_ids)s)
) TO STDOUT (FORMAT BINARY);

-- name: read_frame_pages
COPY (
    SELECT f.device_id, f.page, f.received
    FROM unnest(%(device_ids)s::int [], %(pages)s::int []) AS w (device_id, page)
    JOIN device_frames AS f ON w.device_id = f.device_id AND w.page = f.page
) TO STDOUT (FORMAT BINARY);

-- name: find_raw_frames
-- The kept messages behind some frames: their place among the raw bytes, or the bytes themselves.
SELECT w.place, m.format, m.topic, m.recorded_at, m.batch_id, m.raw_no, m.payload
FROM unnest(%(places)s::int [], %(device_ids)s::int [], %(ats)s::timestamptz [], %(f_cnts)s::bigint [])
    AS w (place, device_id, at, f_cnt)
JOIN message AS m ON w.at = m.observed_at AND w.device_id = m.device_id AND w.f_cnt = m.f_cnt
WHERE m.event_kind = 'up'
ORDER BY w.place, m.message_id;

-- name: read_raw_batch
SELECT payloads FROM raw_batch WHERE batch_id = %(batch_id)s;

-- name: read_gateways
SELECT gateway_id, receptions, last_seen_at, interval_s, clock_skew_s, clock_skew_weight
FROM gateway_health
WHERE gateway_id = ANY(%(gateway_ids)s)
FOR UPDATE;

-- name: upsert_gateway
INSERT INTO gateway_health AS g (
    gateway_id, receptions, first_seen_at, last_seen_at, interval_s, clock_skew_s, clock_skew_weight, clock_skew_count,
    last_clock_skew_s, greatest_clock_skew_s, strongest_rssi_dbm, digested_at
)
VALUES (
    %(gateway_id)s, %(receptions)s, %(last_seen_at)s, %(last_seen_at)s, %(interval_s)s, %(clock_skew_s)s,
    %(clock_skew_weight)s, %(clock_skew_count)s, %(last_clock_skew_s)s, %(greatest_clock_skew_s)s,
    %(strongest_rssi_dbm)s, %(now)s
)
ON CONFLICT (gateway_id) DO UPDATE SET
    receptions = g.receptions + excluded.receptions,
    first_seen_at = least(g.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(g.last_seen_at, excluded.last_seen_at),
    interval_s = excluded.interval_s,
    clock_skew_s = excluded.clock_skew_s,
    clock_skew_weight = excluded.clock_skew_weight,
    clock_skew_count = g.clock_skew_count + excluded.clock_skew_count,
    last_clock_skew_s = coalesce(excluded.last_clock_skew_s, g.last_clock_skew_s),
    greatest_clock_skew_s = greatest(g.greatest_clock_skew_s, excluded.greatest_clock_skew_s),
    strongest_rssi_dbm = greatest(g.strongest_rssi_dbm, excluded.strongest_rssi_dbm),
    digested_at = excluded.digested_at;

-- name: mark_digested
UPDATE ingest_batch SET digested_at = %(now)s WHERE batch_id = ANY(%(batch_ids)s);

-- name: create_temp_tables
CREATE TEMP TABLE IF NOT EXISTS digested_device (LIKE device_health) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS digested_frames (LIKE device_frames) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS digested_series (LIKE series_state) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS flagged_observation (
    series_id integer, observed_at timestamptz, profile_version smallint, flags smallint
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS flagged_message (
    message_id uuid, observed_at timestamptz, flags smallint
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS flagged_frame (
    device_id integer, observed_at timestamptz, f_cnt bigint, to_set smallint, to_clear smallint
) ON COMMIT DELETE ROWS;

-- name: copy_devices
COPY digested_device (
    device_id, messages, uplinks, last_message_at, interval_s, interval_count, frames_missing, counter_falls, rejoins,
    last_reset_at, repeated_counters, retransmissions, recent_frames, recent_missing, first_frame_at, first_f_cnt,
    clock_skew_s, clock_skew_weight, clock_skew_count, last_clock_skew_s, rssi_dbm, rssi_weight, gateways,
    gateways_weight, battery_v, highest_battery_v, battery_pct, battery_at, battery_low, recent_frames_at,
    recent_f_cnts, recent_joins_at, digested_at
) FROM STDIN (FORMAT BINARY);

-- name: upsert_devices
-- Arrays come padded to one length, and what is not known as NaN, −infinity or −1: rows of one size are read in bulk.
INSERT INTO device_health (
    device_id, messages, uplinks, last_message_at, interval_s, interval_count, frames_missing, counter_falls, rejoins,
    last_reset_at, repeated_counters, retransmissions, recent_frames, recent_missing, first_frame_at, first_f_cnt,
    clock_skew_s, clock_skew_weight, clock_skew_count, last_clock_skew_s, rssi_dbm, rssi_weight, gateways,
    gateways_weight, battery_v, highest_battery_v, battery_pct, battery_at, battery_low, recent_frames_at,
    recent_f_cnts, recent_joins_at, digested_at
)
SELECT
    device_id,
    messages,
    uplinks,
    last_message_at,
    nullif(interval_s, 'NaN'),
    interval_count,
    frames_missing,
    counter_falls,
    rejoins,
    nullif(last_reset_at, '-infinity'),
    repeated_counters,
    retransmissions,
    recent_frames,
    recent_missing,
    nullif(first_frame_at, '-infinity'),
    nullif(first_f_cnt, -1),
    nullif(clock_skew_s, 'NaN'),
    clock_skew_weight,
    clock_skew_count,
    nullif(last_clock_skew_s, 'NaN'),
    nullif(rssi_dbm, 'NaN'),
    rssi_weight,
    nullif(gateways, 'NaN'),
    gateways_weight,
    nullif(battery_v, 'NaN'),
    nullif(highest_battery_v, 'NaN'),
    nullif(battery_pct, 'NaN'),
    nullif(battery_at, '-infinity'),
    battery_low,
    array_remove(recent_frames_at, '-infinity'),
    array_remove(recent_f_cnts, -1),
    array_remove(recent_joins_at, '-infinity'),
    digested_at
FROM digested_device
ON CONFLICT (device_id) DO UPDATE SET
    messages = excluded.messages,
    uplinks = excluded.uplinks,
    last_message_at = excluded.last_message_at,
    interval_s = excluded.interval_s,
    interval_count = excluded.interval_count,
    frames_missing = excluded.frames_missing,
    counter_falls = excluded.counter_falls,
    rejoins = excluded.rejoins,
    last_reset_at = excluded.last_reset_at,
    repeated_counters = excluded.repeated_counters,
    retransmissions = excluded.retransmissions,
    recent_frames = excluded.recent_frames,
    recent_missing = excluded.recent_missing,
    first_frame_at = excluded.first_frame_at,
    first_f_cnt = excluded.first_f_cnt,
    clock_skew_s = excluded.clock_skew_s,
    clock_skew_weight = excluded.clock_skew_weight,
    clock_skew_count = excluded.clock_skew_count,
    last_clock_skew_s = excluded.last_clock_skew_s,
    rssi_dbm = excluded.rssi_dbm,
    rssi_weight = excluded.rssi_weight,
    gateways = excluded.gateways,
    gateways_weight = excluded.gateways_weight,
    battery_v = excluded.battery_v,
    highest_battery_v = excluded.highest_battery_v,
    battery_pct = excluded.battery_pct,
    battery_at = excluded.battery_at,
    battery_low = excluded.battery_low,
    recent_frames_at = excluded.recent_frames_at,
    recent_f_cnts = excluded.recent_f_cnts,
    recent_joins_at = excluded.recent_joins_at,
    digested_at = excluded.digested_at;

-- name: copy_frame_pages
COPY digested_frames (device_id, page, received) FROM STDIN (FORMAT BINARY);

-- name: upsert_frame_pages
INSERT INTO device_frames (device_id, page, received)
SELECT device_id, page, received FROM digested_frames
ON CONFLICT (device_id, page) DO UPDATE SET received = excluded.received;

-- name: copy_series
COPY digested_series (
    series_id, last_observed_at, last_value, unchanged_since, unchanged_count, stuck, sound_at, sound_value
) FROM STDIN (FORMAT BINARY);

-- name: upsert_series
INSERT INTO series_state (
    series_id, last_observed_at, last_value, unchanged_since, unchanged_count, stuck, sound_at, sound_value
)
SELECT
    series_id,
    last_observed_at,
    last_value,
    unchanged_since,
    unchanged_count,
    stuck,
    nullif(sound_at, '-infinity'),
    nullif(sound_value, 'NaN')
FROM digested_series
ON CONFLICT (series_id) DO UPDATE SET
    last_observed_at = excluded.last_observed_at,
    last_value = excluded.last_value,
    unchanged_since = excluded.unchanged_since,
    unchanged_count = excluded.unchanged_count,
    stuck = excluded.stuck,
    sound_at = excluded.sound_at,
    sound_value = excluded.sound_value;

-- name: copy_flagged_observations
COPY flagged_observation (series_id, observed_at, profile_version, flags) FROM STDIN (FORMAT BINARY);

-- name: flag_observations
-- `only_series`: see roadtwin.storage.compressed.
UPDATE observation AS o SET flags = o.flags | f.flags
FROM flagged_observation AS f
WHERE
    o.series_id = f.series_id AND o.observed_at = f.observed_at AND o.profile_version = f.profile_version
    AND o.flags & f.flags <> f.flags AND o.observed_at BETWEEN %(observed_from)s AND %(observed_until)s
    AND (%(only_series)s::integer [] IS NULL OR o.series_id = ANY(%(only_series)s::integer []));

-- name: copy_flagged_messages
COPY flagged_message (message_id, observed_at, flags) FROM STDIN (FORMAT BINARY);

-- name: flag_messages
UPDATE message AS m SET flags = m.flags | f.flags
FROM flagged_message AS f
WHERE
    m.observed_at = f.observed_at AND m.message_id = f.message_id AND m.flags & f.flags <> f.flags
    AND m.observed_at BETWEEN %(observed_from)s AND %(observed_until)s;

-- name: copy_flagged_frames
COPY flagged_frame (device_id, observed_at, f_cnt, to_set, to_clear) FROM STDIN (FORMAT BINARY);

-- name: flag_frames
UPDATE message AS m SET flags = (m.flags & ~f.to_clear) | f.to_set
FROM flagged_frame AS f
WHERE
    m.observed_at = f.observed_at AND m.device_id = f.device_id AND m.f_cnt = f.f_cnt AND m.event_kind = 'up'
    AND (m.flags & ~f.to_clear) | f.to_set <> m.flags
    AND m.observed_at BETWEEN %(observed_from)s AND %(observed_until)s;
