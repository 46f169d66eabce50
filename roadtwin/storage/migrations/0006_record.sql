-- Records: what people and authorities wrote down. record_id is the sender's; sent again it changes nothing.
CREATE TABLE repair (
    record_id uuid PRIMARY KEY,
    observed_at timestamptz NOT NULL,  -- when it was done
    recorded_at timestamptz NOT NULL,
    origin text NOT NULL,
    public_segment_id text,  -- as given by the sender
    lon double precision,
    lat double precision,
    accuracy_m real,
    kind text NOT NULL CHECK (kind IN ('repaired', 'secured')),
    method text NOT NULL,  -- cold_mix, hot_mix, infill, patch, resurfacing, barrier
    area_m2 real,
    depth_m real,
    crew text,
    note text
);
CREATE INDEX repair_recorded ON repair (recorded_at);

CREATE TABLE inspection (
    record_id uuid PRIMARY KEY,
    observed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    origin text NOT NULL,
    public_segment_id text NOT NULL,  -- one record a segment; no finding means: looked at and nothing found
    inspector_role text NOT NULL,
    note text
);
CREATE INDEX inspection_recorded ON inspection (recorded_at);

CREATE TABLE inspection_finding (
    record_id uuid NOT NULL REFERENCES inspection,
    finding_no smallint NOT NULL,
    class_code text NOT NULL,
    severity smallint NOT NULL CHECK (severity BETWEEN 1 AND 3),  -- 1 low, 2 medium, 3 high
    lon double precision,
    lat double precision,
    accuracy_m real,
    width_m real,
    depth_m real,
    PRIMARY KEY (record_id, finding_no)
);

CREATE TABLE report (
    record_id uuid PRIMARY KEY,
    observed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    origin text NOT NULL,
    public_segment_id text,
    lon double precision,
    lat double precision,
    accuracy_m real,
    channel text NOT NULL,  -- app, phone, web, staff
    category text NOT NULL,  -- pothole, crack, other
    text text
);
COMMENT ON TABLE report IS 'A citizen''s or walker''s report. Holds no name, address or telephone number.';
CREATE INDEX report_recorded ON report (recorded_at);

CREATE TABLE record_match (
    record_kind text NOT NULL,  -- repair, inspection, finding, report
    record_id uuid NOT NULL,
    part_no smallint NOT NULL DEFAULT 0,  -- finding_no, else 0
    matcher_version smallint NOT NULL,
    section_id integer REFERENCES road_section,
    segment_id integer REFERENCES segment,
    station_m real,
    offset_m real,
    matched_at timestamptz NOT NULL,
    PRIMARY KEY (record_kind, record_id, part_no, matcher_version)
);
CREATE INDEX record_match_segment ON record_match (segment_id);

CREATE TABLE weather (
    station text NOT NULL,
    observed_at timestamptz NOT NULL,  -- end of the hour
    recorded_at timestamptz NOT NULL,
    origin text NOT NULL,
    air_temp_c real,
    humidity_pct real,
    wind_speed_mps real,
    rain_mm real,
    snow_depth_cm real,
    radiation_w_per_m2 real,
    PRIMARY KEY (station, observed_at, recorded_at)
);

CREATE TABLE weather_forecast (
    station text NOT NULL,
    issued_at timestamptz NOT NULL,
    valid_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    origin text NOT NULL,
    air_temp_c real,
    rain_mm real,
    PRIMARY KEY (station, valid_at, issued_at)
);

CREATE TABLE survey (
    record_id uuid PRIMARY KEY,
    observed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    origin text NOT NULL,
    public_segment_id text NOT NULL,
    rule_set text NOT NULL,  -- which version of which rule book made the grades
    crack_pct real,
    patch_pct real,
    rut_depth_mm real,
    substance_grade real,  -- SUB, 1 best … 5 worst
    serviceability_grade real,  -- GEB
    total_grade real  -- GW
);
CREATE INDEX survey_recorded ON survey (recorded_at);

CREATE TABLE trench_permit (
    record_id uuid PRIMARY KEY,
    observed_at timestamptz NOT NULL,  -- when the road was opened
    recorded_at timestamptz NOT NULL,
    origin text NOT NULL,
    public_segment_id text NOT NULL,
    area_m2 real NOT NULL,
    closed_at timestamptz
);
CREATE INDEX trench_permit_recorded ON trench_permit (recorded_at);

CREATE TABLE planned_work (
    record_id uuid PRIMARY KEY,
    observed_at timestamptz NOT NULL,  -- when it was decided
    recorded_at timestamptz NOT NULL,
    origin text NOT NULL,
    public_segment_id text NOT NULL,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    kind text NOT NULL  -- resurfacing, reconstruction, utility
);
CREATE INDEX planned_work_recorded ON planned_work (recorded_at);
