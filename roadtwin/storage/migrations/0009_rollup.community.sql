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

-- From the beginning on: late data are accepted however late they are, and only what changed is computed again.
SELECT add_continuous_aggregate_policy(
    'observation_hour',
    start_offset => NULL, end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '30 minutes'
);

ALTER TABLE observation SET (
    timescaledb.compress, timescaledb.compress_segmentby = 'series_id', timescaledb.compress_orderby = 'observed_at DESC, profile_version'
);
SELECT add_compression_policy('observation', INTERVAL '30 days');
