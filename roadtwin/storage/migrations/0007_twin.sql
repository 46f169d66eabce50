-- What is derived: potholes, twin state, features, scores; and what people decided.
CREATE TABLE pothole (
    pothole_id uuid PRIMARY KEY,  -- from rule version and first evidence: derived again, the same id
    rule_version smallint NOT NULL,
    section_id integer NOT NULL REFERENCES road_section,
    segment_id integer NOT NULL REFERENCES segment,
    station_m real NOT NULL,
    lon double precision NOT NULL,
    lat double precision NOT NULL,
    first_evidence_at timestamptz NOT NULL,  -- when it was first true
    first_recorded_at timestamptz NOT NULL,  -- when we first knew: the label time
    confirmed_at timestamptz,  -- when we knew for sure (recorded time)
    secured_at timestamptz,
    closed_at timestamptz,  -- repaired, or looked for and not found (recorded time)
    close_reason text CHECK (close_reason IN ('repaired', 'not_found')),
    last_evidence_at timestamptz NOT NULL,
    severity smallint NOT NULL,  -- 1 low, 2 medium, 3 high
    evidence_count integer NOT NULL,
    evidence jsonb NOT NULL,  -- [{"kind", "id", "part", "at"}]
    reopened boolean NOT NULL,  -- within 5 m of one that was repaired before
    CHECK ((closed_at IS NULL) = (close_reason IS NULL))
);
COMMENT ON TABLE pothole IS 'Derived from evidence by a versioned rule, in the order in which evidence was recorded.';
CREATE INDEX pothole_segment ON pothole (segment_id);
CREATE INDEX pothole_open ON pothole (segment_id) WHERE closed_at IS NULL;

CREATE TABLE twin_state (
    segment_id integer PRIMARY KEY REFERENCES segment,
    as_of timestamptz NOT NULL,
    state jsonb NOT NULL,  -- each quantity: value, standard deviation, number and age of its observations
    condition_grade real,  -- 1 best … 5 worst; NULL: unknown, which is not "good"
    evidence_count integer NOT NULL,
    newest_evidence_at timestamptz
);

CREATE TABLE twin_state_day (
    day date NOT NULL,
    segment_id integer NOT NULL REFERENCES segment,
    as_of timestamptz NOT NULL,
    state jsonb NOT NULL,
    condition_grade real,
    evidence_count integer NOT NULL,
    newest_evidence_at timestamptz,
    PRIMARY KEY (day, segment_id)
);

CREATE TABLE model_run (
    model_run_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trained_at timestamptz NOT NULL,
    data_until timestamptz NOT NULL,  -- nothing recorded later was used
    feature_set_version smallint NOT NULL,
    rule_version smallint NOT NULL,
    library_versions jsonb NOT NULL,
    recipe jsonb NOT NULL,
    card jsonb NOT NULL,
    artefact bytea NOT NULL,  -- skops
    artefact_sha256 bytea NOT NULL,
    active boolean NOT NULL
);
CREATE UNIQUE INDEX model_run_active ON model_run (active) WHERE active;

CREATE TABLE feature_row (
    segment_id integer NOT NULL,
    as_of timestamptz NOT NULL,
    feature_set_version smallint NOT NULL,
    feature_values real [] NOT NULL,  -- in the order of the feature set
    PRIMARY KEY (segment_id, as_of, feature_set_version)
);
COMMENT ON TABLE feature_row IS 'The trace of every score: what the model saw.';

CREATE TABLE risk_score (
    segment_id integer NOT NULL,
    as_of timestamptz NOT NULL,
    horizon_days smallint NOT NULL,
    probability real NOT NULL,  -- of at least one new pothole within the horizon
    expected_count real NOT NULL,
    probability_low real,  -- 90 % interval; NULL: this model gives none
    probability_high real,
    rank integer NOT NULL,  -- 1 = highest probability of its run and horizon
    model_run_id integer NOT NULL,
    reasons jsonb,  -- of the ranked top; else computed on demand from the feature row
    PRIMARY KEY (segment_id, as_of, horizon_days)
);
CREATE INDEX risk_score_rank ON risk_score (as_of, horizon_days, rank);

CREATE TABLE score_run (
    as_of timestamptz PRIMARY KEY,
    model_run_id integer NOT NULL REFERENCES model_run,
    recorded_at timestamptz NOT NULL,
    segment_count integer NOT NULL
);
COMMENT ON TABLE score_run IS 'Complete sets of scores; readers take the newest. Written last, in the transaction of its scores.';

CREATE TABLE decision (
    decision_id uuid PRIMARY KEY,
    decided_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    decided_by text NOT NULL,  -- name of the API key
    segment_id integer REFERENCES segment,
    pothole_id uuid,
    score_as_of timestamptz,
    action text NOT NULL,  -- inspect, repair, secure, defer, none
    reason text,
    CHECK (segment_id IS NOT NULL OR pothole_id IS NOT NULL)
);
COMMENT ON TABLE decision IS 'Who decided what about a score or a pothole: an unacted score is evidence.';
CREATE INDEX decision_segment ON decision (segment_id, decided_at);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('feature_row', by_range('as_of', INTERVAL '7 days'), create_default_indexes => FALSE);
        PERFORM create_hypertable('risk_score', by_range('as_of', INTERVAL '7 days'), create_default_indexes => FALSE);
    END IF;
END
$$;
