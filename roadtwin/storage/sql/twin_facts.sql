-- What the twin state is made of, as recorded by %(now)s: all segments, or those of %(segment_ids)s where it is not NULL.
-- Columns of a COPY are fixed in width and never null.

-- name: copy_weather_hours
COPY (
    SELECT
        recorded_at, observed_at, (dense_rank() OVER (ORDER BY station))::integer, coalesce(air_temp_c, 'NaN'),
        coalesce(rain_mm, 'NaN'), coalesce(radiation_w_per_m2, 'NaN'), coalesce(wind_speed_mps, 'NaN')
    FROM weather
    WHERE recorded_at <= %(now)s AND observed_at <= %(now)s AND observed_at > %(since)s
) TO STDOUT (FORMAT BINARY);

-- name: copy_night_minima
-- Lowest surface temperature of each finished local day and confirmed device, where it was installed then.
COPY (
    SELECT DISTINCT ON (d.series_id, d.day) d.day, i.lon, i.lat, coalesce(d.minimum, 'NaN')
    FROM sensor_day AS d
    INNER JOIN series AS s ON d.series_id = s.series_id AND s.quantity = 'surface_temp_c'
    INNER JOIN device AS v ON s.device_id = v.device_id AND v.status = 'confirmed'
    CROSS JOIN city AS c
    INNER JOIN device_installation AS i
        ON
            s.device_id = i.device_id AND i.channel IN ('', s.channel)
            AND i.valid_from < (d.day + 1)::timestamp AT TIME ZONE c.timezone
            AND (i.valid_to IS NULL OR i.valid_to >= (d.day + 1)::timestamp AT TIME ZONE c.timezone)
    WHERE d.recorded_at <= %(now)s AND d.day >= %(first_day)s
    ORDER BY d.series_id, d.day, d.recorded_at DESC, i.channel DESC, i.valid_from DESC
) TO STDOUT (FORMAT BINARY);

-- name: copy_camera_days
-- Corrections are in force: the newest row of a segment and day that was known.
COPY (
    SELECT DISTINCT ON (segment_id, day)
        segment_id, day, recorded_at, good_passes, greatest(passes - good_passes, 0)::smallint,
        coalesce(wet_passes, -1)::smallint, coalesce(dark_passes, -1)::smallint,
        longitudinal_cracks::integer + transverse_cracks, alligator_cracks::integer, coalesce(roughness_mps2, 'NaN')
    FROM segment_day
    WHERE
        recorded_at <= %(now)s AND day >= %(first_day)s
        AND (%(segment_ids)s::integer [] IS NULL OR segment_id = any(%(segment_ids)s::integer []))
    ORDER BY segment_id, day, recorded_at DESC
) TO STDOUT (FORMAT BINARY);

-- name: read_cameras
SELECT DISTINCT camera_model || ' ' || camera_version
FROM vehicle_reading
WHERE recorded_at <= %(now)s AND observed_at > %(since)s AND flags & %(unfit)s = 0
ORDER BY 1;

-- name: copy_sightings
COPY (
    SELECT
        e.kind, e.observed_at, e.segment_id, e.station_m, e.accuracy_m,
        CASE
            WHEN e.kind = 1
                THEN coalesce(array_position(%(cameras)s::text [], r.camera_model || ' ' || r.camera_version), 0) - 1
            ELSE -1
        END::integer,
        CASE  -- models.state.places.Frames
            WHEN e.kind <> 1 THEN 0
            WHEN r.wet > %(wet_max)s THEN 1
            WHEN r.light < %(light_min)s THEN 2
            WHEN r.blur > %(blur_max)s THEN 3
            ELSE 0
        END::smallint
    FROM placed_evidence AS e
    LEFT JOIN vehicle_reading AS r ON e.kind = 1 AND e.observed_at = r.observed_at AND e.evidence_id = r.event_id
    WHERE
        e.recorded_at <= %(now)s AND e.observed_at > %(since)s AND e.observed_at <= %(now)s AND e.flags & %(unfit)s = 0
        AND (%(segment_ids)s::integer [] IS NULL OR e.segment_id = any(%(segment_ids)s::integer []))
) TO STDOUT (FORMAT BINARY);

-- name: copy_lids
-- Detections of what is no damage: worn cross-walks and lines, lids.
COPY (
    SELECT m.segment_id, m.station_m::double precision
    FROM detection AS d
    INNER JOIN vehicle_reading AS r ON d.observed_at = r.observed_at AND d.event_id = r.event_id
    INNER JOIN reading_match AS m
        ON d.observed_at = m.observed_at AND d.event_id = m.event_id AND m.matcher_version = %(matcher_version)s
    WHERE
        d.class_code IN ('D43', 'D44', 'D50') AND d.recorded_at <= %(now)s AND d.observed_at > %(since)s
        AND r.flags & %(unfit)s = 0 AND m.segment_id IS NOT NULL
        AND (%(segment_ids)s::integer [] IS NULL OR m.segment_id = any(%(segment_ids)s::integer []))
) TO STDOUT (FORMAT BINARY);

-- name: copy_looks
COPY (
    SELECT s.segment_id, i.observed_at
    FROM inspection AS i
    INNER JOIN segment AS s ON i.public_segment_id = s.public_id AND s.valid_to IS NULL
    WHERE
        i.recorded_at <= %(now)s AND i.observed_at > %(since)s AND i.observed_at <= %(now)s
        AND (%(segment_ids)s::integer [] IS NULL OR s.segment_id = any(%(segment_ids)s::integer []))
) TO STDOUT (FORMAT BINARY);

-- name: copy_patched
-- Areas of repairs and of trenches [m²].
COPY (
    SELECT m.segment_id, r.observed_at, r.area_m2
    FROM repair AS r
    INNER JOIN record_match AS m
        ON r.record_id = m.record_id AND m.record_kind = 'repair' AND m.matcher_version = %(matcher_version)s
    WHERE
        r.recorded_at <= %(now)s AND r.observed_at <= %(now)s AND r.kind = 'repaired' AND r.method <> 'resurfacing'
        AND r.area_m2 IS NOT NULL AND m.segment_id IS NOT NULL
        AND (%(segment_ids)s::integer [] IS NULL OR m.segment_id = any(%(segment_ids)s::integer []))
    UNION ALL
    SELECT s.segment_id, t.observed_at, t.area_m2
    FROM trench_permit AS t
    INNER JOIN segment AS s ON t.public_segment_id = s.public_id AND s.valid_to IS NULL
    WHERE
        t.recorded_at <= %(now)s AND t.observed_at <= %(now)s
        AND (%(segment_ids)s::integer [] IS NULL OR s.segment_id = any(%(segment_ids)s::integer []))
) TO STDOUT (FORMAT BINARY);

-- name: read_patch_cameras
SELECT DISTINCT r.camera_model || ' ' || r.camera_version
FROM detection AS d
INNER JOIN vehicle_reading AS r ON d.observed_at = r.observed_at AND d.event_id = r.event_id
WHERE
    d.class_code = 'PATCH' AND d.recorded_at <= %(now)s AND d.observed_at > %(since)s AND d.observed_at <= %(now)s
    AND r.origin <> 'loaded' AND r.flags & %(unfit)s = 0
ORDER BY 1;

-- name: copy_patch_days
-- Passes of the cameras that report patches, and the patches that they saw, by segment and local day. A tracked patch
-- counts once in a pass. Loaded readings are those in which something was seen: they are no exposure.
COPY (
    WITH reading AS (
        SELECT
            m.segment_id, (r.observed_at AT TIME ZONE c.timezone)::date AS day, r.vehicle_pseudonym, r.pass_id,
            r.observed_at, r.event_id, r.recorded_at,
            r.blur <= %(blur_max)s AND r.wet <= %(wet_max)s AND r.light >= %(light_min)s AS fit
        FROM vehicle_reading AS r
        INNER JOIN reading_match AS m
            ON
                r.observed_at = m.observed_at AND r.event_id = m.event_id AND m.matcher_version = %(matcher_version)s
                AND m.segment_id IS NOT NULL
        CROSS JOIN city AS c
        WHERE
            r.recorded_at <= %(now)s AND r.observed_at > %(since)s AND r.observed_at <= %(now)s
            AND r.origin <> 'loaded' AND r.flags & %(unfit)s = 0
            AND cardinality(%(cameras)s::text []) > 0  -- else nothing is read
            AND r.camera_model || ' ' || r.camera_version = any(%(cameras)s::text [])
            AND (%(segment_ids)s::integer [] IS NULL OR m.segment_id = any(%(segment_ids)s::integer []))
    ), pass AS (
        SELECT segment_id, day, avg(fit::integer) >= 0.5 AS good, max(recorded_at) AS recorded_at
        FROM reading
        GROUP BY segment_id, day, vehicle_pseudonym, pass_id
    ), driven AS (
        SELECT
            segment_id, day, max(recorded_at) AS recorded_at, count(*) FILTER (WHERE good) AS good,
            count(*) FILTER (WHERE NOT good) AS poor
        FROM pass
        GROUP BY segment_id, day
    ), seen AS (
        SELECT
            r.segment_id, r.day,
            count(DISTINCT (
                r.vehicle_pseudonym, r.pass_id, coalesce(d.track_id, d.event_id::text || ' ' || d.detection_no::text)
            )) AS patches
        FROM reading AS r
        INNER JOIN detection AS d
            ON r.observed_at = d.observed_at AND r.event_id = d.event_id AND d.class_code = 'PATCH'
        GROUP BY r.segment_id, r.day
    )

    SELECT
        p.segment_id, p.day, p.recorded_at, p.good::integer, p.poor::integer, coalesce(s.patches, 0)::integer
    FROM driven AS p
    LEFT JOIN seen AS s ON p.segment_id = s.segment_id AND p.day = s.day
) TO STDOUT (FORMAT BINARY);

-- name: copy_renewals
COPY (
    SELECT m.segment_id, max(r.observed_at)
    FROM repair AS r
    INNER JOIN record_match AS m
        ON r.record_id = m.record_id AND m.record_kind = 'repair' AND m.matcher_version = %(matcher_version)s
    WHERE
        r.recorded_at <= %(now)s AND r.observed_at <= %(now)s AND r.method = 'resurfacing' AND m.segment_id IS NOT NULL
        AND (%(segment_ids)s::integer [] IS NULL OR m.segment_id = any(%(segment_ids)s::integer []))
    GROUP BY m.segment_id
) TO STDOUT (FORMAT BINARY);

-- name: copy_surveys
-- The newest survey of each segment.
COPY (
    SELECT DISTINCT ON (s.segment_id)
        s.segment_id, u.observed_at, coalesce(u.total_grade, 'NaN'), coalesce(u.crack_pct, 'NaN'),
        coalesce(u.patch_pct, 'NaN')
    FROM survey AS u
    INNER JOIN segment AS s ON u.public_segment_id = s.public_id AND s.valid_to IS NULL
    WHERE
        u.recorded_at <= %(now)s AND u.observed_at <= %(now)s
        AND (%(segment_ids)s::integer [] IS NULL OR s.segment_id = any(%(segment_ids)s::integer []))
    ORDER BY s.segment_id, u.observed_at DESC, u.recorded_at DESC
) TO STDOUT (FORMAT BINARY);

-- name: read_shaking
-- Mean logarithm of the acceleration at the reference speed, by segment and vehicle (calibration id).
SELECT
    m.segment_id, r.calibration_id, avg(ln(r.accel_rms_mps2 * sqrt(%(reference_speed_mps)s / r.speed_mps))),
    count(DISTINCT (r.pass_id, r.observed_at::date)), max(r.recorded_at)
FROM vehicle_reading AS r
INNER JOIN reading_match AS m
    ON r.observed_at = m.observed_at AND r.event_id = m.event_id AND m.matcher_version = %(matcher_version)s
WHERE
    r.recorded_at <= %(now)s AND r.observed_at > %(since)s AND r.observed_at <= %(now)s AND r.origin <> 'loaded'
    AND r.flags & %(unfit)s = 0 AND r.accel_rms_mps2 > 0 AND r.speed_mps >= %(speed_min_mps)s AND m.segment_id IS NOT NULL
    AND (%(segment_ids)s::integer [] IS NULL OR m.segment_id = any(%(segment_ids)s::integer []))
GROUP BY m.segment_id, r.calibration_id;

-- name: copy_pothole_counts
-- Potholes that were confirmed, first recorded in a year, by segment.
COPY (
    SELECT segment_id, count(*)::integer, (count(*) FILTER (WHERE first_recorded_at > %(recent)s))::integer
    FROM pothole
    WHERE
        confirmed_at <= %(now)s AND first_recorded_at > %(since)s AND first_recorded_at <= %(now)s
        AND (%(segment_ids)s::integer [] IS NULL OR segment_id = any(%(segment_ids)s::integer []))
    GROUP BY segment_id
) TO STDOUT (FORMAT BINARY);

-- name: read_open_potholes
-- Known to be open at %(now)s: confirmed, and within a spell of being open.
SELECT segment_id, count(*), max(severity), max(least(last_evidence_at, %(now)s))
FROM pothole
WHERE
    confirmed_at <= %(now)s
    AND CASE
        WHEN opened_at IS NULL THEN closed_at IS NULL OR closed_at > %(now)s
        ELSE EXISTS (SELECT FROM unnest(opened_at, shut_at) AS s (o, c) WHERE s.o <= %(now)s AND coalesce(s.c, 'infinity') > %(now)s)
    END
    AND (%(segment_ids)s::integer [] IS NULL OR segment_id = any(%(segment_ids)s::integer []))
GROUP BY segment_id;

-- name: read_parameters
SELECT parameters FROM twin_parameters WHERE as_of <= %(now)s ORDER BY as_of DESC LIMIT 1;

-- name: write_parameters
INSERT INTO twin_parameters (as_of, parameters) VALUES (%(as_of)s, %(parameters)s)
ON CONFLICT (as_of) DO UPDATE SET parameters = excluded.parameters;

-- name: read_parameters_age
SELECT max(as_of) FROM twin_parameters WHERE as_of <= %(now)s;
