-- What vehicles saw, also where they saw nothing: that is exposure.
CREATE TABLE vehicle_reading (
    event_id uuid NOT NULL,
    observed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    origin text NOT NULL,
    vehicle_pseudonym text NOT NULL,  -- keyed, rotated monthly
    calibration_id text NOT NULL,  -- keyed, stable: for speed and vehicle normalisation only
    lon double precision NOT NULL,
    lat double precision NOT NULL,
    accuracy_m real,
    heading_deg real,
    speed_mps real NOT NULL,
    pass_id text NOT NULL,
    lane smallint,
    camera_model text NOT NULL,
    camera_version text NOT NULL,
    blur real NOT NULL,
    wet real NOT NULL,
    light real NOT NULL,
    accel_rms_mps2 real,
    accel_peak_mps2 real,
    sample_rate_hz real,
    image_ref text,
    flags smallint NOT NULL,
    PRIMARY KEY (observed_at, event_id)
);
CREATE INDEX vehicle_reading_recorded ON vehicle_reading (recorded_at);

CREATE TABLE detection (
    event_id uuid NOT NULL,
    detection_no smallint NOT NULL,
    observed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    class_code text NOT NULL,
    confidence real NOT NULL,
    bbox_px real [] NOT NULL,
    image_width_px integer NOT NULL,
    image_height_px integer NOT NULL,
    width_m real,
    length_m real,
    depth_m real,
    area_m2 real,
    track_id text,
    PRIMARY KEY (observed_at, event_id, detection_no)
);
CREATE INDEX detection_recorded ON detection (recorded_at);

CREATE TABLE reading_match (
    event_id uuid NOT NULL,
    observed_at timestamptz NOT NULL,
    matcher_version smallint NOT NULL,
    section_id integer,  -- NULL: farther from every section than the matcher accepts
    segment_id integer,
    station_m real,
    offset_m real,  -- positive to the left of the section's direction
    matched_at timestamptz NOT NULL,
    PRIMARY KEY (observed_at, event_id, matcher_version)
);
COMMENT ON TABLE reading_match IS 'Where on the network a vehicle reading was; can be made again with a better matcher.';
CREATE INDEX reading_match_segment ON reading_match (segment_id, observed_at);

CREATE TABLE segment_day (
    segment_id integer NOT NULL REFERENCES segment,
    day date NOT NULL,  -- local day of the city
    recorded_at timestamptz NOT NULL,  -- a correction is a row with a later recorded_at
    origin text NOT NULL,  -- loaded, or mqtt/replayed when made from readings
    passes smallint NOT NULL,
    good_passes smallint NOT NULL,  -- frames fit for detection: not blurred, wet or dark
    longitudinal_cracks smallint NOT NULL,  -- detections by class: D00
    transverse_cracks smallint NOT NULL,  -- D10
    alligator_cracks smallint NOT NULL,  -- D20
    potholes_seen smallint NOT NULL,  -- D40
    roughness_mps2 real,  -- mean vertical acceleration, normalised for speed and vehicle
    PRIMARY KEY (segment_id, day, recorded_at)
);
COMMENT ON TABLE segment_day IS 'What all vehicle passes of one local day saw of one segment. No row: nobody passed.';
CREATE INDEX segment_day_recorded ON segment_day (recorded_at);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('vehicle_reading', by_range('observed_at', INTERVAL '7 days'), create_default_indexes => FALSE);
        PERFORM create_hypertable('detection', by_range('observed_at', INTERVAL '28 days'), create_default_indexes => FALSE);
        PERFORM create_hypertable('reading_match', by_range('observed_at', INTERVAL '7 days'), create_default_indexes => FALSE);
    END IF;
END
$$;
