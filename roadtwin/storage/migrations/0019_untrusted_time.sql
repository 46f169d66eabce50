-- Values and readings whose time cannot be trusted (Flag.CLOCK 32, Flag.SKEW 256) belong to no day any more: what had been
-- made of such days is made again by the next run of matching, rolling up and deriving.
INSERT INTO sensor_day_touched (series_id, day)
SELECT DISTINCT o.series_id, (o.observed_at AT TIME ZONE c.timezone)::date
FROM observation AS o
INNER JOIN series AS s ON o.series_id = s.series_id
CROSS JOIN city AS c
WHERE s.quantity IN ('surface_temp_c', 'ground_temp_c', 'soil_moisture_pct') AND o.flags & 288 <> 0
ON CONFLICT DO NOTHING;

-- What was known of a day before the first such reading came stays.
CREATE TEMPORARY TABLE untrusted_day ON COMMIT DROP AS
SELECT m.segment_id, (m.observed_at AT TIME ZONE c.timezone)::date AS day, min(r.recorded_at) AS recorded_at
FROM vehicle_reading AS r
INNER JOIN reading_match AS m ON r.observed_at = m.observed_at AND r.event_id = m.event_id
CROSS JOIN city AS c
WHERE r.flags & 288 <> 0 AND r.origin <> 'loaded' AND m.segment_id IS NOT NULL
GROUP BY m.segment_id, (m.observed_at AT TIME ZONE c.timezone)::date;

ANALYZE untrusted_day;

DELETE FROM segment_day AS d
USING untrusted_day AS u
WHERE d.segment_id = u.segment_id AND d.day = u.day AND d.recorded_at >= u.recorded_at AND d.origin <> 'loaded';

DELETE FROM reading_match AS m
USING untrusted_day AS u, city AS c
WHERE m.segment_id = u.segment_id AND (m.observed_at AT TIME ZONE c.timezone)::date = u.day;

-- Potholes are derived anew, from the evidence that stays.
DELETE FROM pothole_derivation;
