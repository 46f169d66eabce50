-- name: read_server
SELECT
    current_setting('server_version') AS version,
    pg_is_in_recovery() AS in_recovery,
    (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb,
    current_setting('synchronous_commit') AS session_synchronous_commit;

-- name: read_settings
-- reset_val is what a session starts with: server, database and role together, without what our connection set itself.
SELECT name, reset_val
FROM pg_settings
WHERE name = ANY(%(names)s);

-- name: read_role
SELECT
    current_user AS name,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
    has_database_privilege(current_database(), 'TEMPORARY') AS may_create_temp_tables;

-- name: read_missing_privileges
SELECT w.table_name || ': ' || w.privilege AS missing
FROM unnest(%(tables)s::text [], %(privileges)s::text []) AS w (table_name, privilege)
WHERE to_regclass(w.table_name) IS NOT NULL AND NOT has_table_privilege(w.table_name, w.privilege)
ORDER BY missing;

-- name: read_connections
-- Rows of others are visible without their details to everybody.
SELECT count(*)::integer AS used
FROM pg_stat_activity
WHERE backend_type = 'client backend';

-- name: read_size
SELECT pg_database_size(current_database()) AS size_bytes;

-- name: read_clock
SELECT clock_timestamp() AS now;

-- name: read_idle_in_transaction
SELECT count(*)::integer AS sessions, coalesce(extract(epoch FROM max(clock_timestamp() - state_change)), 0)::float8 AS longest_s
FROM pg_stat_activity
WHERE
    datname = current_database()
    AND application_name LIKE 'roadtwin%%'
    AND state LIKE 'idle in transaction%%'
    AND state_change < clock_timestamp() - make_interval(secs => %(longer_than_s)s);

-- name: read_accounts
SELECT coalesce(sum(received), 0)::bigint AS received, coalesce(sum(rejected), 0)::bigint AS rejected
FROM ingest_batch
WHERE recorded_at > %(since)s;

-- name: read_rejection_codes
-- Distinct messages: how often each came within the window is not kept.
SELECT code, count(*)::integer AS messages
FROM rejected_message
WHERE last_seen_at > %(since)s
GROUP BY code
ORDER BY messages DESC, code;

-- name: read_network_delay
-- Arrival minus the network server's time: what the way takes, plus what the two clocks differ by.
SELECT
    count(*)::integer AS messages,
    min(delay_s) AS least_s,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY delay_s) AS median_s
FROM (
    SELECT extract(epoch FROM recorded_at - observed_at)::float8 AS delay_s
    FROM message
    WHERE clock = 'network_server' AND origin = 'mqtt' AND NOT retained AND observed_at > %(since)s
    ORDER BY observed_at DESC
    LIMIT 1000
) AS newest;

-- name: health_is_kept
SELECT to_regclass('device_health') IS NOT NULL AS kept;

-- name: read_silent_devices
-- Silent as in device_states.sql, but one without a known interval is not judged.
SELECT
    count(*)::integer AS devices,
    (count(*) FILTER (WHERE h.interval_s IS NOT NULL))::integer AS judged,
    (count(*) FILTER (
        WHERE
            h.interval_s IS NOT NULL
            AND %(now)s - greatest(h.last_message_at, d.last_seen_at)
            > make_interval(secs => greatest(h.interval_s * %(intervals)s, %(least_s)s))
    ))::integer AS silent
FROM device_health AS h
INNER JOIN device AS d ON h.device_id = d.device_id
WHERE d.status = 'confirmed';

-- name: read_device_times
-- By arrival: a wrong GPS time may lie years back. Reprocessing is no arrival.
WITH told AS (
    SELECT
        s.device_id,
        count(*) AS all_values,
        count(*) FILTER (WHERE o.flags & %(doubtful_time)s <> 0) AS doubtful,
        count(*) FILTER (WHERE o.flags & %(skew)s <> 0) AS skewed
    FROM observation AS o
    INNER JOIN series AS s ON o.series_id = s.series_id
    WHERE
        o.recorded_at > %(since)s AND (o.message_recorded_at IS NULL OR o.message_recorded_at > %(since)s)
        AND o.superseded_at IS NULL
    GROUP BY s.device_id
), judged AS (
    SELECT
        d.device_id,
        coalesce(d.name, d.device) AS name,
        d.network_source,
        t.doubtful * 2 > t.all_values AS untimed,
        t.skewed * 2 > t.doubtful AS skewed
    FROM told AS t
    INNER JOIN device AS d ON t.device_id = d.device_id
    WHERE d.status = 'confirmed'
)

SELECT
    count(*)::integer AS devices,
    (count(*) FILTER (WHERE untimed))::integer AS untimed,
    coalesce((array_agg(name ORDER BY device_id) FILTER (WHERE untimed))[:%(named)s], '{}') AS names,
    coalesce(array_agg(DISTINCT network_source) FILTER (WHERE untimed AND NOT skewed), '{}') AS timeless_sources,
    coalesce(bool_or(skewed) FILTER (WHERE untimed), FALSE) AS wrong_clocks
FROM judged;
