-- name: read_weather_days
-- Local days from %(first_day)s on, as known at %(now)s; an hour belongs to the day in which it began.
WITH hour AS (
    SELECT DISTINCT ON (w.station, w.observed_at)
        w.observed_at, w.air_temp_c, w.rain_mm,
        ((w.observed_at - INTERVAL '1 hour') AT TIME ZONE c.timezone)::date AS day
    FROM weather AS w
    CROSS JOIN city AS c
    WHERE
        w.recorded_at <= %(now)s AND w.observed_at <= %(now)s
        AND w.observed_at > %(first_day)s::timestamp AT TIME ZONE c.timezone
    ORDER BY w.station, w.observed_at, w.recorded_at DESC
), mean_hour AS (
    SELECT day, observed_at, avg(air_temp_c) AS air_temp_c, avg(rain_mm) AS rain_mm
    FROM hour
    GROUP BY day, observed_at
)
SELECT
    day, min(air_temp_c), avg(air_temp_c), max(air_temp_c), sum(rain_mm), count(air_temp_c), count(rain_mm),
    max(observed_at)
FROM mean_hour
GROUP BY day
ORDER BY day;

-- name: read_weather_now
-- Newest hour with an air temperature, mean of the stations.
SELECT w.observed_at, avg(w.air_temp_c), avg(w.radiation_w_per_m2), avg(w.wind_speed_mps), count(*)
FROM (
    SELECT DISTINCT ON (station, observed_at) observed_at, air_temp_c, radiation_w_per_m2, wind_speed_mps
    FROM weather
    WHERE
        recorded_at <= %(now)s AND observed_at <= %(now)s AND observed_at > %(now)s - %(window)s
        AND air_temp_c IS NOT NULL
    ORDER BY station, observed_at, recorded_at DESC
) AS w
GROUP BY w.observed_at
ORDER BY w.observed_at DESC
LIMIT 1;

-- name: read_sensor_values
-- Newest good value of each series of confirmed devices, where the device is installed now; depths are averaged.
WITH newest AS (
    SELECT DISTINCT ON (s.series_id) s.series_id, s.device_id, s.channel, o.observed_at, o.value
    FROM series AS s
    INNER JOIN device AS d ON s.device_id = d.device_id AND d.status = 'confirmed'
    INNER JOIN observation AS o ON s.series_id = o.series_id
    WHERE
        s.quantity = %(quantity)s AND o.observed_at > %(now)s - %(window)s AND o.observed_at <= %(now)s
        AND o.recorded_at <= %(now)s AND (o.superseded_at IS NULL OR o.superseded_at > %(now)s)
        AND o.flags & %(unfit)s = 0
    ORDER BY s.series_id, o.observed_at DESC, o.profile_version DESC
), placed AS (
    -- An installation of the very channel wins over one of the whole device.
    SELECT DISTINCT ON (n.series_id) n.device_id, n.observed_at, n.value, i.lon, i.lat
    FROM newest AS n
    INNER JOIN device_installation AS i
        ON
            n.device_id = i.device_id AND i.channel IN ('', n.channel) AND i.valid_from <= %(now)s
            AND (i.valid_to IS NULL OR i.valid_to > %(now)s)
    ORDER BY n.series_id, i.channel DESC, i.valid_from DESC
)
SELECT lon, lat, avg(value), max(observed_at)
FROM placed
GROUP BY device_id, lon, lat
ORDER BY device_id, lon, lat;

-- name: read_passes
-- What cameras saw since %(first_day)s, and when somebody passed last at all; corrections are in force.
WITH day AS (
    SELECT DISTINCT ON (segment_id, day)
        segment_id, day, recorded_at, passes, good_passes, longitudinal_cracks + transverse_cracks AS linear,
        alligator_cracks AS alligator, roughness_mps2
    FROM segment_day
    WHERE recorded_at <= %(now)s AND day >= %(first_day)s
    ORDER BY segment_id, day, recorded_at DESC
)
SELECT
    segment_id, sum(passes), sum(good_passes), sum(linear) FILTER (WHERE good_passes > 0),
    sum(alligator) FILTER (WHERE good_passes > 0), avg(roughness_mps2), coalesce(stddev_samp(roughness_mps2), 0),
    count(roughness_mps2), max(recorded_at)
FROM day
GROUP BY segment_id;

-- name: read_last_passes
SELECT segment_id, max(day) FROM segment_day WHERE recorded_at <= %(now)s AND passes > 0 GROUP BY segment_id;

-- name: read_last_inspections
SELECT public_segment_id, max(observed_at), count(*) FILTER (WHERE observed_at > %(now)s - INTERVAL '365 days')
FROM inspection
WHERE recorded_at <= %(now)s AND observed_at <= %(now)s
GROUP BY public_segment_id;

-- name: read_newest_surveys
SELECT DISTINCT ON (public_segment_id) public_segment_id, observed_at, total_grade
FROM survey
WHERE recorded_at <= %(now)s AND total_grade IS NOT NULL
ORDER BY public_segment_id, observed_at DESC, recorded_at DESC;

-- name: read_open_potholes
SELECT segment_id, count(*), max(severity), max(last_evidence_at)
FROM pothole
WHERE confirmed_at <= %(now)s AND (closed_at IS NULL OR closed_at > %(now)s)
GROUP BY segment_id;

-- name: stage_state
CREATE TEMP TABLE IF NOT EXISTS staged_state (LIKE twin_state) ON COMMIT DROP;
TRUNCATE staged_state;

-- name: copy_state
COPY staged_state (segment_id, as_of, state, condition_grade, evidence_count, newest_evidence_at) FROM STDIN;

-- name: merge_state
INSERT INTO twin_state AS t (segment_id, as_of, state, condition_grade, evidence_count, newest_evidence_at)
SELECT segment_id, as_of, state, condition_grade, evidence_count, newest_evidence_at
FROM staged_state
ON CONFLICT (segment_id) DO UPDATE
    SET
        as_of = excluded.as_of, state = excluded.state, condition_grade = excluded.condition_grade,
        evidence_count = excluded.evidence_count, newest_evidence_at = excluded.newest_evidence_at
    WHERE t.as_of <= excluded.as_of;

-- name: merge_state_day
-- One snapshot a local day: the newest of it.
INSERT INTO twin_state_day AS t (day, segment_id, as_of, state, condition_grade, evidence_count, newest_evidence_at)
SELECT
    (s.as_of AT TIME ZONE c.timezone)::date, s.segment_id, s.as_of, s.state, s.condition_grade, s.evidence_count,
    s.newest_evidence_at
FROM staged_state AS s
CROSS JOIN city AS c
ON CONFLICT (day, segment_id) DO UPDATE
    SET
        as_of = excluded.as_of, state = excluded.state, condition_grade = excluded.condition_grade,
        evidence_count = excluded.evidence_count, newest_evidence_at = excluded.newest_evidence_at
    WHERE t.as_of <= excluded.as_of;

-- name: drop_state_of_closed_segments
DELETE FROM twin_state AS t USING segment AS s WHERE t.segment_id = s.segment_id AND s.valid_to IS NOT NULL;
