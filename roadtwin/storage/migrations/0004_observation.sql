-- What devices measured.
CREATE TABLE observation (
    series_id integer NOT NULL REFERENCES series,
    observed_at timestamptz NOT NULL,  -- when it was true, from the message
    recorded_at timestamptz NOT NULL,  -- when we knew, given by the writer
    value double precision NOT NULL,  -- in the quantity's unit; out of range is flagged, not refused
    flags smallint NOT NULL,
    profile_version smallint NOT NULL,  -- the highest one of an instant is in force
    PRIMARY KEY (series_id, observed_at, profile_version)
);
COMMENT ON TABLE observation IS 'What one series measured at one instant. Append-only.';
CREATE INDEX observation_recorded ON observation (recorded_at);

CREATE TABLE observation_conflict (
    series_id integer NOT NULL REFERENCES series,
    observed_at timestamptz NOT NULL,
    profile_version smallint NOT NULL,
    value double precision NOT NULL,  -- the value that came second
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (series_id, observed_at, profile_version, value)
);
COMMENT ON TABLE observation_conflict IS 'Another value for an instant that already had one: kept, and the first stays in force.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('observation', by_range('observed_at', INTERVAL '7 days'), create_default_indexes => FALSE);
    END IF;
END
$$;
