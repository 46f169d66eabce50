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

-- name: read_last_passes
SELECT segment_id, max(day)
FROM segment_day
WHERE
    recorded_at <= %(now)s AND passes > 0
    AND (%(segment_ids)s::integer [] IS NULL OR segment_id = any(%(segment_ids)s::integer []))
GROUP BY segment_id;

-- name: read_last_inspections
SELECT s.segment_id, max(i.observed_at), count(*) FILTER (WHERE i.observed_at > %(now)s - INTERVAL '365 days')
FROM inspection AS i
INNER JOIN segment AS s ON i.public_segment_id = s.public_id AND s.valid_to IS NULL
WHERE
    i.recorded_at <= %(now)s AND i.observed_at <= %(now)s
    AND (%(segment_ids)s::integer [] IS NULL OR s.segment_id = any(%(segment_ids)s::integer []))
GROUP BY s.segment_id;

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
