-- name: find_device_states
-- What is the matter with each device as of now; a device that nothing is the matter with is "ok".
WITH condition AS (
    SELECT
        d.device_id,
        d.status,
        greatest(h.last_message_at, d.last_seen_at) AS last_seen_at,
        CASE
            WHEN h.interval_s IS NULL THEN %(silent_unknown_s)s
            ELSE greatest(%(silent_intervals)s * h.interval_s, %(silent_least_s)s)
        END AS silent_after_s,
        h.recent_missing / nullif(h.recent_frames + h.recent_missing, 0) AS recent_loss,
        h.recent_frames + h.recent_missing AS recent_sent,
        h.battery_low,
        h.clock_skew_s,
        h.last_reset_at,
        c.stuck,
        t.untimed
    FROM device AS d
    LEFT JOIN device_health AS h ON d.device_id = h.device_id
    CROSS JOIN LATERAL (  -- aggregates: what is only selected is looked up again wherever its name is read below
        SELECT coalesce(bool_or(a.stuck), FALSE) AS stuck
        FROM series AS s JOIN series_state AS a ON s.series_id = a.series_id
        WHERE s.device_id = d.device_id
    ) AS c
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE o.flags & %(doubtful_time)s <> 0) * 2 > count(*) AS untimed
        FROM series AS s JOIN observation AS o ON s.series_id = o.series_id
        WHERE
            s.device_id = d.device_id AND o.observed_at > %(now)s - %(times_shown)s AND o.recorded_at <= %(now)s
            AND o.superseded_at IS NULL
    ) AS t
    WHERE
        (%(status)s::text IS NULL OR d.status = %(status)s::text)
        AND (%(device_id)s::int IS NULL OR d.device_id = %(device_id)s::int)
        AND d.device_id > %(after_device_id)s
),

found AS (
    SELECT
        device_id,
        silent_after_s,
        recent_loss,
        CASE WHEN status = 'retired' THEN ARRAY['retired'] ELSE
            array_remove(ARRAY[
                CASE WHEN status = 'unconfirmed' THEN 'unconfirmed' END,
                CASE WHEN last_seen_at IS NULL THEN 'never_seen' END,
                CASE WHEN extract(EPOCH FROM %(now)s - last_seen_at) > silent_after_s THEN 'silent' END,
                CASE WHEN battery_low THEN 'low_battery' END,
                CASE WHEN abs(clock_skew_s) > %(clock_tolerance_s)s THEN 'skewed_clock' END,
                CASE
                    WHEN recent_loss > %(loss_limit)s AND recent_sent >= %(loss_frames)s THEN 'losing_frames'
                END,
                CASE WHEN last_reset_at > %(now)s - %(reset_shown)s THEN 'counter_reset' END,
                CASE WHEN stuck THEN 'stuck' END,
                CASE WHEN untimed THEN 'no_trusted_time' END
            ], NULL) END AS states
    FROM condition
)

SELECT
    device_id,
    silent_after_s,
    recent_loss,
    CASE WHEN cardinality(states) = 0 THEN ARRAY['ok'] ELSE states END AS states
FROM found
WHERE
    %(state)s::text IS NULL
    OR %(state)s::text = ANY(CASE WHEN cardinality(states) = 0 THEN ARRAY['ok'] ELSE states END)
ORDER BY device_id
LIMIT %(limit)s;

-- name: read_device_health
SELECT
    device_id,
    messages,
    uplinks,
    last_message_at,
    interval_s,
    frames_missing,
    counter_falls,
    rejoins,
    counter_falls - rejoins AS resets,
    last_reset_at,
    repeated_counters,
    retransmissions,
    clock_skew_s,
    clock_skew_count,
    last_clock_skew_s,
    rssi_dbm,
    gateways,
    battery_v,
    highest_battery_v,
    battery_pct,
    battery_at,
    battery_low,
    digested_at
FROM device_health
WHERE device_id = ANY(%(device_ids)s);

-- name: read_series_states
SELECT
    s.series_id,
    s.channel,
    s.quantity,
    s.depth_cm,
    t.last_observed_at,
    t.last_value,
    t.unchanged_since,
    t.unchanged_count,
    t.stuck
FROM series AS s
LEFT JOIN series_state AS t ON s.series_id = t.series_id
WHERE s.device_id = %(device_id)s
ORDER BY s.quantity, s.channel, s.depth_cm;

-- name: find_gateways
-- Gateways are heard of through uplinks alone: silent is one that was heard regularly and is not any more.
WITH condition AS (
    SELECT
        *,
        CASE
            WHEN interval_s IS NULL THEN %(silent_unknown_s)s
            ELSE greatest(%(silent_intervals)s * interval_s, %(silent_least_s)s)
        END AS silent_after_s
    FROM gateway_health
    WHERE gateway_id > %(after_gateway_id)s
),

found AS (
    SELECT
        *,
        array_remove(ARRAY[
            CASE WHEN extract(EPOCH FROM %(now)s - last_seen_at) > silent_after_s THEN 'silent' END,
            CASE WHEN abs(clock_skew_s) > %(clock_tolerance_s)s THEN 'skewed_clock' END
        ], NULL) AS problems
    FROM condition
)

SELECT
    gateway_id,
    CASE WHEN cardinality(problems) = 0 THEN ARRAY['ok'] ELSE problems END AS states,
    receptions,
    first_seen_at,
    last_seen_at,
    silent_after_s,
    interval_s,
    clock_skew_s,
    clock_skew_count,
    last_clock_skew_s,
    greatest_clock_skew_s,
    strongest_rssi_dbm,
    digested_at
FROM found
WHERE
    %(state)s::text IS NULL
    OR %(state)s::text = ANY(CASE WHEN cardinality(problems) = 0 THEN ARRAY['ok'] ELSE problems END)
ORDER BY gateway_id
LIMIT %(limit)s;

-- name: read_device_names
SELECT device_id, coalesce(name, device) AS name FROM device WHERE device_id = ANY(%(device_ids)s);
