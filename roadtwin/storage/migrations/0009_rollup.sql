-- Roll-ups: one name and meaning in all modes; here as views, on TimescaleDB Community the hour is materialised.
CREATE VIEW observation_hour AS
SELECT
    series_id,
    profile_version,
    date_trunc('hour', observed_at, 'UTC') AS hour,  -- begin of the hour
    count(*) AS count,
    sum(value) AS sum,
    min(value) AS minimum,
    max(value) AS maximum
FROM observation
WHERE flags & 65 = 0  -- without Flag.RANGE (1) and Flag.SENTINEL (64)
GROUP BY series_id, profile_version, date_trunc('hour', observed_at, 'UTC');

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
