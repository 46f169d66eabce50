-- Roll-ups: one name and meaning in all modes; here the hour is a continuous aggregate that also answers for the newest data.
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
WHERE flags & 65 = 0
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

-- A window wider than the latest accepted late data, and narrower than any retention of raw observations.
SELECT add_continuous_aggregate_policy(
    'observation_hour',
    start_offset => INTERVAL '14 days', end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '30 minutes'
);

ALTER TABLE observation SET (
    timescaledb.compress, timescaledb.compress_segmentby = 'series_id', timescaledb.compress_orderby = 'observed_at DESC, profile_version'
);
SELECT add_compression_policy('observation', INTERVAL '30 days');

-- Raw messages are kept for re-processing, not for ever.
SELECT add_retention_policy('message', INTERVAL '180 days');
