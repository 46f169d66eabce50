-- Kept messages decoded again with a fixed profile or codec: new rows, and an end mark on those that they replace.
ALTER TABLE observation ADD COLUMN superseded_at timestamptz;  -- NULL: in force; else until then, and never again
ALTER TABLE observation ADD COLUMN message_recorded_at timestamptz;  -- arrival of its message, where it was reprocessed
COMMENT ON COLUMN observation.superseded_at IS 'In force at t: recorded_at <= t AND (superseded_at IS NULL OR superseded_at > t). Values never change.';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX observation_reprocessed ON observation (message_recorded_at) WHERE message_recorded_at IS NOT NULL;

ALTER TABLE rejected_message ADD COLUMN reprocessed_at timestamptz;  -- when a newer parser took it; NULL: never

-- A continuous aggregate cannot be changed: it is made again, and its policy fills it from the beginning.
-- squawk-ignore ban-drop-view
DROP VIEW observation_day;
-- squawk-ignore ban-drop-view
DROP MATERIALIZED VIEW observation_hour;

CREATE MATERIALIZED VIEW observation_hour
WITH (timescaledb.continuous, timescaledb.materialized_only = FALSE) AS
SELECT
    series_id,
    profile_version,
    time_bucket(INTERVAL '1 hour', observed_at) AS hour,
    count(*) AS count,
    sum(value) AS sum,
    min(value) AS minimum,
    max(value) AS maximum
FROM observation
WHERE flags & 65 = 0 AND superseded_at IS NULL
GROUP BY series_id, profile_version, time_bucket(INTERVAL '1 hour', observed_at)
WITH NO DATA;

CREATE VIEW observation_day AS
SELECT
    h.series_id,
    h.profile_version,
    (h.hour AT TIME ZONE c.timezone)::date AS day,
    sum(h.count)::bigint AS count,
    sum(h.sum) AS sum,
    min(h.minimum) AS minimum,
    max(h.maximum) AS maximum
FROM observation_hour AS h
CROSS JOIN city AS c
GROUP BY h.series_id, h.profile_version, (h.hour AT TIME ZONE c.timezone)::date;

SELECT add_continuous_aggregate_policy(
    'observation_hour',
    start_offset => NULL, end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '30 minutes'
);
