-- Records go through a staging table of the session, so that a record that is there already is left alone.

-- name: stage_repair
CREATE TEMP TABLE IF NOT EXISTS staged_repair (LIKE repair) ON COMMIT DROP;

-- name: clear_repair
TRUNCATE staged_repair;

-- name: copy_repair
COPY staged_repair (
    record_id, observed_at, recorded_at, origin, public_segment_id, lon, lat, accuracy_m, kind, method, area_m2,
    depth_m, crew, note
) FROM STDIN;

-- name: merge_repair
WITH fresh AS (
    INSERT INTO repair (
        record_id, observed_at, recorded_at, origin, public_segment_id, lon, lat, accuracy_m, kind, method,
        area_m2, depth_m, crew, note
    )
    SELECT
        record_id, observed_at, recorded_at, origin, public_segment_id, lon, lat, accuracy_m, kind, method,
        area_m2, depth_m, crew, note
    FROM staged_repair
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM fresh;

-- name: stage_inspection
CREATE TEMP TABLE IF NOT EXISTS staged_inspection (LIKE inspection) ON COMMIT DROP;

-- name: clear_inspection
TRUNCATE staged_inspection;

-- name: copy_inspection
COPY staged_inspection (
    record_id, observed_at, recorded_at, origin, public_segment_id, inspector_role, note
) FROM STDIN;

-- name: merge_inspection
-- Findings of an inspection that is there already are left out with it.
WITH fresh AS (
    INSERT INTO inspection (
        record_id, observed_at, recorded_at, origin, public_segment_id, inspector_role, note
    )
    SELECT
        record_id, observed_at, recorded_at, origin, public_segment_id, inspector_role, note
    FROM staged_inspection
    ON CONFLICT DO NOTHING
    RETURNING record_id
), findings AS (
    INSERT INTO inspection_finding (
        record_id, finding_no, class_code, severity, lon, lat, accuracy_m, width_m, depth_m
    )
    SELECT
        record_id, finding_no, class_code, severity, lon, lat, accuracy_m, width_m, depth_m
    FROM staged_inspection_finding
    WHERE record_id IN (SELECT f.record_id FROM fresh AS f)
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM fresh;

-- name: stage_inspection_finding
CREATE TEMP TABLE IF NOT EXISTS staged_inspection_finding (LIKE inspection_finding) ON COMMIT DROP;

-- name: clear_inspection_finding
TRUNCATE staged_inspection_finding;

-- name: copy_inspection_finding
COPY staged_inspection_finding (
    record_id, finding_no, class_code, severity, lon, lat, accuracy_m, width_m, depth_m
) FROM STDIN;

-- name: stage_report
CREATE TEMP TABLE IF NOT EXISTS staged_report (LIKE report) ON COMMIT DROP;

-- name: clear_report
TRUNCATE staged_report;

-- name: copy_report
COPY staged_report (
    record_id, observed_at, recorded_at, origin, public_segment_id, lon, lat, accuracy_m, channel, category,
    text
) FROM STDIN;

-- name: merge_report
WITH fresh AS (
    INSERT INTO report (
        record_id, observed_at, recorded_at, origin, public_segment_id, lon, lat, accuracy_m, channel, category,
        text
    )
    SELECT
        record_id, observed_at, recorded_at, origin, public_segment_id, lon, lat, accuracy_m, channel, category,
        text
    FROM staged_report
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM fresh;

-- name: stage_weather
CREATE TEMP TABLE IF NOT EXISTS staged_weather (LIKE weather) ON COMMIT DROP;

-- name: clear_weather
TRUNCATE staged_weather;

-- name: copy_weather
COPY staged_weather (
    station, observed_at, recorded_at, origin, air_temp_c, humidity_pct, wind_speed_mps, rain_mm, snow_depth_cm,
    radiation_w_per_m2
) FROM STDIN;

-- name: merge_weather
WITH fresh AS (
    INSERT INTO weather (
        station, observed_at, recorded_at, origin, air_temp_c, humidity_pct, wind_speed_mps, rain_mm,
        snow_depth_cm, radiation_w_per_m2
    )
    SELECT
        station, observed_at, recorded_at, origin, air_temp_c, humidity_pct, wind_speed_mps, rain_mm,
        snow_depth_cm, radiation_w_per_m2
    FROM staged_weather
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM fresh;

-- name: stage_weather_forecast
CREATE TEMP TABLE IF NOT EXISTS staged_weather_forecast (LIKE weather_forecast) ON COMMIT DROP;

-- name: clear_weather_forecast
TRUNCATE staged_weather_forecast;

-- name: copy_weather_forecast
COPY staged_weather_forecast (
    station, issued_at, valid_at, recorded_at, origin, air_temp_c, rain_mm
) FROM STDIN;

-- name: merge_weather_forecast
WITH fresh AS (
    INSERT INTO weather_forecast (
        station, issued_at, valid_at, recorded_at, origin, air_temp_c, rain_mm
    )
    SELECT
        station, issued_at, valid_at, recorded_at, origin, air_temp_c, rain_mm
    FROM staged_weather_forecast
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM fresh;

-- name: stage_survey
CREATE TEMP TABLE IF NOT EXISTS staged_survey (LIKE survey) ON COMMIT DROP;

-- name: clear_survey
TRUNCATE staged_survey;

-- name: copy_survey
COPY staged_survey (
    record_id, observed_at, recorded_at, origin, public_segment_id, rule_set, crack_pct, patch_pct,
    rut_depth_mm, substance_grade, serviceability_grade, total_grade
) FROM STDIN;

-- name: merge_survey
WITH fresh AS (
    INSERT INTO survey (
        record_id, observed_at, recorded_at, origin, public_segment_id, rule_set, crack_pct, patch_pct,
        rut_depth_mm, substance_grade, serviceability_grade, total_grade
    )
    SELECT
        record_id, observed_at, recorded_at, origin, public_segment_id, rule_set, crack_pct, patch_pct,
        rut_depth_mm, substance_grade, serviceability_grade, total_grade
    FROM staged_survey
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM fresh;

-- name: stage_trench_permit
CREATE TEMP TABLE IF NOT EXISTS staged_trench_permit (LIKE trench_permit) ON COMMIT DROP;

-- name: clear_trench_permit
TRUNCATE staged_trench_permit;

-- name: copy_trench_permit
COPY staged_trench_permit (
    record_id, observed_at, recorded_at, origin, public_segment_id, area_m2, closed_at
) FROM STDIN;

-- name: merge_trench_permit
WITH fresh AS (
    INSERT INTO trench_permit (
        record_id, observed_at, recorded_at, origin, public_segment_id, area_m2, closed_at
    )
    SELECT
        record_id, observed_at, recorded_at, origin, public_segment_id, area_m2, closed_at
    FROM staged_trench_permit
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM fresh;

-- name: stage_planned_work
CREATE TEMP TABLE IF NOT EXISTS staged_planned_work (LIKE planned_work) ON COMMIT DROP;

-- name: clear_planned_work
TRUNCATE staged_planned_work;

-- name: copy_planned_work
COPY staged_planned_work (
    record_id, observed_at, recorded_at, origin, public_segment_id, starts_on, ends_on, kind
) FROM STDIN;

-- name: merge_planned_work
WITH fresh AS (
    INSERT INTO planned_work (
        record_id, observed_at, recorded_at, origin, public_segment_id, starts_on, ends_on, kind
    )
    SELECT
        record_id, observed_at, recorded_at, origin, public_segment_id, starts_on, ends_on, kind
    FROM staged_planned_work
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM fresh;
