-- name: read_model_segments
SELECT
    segment_id, public_id, section_id, from_station_m, to_station_m, length_m, mid_lon, mid_lat, district, road_class,
    attributes::text
FROM segment
WHERE valid_to IS NULL
ORDER BY segment_id;

-- name: read_changed_attributes
-- All editions of the valid segments that have more than one.
WITH edition AS (
    SELECT segment_id, recorded_at, attributes, own, count(*) OVER (PARTITION BY segment_id) AS editions
    FROM register_edition
)

SELECT segment_id, recorded_at, attributes::text
FROM edition
WHERE editions > 1
ORDER BY recorded_at, segment_id, own;

-- name: copy_evidence
-- Columns are fixed in width and never null: they are read as one array. Kinds: models.inputs.EvidenceKind.
COPY (
    WITH told AS (
        -- An id names one observation. Of two times under one id, as a confused sender gives, the first one counts.
        SELECT DISTINCT ON (evidence_id, kind, part_no) *
        FROM placed_evidence
        WHERE recorded_at <= %(now)s
        ORDER BY evidence_id, kind, part_no, recorded_at, observed_at
    )

    SELECT
        kind, evidence_id, part_no, observed_at, recorded_at, section_id, segment_id, station_m, accuracy_m, lon, lat,
        CASE WHEN pass_key IS NULL THEN -1 ELSE dense_rank() OVER (ORDER BY pass_key) END::integer,
        coalesce(width_m, 'NaN'), coalesce(depth_m, 'NaN'), severity
    FROM told
    WHERE flags & %(unfit)s = 0
) TO STDOUT (FORMAT BINARY);

-- name: copy_collected_evidence
-- The same of some sections, from what was collected when potholes were last derived.
COPY (
    SELECT
        kind, evidence_id, part_no, observed_at, recorded_at, section_id, segment_id, station_m, accuracy_m, lon, lat,
        CASE WHEN pass_key IS NULL THEN -1 ELSE dense_rank() OVER (ORDER BY pass_key) END::integer,
        coalesce(width_m, 'NaN'), coalesce(depth_m, 'NaN'), severity
    FROM pothole_evidence
    WHERE
        recorded_at <= %(now)s AND flags & %(unfit)s = 0 AND section_id = ANY(%(section_ids)s::integer [])
) TO STDOUT (FORMAT BINARY);

-- name: copy_potholes
-- As derived, without lapsed candidates; infinity: not, or not yet.
COPY (
    SELECT
        segment_id, first_recorded_at, coalesce(confirmed_at, 'infinity'), coalesce(secured_at, 'infinity')
    FROM pothole
) TO STDOUT (FORMAT BINARY);

-- name: copy_open_spells
COPY (
    SELECT p.segment_id, s.opened_at, coalesce(s.shut_at, 'infinity')
    FROM pothole AS p
    CROSS JOIN LATERAL unnest(p.opened_at, p.shut_at) AS s (opened_at, shut_at)
) TO STDOUT (FORMAT BINARY);

-- name: copy_last_looks
-- Of each of these segments the newest day before `from_day` with a good pass, in its newest edition.
COPY (
    SELECT
        l.recorded_at, l.segment_id, l.day, l.good_passes, l.longitudinal_cracks::integer + l.transverse_cracks,
        l.alligator_cracks::integer, coalesce(l.roughness_mps2, 'NaN')
    FROM unnest(%(segment_ids)s::integer []) AS wanted (segment_id)
    CROSS JOIN LATERAL (
        SELECT d.*
        FROM segment_day AS d
        WHERE
            d.segment_id = wanted.segment_id AND d.day < %(from_day)s::date AND d.recorded_at <= %(now)s
            AND d.good_passes > 0
            AND NOT EXISTS (
                SELECT FROM segment_day AS newer
                WHERE
                    newer.segment_id = d.segment_id AND newer.day = d.day AND newer.recorded_at > d.recorded_at
                    AND newer.recorded_at <= %(now)s
            )
        ORDER BY d.day DESC
        LIMIT 1
    ) AS l
) TO STDOUT (FORMAT BINARY);

-- name: copy_last_inspections
-- When each segment was last looked at by a person.
COPY (
    WITH named_segment AS (
        -- An id that several segments had names the newest of them.
        SELECT DISTINCT ON (public_id) public_id, segment_id FROM segment ORDER BY public_id, valid_to DESC NULLS FIRST
    ), newest AS (
        SELECT public_segment_id, max(recorded_at) AS recorded_at, max(observed_at) AS observed_at
        FROM inspection
        WHERE recorded_at <= %(now)s
        GROUP BY public_segment_id
    )
    SELECT n.recorded_at, n.observed_at, s.segment_id
    FROM newest AS n
    INNER JOIN named_segment AS s ON n.public_segment_id = s.public_id
) TO STDOUT (FORMAT BINARY);

-- name: copy_weather
COPY (
    SELECT
        recorded_at, observed_at, (dense_rank() OVER (ORDER BY station))::integer, coalesce(air_temp_c, 'NaN'),
        coalesce(rain_mm, 'NaN')
    FROM weather
    WHERE recorded_at <= %(now)s AND (%(from_hour)s::timestamptz IS NULL OR observed_at >= %(from_hour)s::timestamptz)
) TO STDOUT (FORMAT BINARY);

-- name: copy_forecasts
COPY (
    SELECT
        recorded_at, issued_at, valid_at, (dense_rank() OVER (ORDER BY station))::integer,
        coalesce(air_temp_c, 'NaN'), coalesce(rain_mm, 'NaN')
    FROM weather_forecast
    WHERE recorded_at <= %(now)s
) TO STDOUT (FORMAT BINARY);

-- name: copy_surveys
COPY (
    WITH named_segment AS (
        -- An id that several segments had names the newest of them.
        SELECT DISTINCT ON (public_id) public_id, segment_id FROM segment ORDER BY public_id, valid_to DESC NULLS FIRST
    )
    SELECT
        v.recorded_at, v.observed_at, s.segment_id, coalesce(v.crack_pct, 'NaN'), coalesce(v.patch_pct, 'NaN'),
        coalesce(v.rut_depth_mm, 'NaN'), coalesce(v.total_grade, 'NaN')
    FROM survey AS v
    INNER JOIN named_segment AS s ON v.public_segment_id = s.public_id
    WHERE v.recorded_at <= %(now)s
) TO STDOUT (FORMAT BINARY);

-- name: copy_segment_days
COPY (
    SELECT
        recorded_at, segment_id, day, good_passes, longitudinal_cracks::integer + transverse_cracks,
        alligator_cracks::integer,
        coalesce(roughness_mps2, 'NaN')
    FROM segment_day
    WHERE
        recorded_at <= %(now)s
        AND (%(from_day)s::date IS NULL OR day >= %(from_day)s::date)
        AND (%(segment_ids)s::integer [] IS NULL OR segment_id = ANY(%(segment_ids)s::integer []))
) TO STDOUT (FORMAT BINARY);

-- name: copy_inspections
COPY (
    WITH named_segment AS (
        -- An id that several segments had names the newest of them.
        SELECT DISTINCT ON (public_id) public_id, segment_id FROM segment ORDER BY public_id, valid_to DESC NULLS FIRST
    )
    SELECT i.recorded_at, i.observed_at, s.segment_id
    FROM inspection AS i
    INNER JOIN named_segment AS s ON i.public_segment_id = s.public_id
    WHERE
        i.recorded_at <= %(now)s
        AND (%(segment_ids)s::integer [] IS NULL OR s.segment_id = ANY(%(segment_ids)s::integer []))
) TO STDOUT (FORMAT BINARY);

-- name: copy_repairs
COPY (
    SELECT DISTINCT ON (r.record_id)
        r.recorded_at, r.observed_at, m.segment_id, r.method = 'resurfacing', r.method = 'cold_mix'
    FROM repair AS r
    INNER JOIN record_match AS m ON r.record_id = m.record_id AND m.record_kind = 'repair'
    WHERE r.recorded_at <= %(now)s AND r.kind = 'repaired' AND m.segment_id IS NOT NULL
    ORDER BY r.record_id, m.matcher_version DESC
) TO STDOUT (FORMAT BINARY);

-- name: copy_trench_permits
COPY (
    WITH named_segment AS (
        -- An id that several segments had names the newest of them.
        SELECT DISTINCT ON (public_id) public_id, segment_id FROM segment ORDER BY public_id, valid_to DESC NULLS FIRST
    )
    SELECT t.recorded_at, t.observed_at, s.segment_id, t.area_m2
    FROM trench_permit AS t
    INNER JOIN named_segment AS s ON t.public_segment_id = s.public_id
    WHERE t.recorded_at <= %(now)s
) TO STDOUT (FORMAT BINARY);

-- name: copy_sensor_days
-- Of confirmed devices, where they were installed that day; an installation of the very channel wins over one of the
-- whole device. Moisture down to 60 cm: what is deeper tells little of the base.
COPY (
    SELECT
        d.recorded_at, d.series_id, d.day, i.lon, i.lat, array_position(%(quantities)s::text [], s.quantity),
        coalesce(d.minimum, 'NaN'), coalesce(d.mean, 'NaN'), coalesce(d.maximum, 'NaN'),
        coalesce(d.freeze_thaw_cycles::real, 'NaN')
    FROM sensor_day AS d
    INNER JOIN series AS s ON d.series_id = s.series_id
    INNER JOIN device AS v ON s.device_id = v.device_id AND v.status = 'confirmed'
    CROSS JOIN city AS c
    INNER JOIN device_installation AS i
        ON
            s.device_id = i.device_id
            AND i.valid_from < (d.day + 1)::timestamp AT TIME ZONE c.timezone
            AND (i.valid_to IS NULL OR i.valid_to >= (d.day + 1)::timestamp AT TIME ZONE c.timezone)
            AND i.channel = (
                SELECT max(n.channel)
                FROM device_installation AS n
                WHERE n.device_id = s.device_id AND n.channel IN ('', s.channel)
            )
    WHERE
        d.recorded_at <= %(now)s AND s.quantity = ANY(%(quantities)s::text [])
        AND (s.quantity <> 'soil_moisture_pct' OR coalesce(s.depth_cm, 0) <= 60)
) TO STDOUT (FORMAT BINARY);
