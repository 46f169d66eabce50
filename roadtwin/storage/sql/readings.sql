-- name: stage_vehicle_reading
CREATE TEMP TABLE IF NOT EXISTS staged_vehicle_reading (LIKE vehicle_reading) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS staged_detection (LIKE detection) ON COMMIT DROP;
TRUNCATE staged_vehicle_reading, staged_detection;

-- name: copy_vehicle_reading
COPY staged_vehicle_reading (
    event_id, observed_at, recorded_at, origin, vehicle_pseudonym, calibration_id, lon, lat, accuracy_m, heading_deg,
    speed_mps, pass_id, lane, camera_model, camera_version, blur, wet, light, accel_rms_mps2, accel_peak_mps2,
    sample_rate_hz, image_ref, flags
) FROM STDIN;

-- name: copy_detection
COPY staged_detection (
    event_id, observed_at, recorded_at, detection_no, class_code, confidence, bbox_px, image_width_px,
    image_height_px, width_m, length_m, depth_m, area_m2, track_id
) FROM STDIN;

-- name: merge_vehicle_reading
INSERT INTO vehicle_reading (
    event_id, observed_at, recorded_at, origin, vehicle_pseudonym, calibration_id, lon, lat, accuracy_m, heading_deg,
    speed_mps, pass_id, lane, camera_model, camera_version, blur, wet, light, accel_rms_mps2, accel_peak_mps2,
    sample_rate_hz, image_ref, flags
)
SELECT
    event_id, observed_at, recorded_at, origin, vehicle_pseudonym, calibration_id, lon, lat, accuracy_m, heading_deg,
    speed_mps, pass_id, lane, camera_model, camera_version, blur, wet, light, accel_rms_mps2, accel_peak_mps2,
    sample_rate_hz, image_ref, flags
FROM staged_vehicle_reading
ON CONFLICT DO NOTHING;

-- name: merge_detection
INSERT INTO detection (
    event_id, observed_at, recorded_at, detection_no, class_code, confidence, bbox_px, image_width_px,
    image_height_px, width_m, length_m, depth_m, area_m2, track_id
)
SELECT
    event_id, observed_at, recorded_at, detection_no, class_code, confidence, bbox_px, image_width_px,
    image_height_px, width_m, length_m, depth_m, area_m2, track_id
FROM staged_detection
ON CONFLICT DO NOTHING;

-- name: stage_segment_day
CREATE TEMP TABLE IF NOT EXISTS staged_segment_day (LIKE segment_day) ON COMMIT DROP;
TRUNCATE staged_segment_day;

-- name: copy_segment_day
COPY staged_segment_day (
    segment_id, day, recorded_at, origin, passes, good_passes, longitudinal_cracks, transverse_cracks,
    alligator_cracks, potholes_seen, roughness_mps2
) FROM STDIN;

-- name: merge_segment_day
INSERT INTO segment_day (
    segment_id, day, recorded_at, origin, passes, good_passes, longitudinal_cracks, transverse_cracks,
    alligator_cracks, potholes_seen, roughness_mps2
)
SELECT
    segment_id, day, recorded_at, origin, passes, good_passes, longitudinal_cracks, transverse_cracks,
    alligator_cracks, potholes_seen, roughness_mps2
FROM staged_segment_day
ON CONFLICT DO NOTHING;

-- name: lock_matching
SELECT pg_advisory_xact_lock(%(key)s);

-- name: stage_chosen_pass
CREATE TEMP TABLE IF NOT EXISTS chosen_pass (
    pass_no integer,
    vehicle_pseudonym text,
    pass_id text,
    readings bigint,
    begin_at timestamptz,
    end_at timestamptz
) ON COMMIT DROP;
TRUNCATE chosen_pass;

-- name: choose_unmatched_passes
INSERT INTO chosen_pass (pass_no, vehicle_pseudonym, pass_id, readings, begin_at, end_at)
SELECT
    row_number() OVER (), u.vehicle_pseudonym, u.pass_id, count(*),
    min(u.observed_at) - %(context)s, max(u.observed_at) + %(context)s
FROM (
    SELECT r.vehicle_pseudonym, r.pass_id, r.observed_at
    FROM vehicle_reading AS r
    WHERE
        NOT EXISTS (
            SELECT FROM reading_match AS m
            WHERE
                m.observed_at = r.observed_at AND m.event_id = r.event_id
                AND m.matcher_version = %(matcher_version)s
        )
    ORDER BY r.recorded_at, r.event_id
    LIMIT %(limit)s
) AS u
GROUP BY u.vehicle_pseudonym, u.pass_id;

-- name: analyze_chosen_pass
ANALYZE chosen_pass;

-- name: read_chosen_bounds
SELECT coalesce(sum(readings), 0)::bigint, min(begin_at), max(end_at) FROM chosen_pass;

-- name: stage_chosen_reading
-- A table of its own: the planner cannot know how many readings the passes have, and joins accordingly badly.
CREATE TEMP TABLE IF NOT EXISTS chosen_reading (
    pass_no integer,
    event_id uuid,
    observed_at timestamptz,
    lon double precision,
    lat double precision,
    heading_deg real,
    speed_mps real,
    accuracy_m real
) ON COMMIT DROP;
TRUNCATE chosen_reading;

-- name: choose_readings
INSERT INTO chosen_reading (pass_no, event_id, observed_at, lon, lat, heading_deg, speed_mps, accuracy_m)
SELECT p.pass_no, r.event_id, r.observed_at, r.lon, r.lat, r.heading_deg, r.speed_mps, r.accuracy_m
FROM chosen_pass AS p
INNER JOIN vehicle_reading AS r
    ON
        p.vehicle_pseudonym = r.vehicle_pseudonym AND p.pass_id = r.pass_id
        AND r.observed_at BETWEEN p.begin_at AND p.end_at
WHERE r.observed_at BETWEEN %(begin_at)s AND %(end_at)s;

-- name: analyze_chosen_reading
ANALYZE chosen_reading;

-- name: read_chosen_readings
-- Also readings that have a match: the others are matched in their company.
SELECT
    c.pass_no, c.event_id, c.observed_at, c.lon, c.lat, c.heading_deg, c.speed_mps, c.accuracy_m,
    m.event_id IS NOT NULL AS is_matched
FROM chosen_reading AS c
LEFT JOIN reading_match AS m
    ON
        c.observed_at = m.observed_at AND c.event_id = m.event_id AND m.matcher_version = %(matcher_version)s
        AND m.observed_at BETWEEN %(begin_at)s AND %(end_at)s
ORDER BY c.pass_no, c.observed_at, c.event_id;

-- name: stage_reading_match
CREATE TEMP TABLE IF NOT EXISTS staged_reading_match (LIKE reading_match) ON COMMIT DROP;
TRUNCATE staged_reading_match;

-- name: copy_reading_match
COPY staged_reading_match (
    event_id, observed_at, matcher_version, section_id, segment_id, station_m, offset_m, matched_at
) FROM STDIN;

-- name: merge_reading_match
INSERT INTO reading_match (
    event_id, observed_at, matcher_version, section_id, segment_id, station_m, offset_m, matched_at
)
SELECT event_id, observed_at, matcher_version, section_id, segment_id, station_m, offset_m, matched_at
FROM staged_reading_match
ON CONFLICT DO NOTHING;

-- name: analyze_reading_match
-- The planner knows nothing of a table that was filled a moment ago.
ANALYZE staged_reading_match;

-- name: flag_outside_network
UPDATE vehicle_reading AS r
SET flags = r.flags | %(outside)s
FROM staged_reading_match AS m
WHERE
    m.section_id IS NULL AND r.observed_at = m.observed_at AND r.event_id = m.event_id AND r.flags & %(outside)s = 0;

-- name: unflag_inside_network
UPDATE vehicle_reading AS r
SET flags = r.flags & ~%(outside)s
FROM staged_reading_match AS m
WHERE
    m.section_id IS NOT NULL AND r.observed_at = m.observed_at AND r.event_id = m.event_id
    AND r.flags & %(outside)s <> 0;

-- name: forget_reading_matches
-- After the network changed: matches to segments that are gone, and positions that may lie inside now.
DELETE FROM reading_match AS m
WHERE
    m.section_id IS NULL
    OR m.segment_id IN (SELECT s.segment_id FROM segment AS s WHERE s.valid_to IS NOT NULL);

-- name: stage_former_match
CREATE TEMP TABLE IF NOT EXISTS former_match (segment_id integer, event_id uuid, observed_at timestamptz) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS left_segment_day (segment_id integer, day date, recorded_at timestamptz) ON COMMIT DROP;
TRUNCATE former_match, left_segment_day;

-- name: read_staged_bounds
SELECT min(observed_at) AS begin_at, max(observed_at) AS end_at FROM staged_reading_match;

-- name: find_former_matches
-- Where an older version of the matcher had put readings that are somewhere else now.
INSERT INTO former_match (segment_id, event_id, observed_at)
SELECT o.segment_id, o.event_id, o.observed_at
FROM staged_reading_match AS m
INNER JOIN reading_match AS o ON m.observed_at = o.observed_at AND m.event_id = o.event_id
WHERE
    o.matcher_version < %(matcher_version)s AND o.segment_id IS NOT NULL AND o.segment_id IS DISTINCT FROM m.segment_id
    AND o.observed_at BETWEEN %(begin_at)s AND %(end_at)s;

-- name: analyze_former_match
ANALYZE former_match;

-- name: find_left_segment_days
INSERT INTO left_segment_day (segment_id, day, recorded_at)
SELECT f.segment_id, (f.observed_at AT TIME ZONE c.timezone)::date, min(r.recorded_at)
FROM former_match AS f
INNER JOIN vehicle_reading AS r ON f.observed_at = r.observed_at AND f.event_id = r.event_id
CROSS JOIN city AS c
WHERE r.origin <> 'loaded' AND r.observed_at BETWEEN %(begin_at)s AND %(end_at)s
GROUP BY 1, 2;

-- name: delete_left_segment_days
-- The roll-up makes them again from the readings that stay; those without any are gone.
DELETE FROM segment_day AS d
USING left_segment_day AS l
WHERE
    d.segment_id = l.segment_id AND d.day = l.day AND d.recorded_at >= l.recorded_at AND d.origin <> 'loaded';

-- name: roll_up_segment_days
-- Every local day on which a newly matched raw reading fell is made again from all its readings. The row is known
-- since its last reading was: a day that grows gets rows with later recorded_at, and the last one is in force.
WITH touched AS (
    SELECT DISTINCT m.segment_id, (m.observed_at AT TIME ZONE c.timezone)::date AS day, c.timezone
    FROM staged_reading_match AS m
    INNER JOIN vehicle_reading AS r ON m.observed_at = r.observed_at AND m.event_id = r.event_id
    CROSS JOIN city AS c
    WHERE m.segment_id IS NOT NULL AND r.origin <> 'loaded' AND r.flags & %(unfit)s = 0
    UNION
    SELECT l.segment_id, l.day, c.timezone
    FROM left_segment_day AS l
    CROSS JOIN city AS c
), reading AS (
    SELECT
        t.segment_id, t.day, r.event_id, r.observed_at, r.recorded_at, r.origin, r.vehicle_pseudonym, r.pass_id,
        r.blur <= %(blur_max)s AND r.wet <= %(wet_max)s AND r.light >= %(light_min)s AS fit,
        r.wet > %(wet_max)s AS wet, r.light < %(light_min)s AS dark, r.accel_rms_mps2,
        CASE
            WHEN
                r.speed_mps >= %(speed_min_mps)s
                AND r.accel_rms_mps2 BETWEEN %(accel_min_mps2)s AND %(accel_max_mps2)s
                AND coalesce(r.accel_peak_mps2 >= r.accel_rms_mps2, TRUE)
                THEN r.accel_rms_mps2 * sqrt(%(reference_speed_mps)s / r.speed_mps)
        END AS roughness_mps2
    FROM touched AS t
    INNER JOIN reading_match AS m
        ON
            t.segment_id = m.segment_id AND m.matcher_version = %(matcher_version)s
            AND m.observed_at >= t.day::timestamp AT TIME ZONE t.timezone
            AND m.observed_at < (t.day + 1)::timestamp AT TIME ZONE t.timezone
    INNER JOIN vehicle_reading AS r ON m.observed_at = r.observed_at AND m.event_id = r.event_id
    WHERE r.origin <> 'loaded' AND r.flags & %(unfit)s = 0
), pass AS (
    SELECT
        segment_id, day, vehicle_pseudonym, pass_id,
        avg(fit::integer) >= 0.5 AS good, avg(wet::integer) >= 0.5 AS wet, avg(dark::integer) >= 0.5 AS dark,
        -- A sensor that says the same all along the way is stuck.
        CASE
            WHEN count(accel_rms_mps2) < %(accel_stuck_readings)s OR min(accel_rms_mps2) < max(accel_rms_mps2)
                THEN avg(roughness_mps2)
        END AS roughness_mps2,
        max(recorded_at) AS recorded_at,
        max(origin) AS origin
    FROM reading
    GROUP BY segment_id, day, vehicle_pseudonym, pass_id
), seen AS (
    -- A tracked distress stands in several frames of a pass and counts once in it.
    SELECT DISTINCT
        r.segment_id, r.day, d.class_code, r.vehicle_pseudonym, r.pass_id,
        coalesce(d.track_id, d.event_id::text || ' ' || d.detection_no::text) AS distress
    FROM reading AS r
    INNER JOIN detection AS d ON r.observed_at = d.observed_at AND r.event_id = d.event_id
), counted AS (
    SELECT
        segment_id, day,
        count(*) FILTER (WHERE class_code = 'D00') AS longitudinal_cracks,
        count(*) FILTER (WHERE class_code = 'D10') AS transverse_cracks,
        count(*) FILTER (WHERE class_code = 'D20') AS alligator_cracks,
        count(*) FILTER (WHERE class_code = 'D40') AS potholes_seen
    FROM seen
    GROUP BY segment_id, day
), driven AS (
    SELECT
        segment_id, day, max(recorded_at) AS recorded_at, max(origin) AS origin, count(*) AS passes,
        count(*) FILTER (WHERE good) AS good_passes, count(*) FILTER (WHERE NOT good AND wet) AS wet_passes,
        count(*) FILTER (WHERE NOT good AND NOT wet AND dark) AS dark_passes, avg(roughness_mps2) AS roughness_mps2
    FROM pass
    GROUP BY segment_id, day
)
INSERT INTO segment_day (
    segment_id, day, recorded_at, origin, passes, good_passes, wet_passes, dark_passes, longitudinal_cracks,
    transverse_cracks, alligator_cracks, potholes_seen, roughness_mps2
)
SELECT
    p.segment_id, p.day, p.recorded_at, p.origin, least(p.passes, 32767), least(p.good_passes, 32767),
    least(p.wet_passes, 32767), least(p.dark_passes, 32767),
    least(coalesce(c.longitudinal_cracks, 0), 32767), least(coalesce(c.transverse_cracks, 0), 32767),
    least(coalesce(c.alligator_cracks, 0), 32767), least(coalesce(c.potholes_seen, 0), 32767), p.roughness_mps2
FROM driven AS p
LEFT JOIN counted AS c ON p.segment_id = c.segment_id AND p.day = c.day
ON CONFLICT (segment_id, day, recorded_at) DO UPDATE
    SET
        origin = excluded.origin, passes = excluded.passes, good_passes = excluded.good_passes,
        wet_passes = excluded.wet_passes, dark_passes = excluded.dark_passes,
        longitudinal_cracks = excluded.longitudinal_cracks, transverse_cracks = excluded.transverse_cracks,
        alligator_cracks = excluded.alligator_cracks, potholes_seen = excluded.potholes_seen,
        roughness_mps2 = excluded.roughness_mps2;

-- name: read_unmatched_records
-- Places that people named: repairs, reports, and findings of inspections (at their inspection's segment).
SELECT p.record_kind, p.record_id, p.part_no, p.public_segment_id, p.lon, p.lat, p.accuracy_m
FROM (
    SELECT 'repair' AS record_kind, record_id, 0 AS part_no, public_segment_id, lon, lat, accuracy_m FROM repair
    UNION ALL
    SELECT 'report', record_id, 0, public_segment_id, lon, lat, accuracy_m FROM report
    UNION ALL
    SELECT 'finding', f.record_id, f.finding_no, i.public_segment_id, f.lon, f.lat, f.accuracy_m
    FROM inspection_finding AS f
    INNER JOIN inspection AS i ON f.record_id = i.record_id
) AS p
WHERE
    NOT EXISTS (
        SELECT FROM record_match AS m
        WHERE
            m.record_kind = p.record_kind AND m.record_id = p.record_id AND m.part_no = p.part_no
            AND m.matcher_version = %(matcher_version)s
    );

-- name: copy_record_match
COPY record_match (
    record_kind, record_id, part_no, matcher_version, section_id, segment_id, station_m, offset_m, matched_at
) FROM STDIN;

-- name: analyze_record_match
-- After many were written: the planner would look for a handful.
ANALYZE record_match;

-- name: forget_record_matches
DELETE FROM record_match AS m
WHERE
    m.section_id IS NULL
    OR m.segment_id IN (SELECT s.segment_id FROM segment AS s WHERE s.valid_to IS NOT NULL);
