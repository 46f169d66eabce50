-- name: stage_sensor_day
CREATE TEMP TABLE IF NOT EXISTS staged_sensor_day (
    series_id integer,
    day date,
    recorded_at timestamptz,
    count smallint,
    minimum real,
    mean real,
    maximum real,
    freeze_thaw_cycles smallint  -- -1: no temperature
) ON COMMIT DROP;
TRUNCATE staged_sensor_day;

-- name: copy_sensor_day
COPY staged_sensor_day (
    series_id, day, recorded_at, count, minimum, mean, maximum, freeze_thaw_cycles
) FROM STDIN (FORMAT BINARY);

-- name: merge_sensor_day
INSERT INTO sensor_day (
    series_id, day, recorded_at, origin, count, minimum, mean, maximum, freeze_thaw_cycles
)
SELECT series_id, day, recorded_at, %(origin)s, count, minimum, mean, maximum, nullif(freeze_thaw_cycles, -1)
FROM staged_sensor_day
ON CONFLICT DO NOTHING;

-- name: touch_sensor_days
-- First and last instants of what was added, flagged or replaced within a day: both local days that it may lie in.
INSERT INTO sensor_day_touched (series_id, day)
SELECT DISTINCT t.series_id, (t.observed_at AT TIME ZONE c.timezone)::date AS day
FROM unnest(%(series_ids)s::integer [], %(instants)s::timestamptz []) AS t (series_id, observed_at)
INNER JOIN series AS s ON t.series_id = s.series_id
CROSS JOIN city AS c
WHERE s.quantity = ANY(%(quantities)s::text [])
ORDER BY t.series_id, day
ON CONFLICT DO NOTHING;

-- name: touch_all_sensor_days
INSERT INTO sensor_day_touched (series_id, day)
SELECT DISTINCT o.series_id, (o.observed_at AT TIME ZONE c.timezone)::date AS day
FROM observation AS o
INNER JOIN series AS s ON o.series_id = s.series_id
CROSS JOIN city AS c
WHERE s.quantity = ANY(%(quantities)s::text [])
ORDER BY o.series_id, day
ON CONFLICT DO NOTHING;

-- name: lock_sensor_days
-- Who is about to touch a day has changed its observations but not committed them: wait for them, and let others wait.
LOCK TABLE sensor_day_touched IN SHARE ROW EXCLUSIVE MODE;

-- name: stage_rolled_day
CREATE TEMP TABLE IF NOT EXISTS rolled_day (
    series_id integer,
    day date,
    is_temperature boolean,
    begins_at timestamptz,
    ends_at timestamptz
) ON COMMIT DROP;
TRUNCATE rolled_day;

-- name: take_touched_days
-- Days that are over, and of temperatures the day after: whether it began frozen may have changed.
WITH taken AS (
    DELETE FROM sensor_day_touched AS t
    USING (
        SELECT w.series_id, w.day
        FROM sensor_day_touched AS w
        CROSS JOIN city AS c
        WHERE w.day < (%(now)s AT TIME ZONE c.timezone)::date
        ORDER BY w.day, w.series_id
        LIMIT %(limit)s
    ) AS w
    WHERE t.series_id = w.series_id AND t.day = w.day
    RETURNING t.series_id, t.day
), wanted AS (
    SELECT t.series_id, t.day + later.days AS day, s.quantity = ANY(%(temperatures)s::text []) AS is_temperature
    FROM taken AS t
    INNER JOIN series AS s ON t.series_id = s.series_id
    CROSS JOIN (VALUES (0), (1)) AS later (days)
    WHERE later.days = 0 OR s.quantity = ANY(%(temperatures)s::text [])
)
INSERT INTO rolled_day (series_id, day, is_temperature, begins_at, ends_at)
SELECT DISTINCT
    w.series_id, w.day, w.is_temperature, w.day::timestamp AT TIME ZONE c.timezone,
    (w.day + 1)::timestamp AT TIME ZONE c.timezone
FROM wanted AS w
CROSS JOIN city AS c
WHERE w.day < (%(now)s AT TIME ZONE c.timezone)::date;

-- name: analyze_rolled_day
ANALYZE rolled_day;

-- name: roll_up_sensor_days
-- A row is known when its day is over and all that it was made from was known. Where a day comes out as it was, no row is
-- added; where nothing fit is left of one that had a row, a row says so. A day that was loaded has its messages elsewhere:
-- what a few of them that came again would make of it does not replace it.
WITH stored AS (
    SELECT
        d.series_id, d.day, d.is_temperature, d.begins_at, o.observed_at, o.value, o.flags & %(unfit)s = 0 AS fit,
        o.flags & %(doubtful_time)s = 0 AS is_timed, o.superseded_at IS NULL AS in_force, o.profile_version,
        greatest(o.recorded_at, o.superseded_at) AS known_at
    FROM rolled_day AS d
    INNER JOIN observation AS o
        ON d.series_id = o.series_id AND o.observed_at >= d.begins_at AND o.observed_at < d.ends_at
), used AS (
    -- Of several versions of a value the highest is in force.
    SELECT DISTINCT ON (series_id, observed_at) series_id, day, is_temperature, begins_at, observed_at, value, fit
    FROM stored
    WHERE in_force
    ORDER BY series_id, observed_at, profile_version DESC
), outside AS (
    SELECT
        series_id, day, value > %(thaw_above_c)s AS thawed,
        lag(value) OVER (PARTITION BY series_id, day ORDER BY observed_at) AS before,
        row_number() OVER (PARTITION BY series_id, day ORDER BY observed_at) = 1 AS is_first, begins_at
    FROM used
    WHERE fit AND is_temperature AND (value < %(freeze_below_c)s OR value > %(thaw_above_c)s)
), cycle AS (
    SELECT w.series_id, w.day, count(*) AS cycles
    FROM outside AS w
    LEFT JOIN LATERAL (
        SELECT o.value
        FROM observation AS o
        WHERE
            w.is_first AND o.series_id = w.series_id AND o.observed_at < w.begins_at
            AND o.observed_at >= w.begins_at - INTERVAL '90 days' AND o.superseded_at IS NULL
            AND o.flags & %(unfit)s = 0 AND (o.value < %(freeze_below_c)s OR o.value > %(thaw_above_c)s)
        ORDER BY o.observed_at DESC, o.profile_version DESC
        LIMIT 1
    ) AS earlier ON TRUE
    WHERE w.thawed AND coalesce(w.before, earlier.value) < %(freeze_below_c)s
    GROUP BY w.series_id, w.day
), summed AS (
    SELECT
        series_id, day, count(*) AS count, min(value)::real AS minimum, avg(value)::real AS mean,
        max(value)::real AS maximum
    FROM used
    WHERE fit
    GROUP BY series_id, day
), known AS (
    -- What lies here by a wrong clock delays nothing.
    SELECT series_id, day, coalesce(max(known_at) FILTER (WHERE is_timed), max(known_at)) AS known_at
    FROM stored
    GROUP BY series_id, day
), made AS (
    SELECT
        d.series_id, d.day, greatest(d.ends_at, k.known_at) AS recorded_at,
        least(coalesce(s.count, 0), 32767)::smallint AS count, s.minimum, s.mean, s.maximum,
        CASE WHEN d.is_temperature THEN coalesce(c.cycles, 0)::smallint END AS freeze_thaw_cycles
    FROM rolled_day AS d
    LEFT JOIN known AS k ON d.series_id = k.series_id AND d.day = k.day
    LEFT JOIN summed AS s ON d.series_id = s.series_id AND d.day = s.day
    LEFT JOIN cycle AS c ON d.series_id = c.series_id AND d.day = c.day
    WHERE k.known_at IS NOT NULL
)
INSERT INTO sensor_day (
    series_id, day, recorded_at, origin, count, minimum, mean, maximum, freeze_thaw_cycles
)
SELECT
    m.series_id, m.day, greatest(m.recorded_at, p.recorded_at), 'observed', m.count, m.minimum, m.mean, m.maximum,
    m.freeze_thaw_cycles
FROM made AS m
LEFT JOIN LATERAL (
    SELECT q.recorded_at, q.origin, q.count, q.minimum, q.mean, q.maximum, q.freeze_thaw_cycles
    FROM sensor_day AS q
    WHERE q.series_id = m.series_id AND q.day = m.day
    ORDER BY q.recorded_at DESC
    LIMIT 1
) AS p ON TRUE
WHERE
    (m.count > 0 OR p.recorded_at IS NOT NULL) AND (p.origin IS DISTINCT FROM 'loaded' OR m.count >= p.count)
    AND (m.count, m.minimum, m.mean, m.maximum, m.freeze_thaw_cycles)
    IS DISTINCT FROM (p.count, p.minimum, p.mean, p.maximum, p.freeze_thaw_cycles)
ON CONFLICT (series_id, day, recorded_at) DO UPDATE
    SET
        origin = excluded.origin, count = excluded.count, minimum = excluded.minimum, mean = excluded.mean,
        maximum = excluded.maximum, freeze_thaw_cycles = excluded.freeze_thaw_cycles;
