-- How a model comes into use, how it does in use, and which code made it and its scores.
ALTER TABLE model_run ADD COLUMN code_version text;  -- NULL: made before this was recorded
ALTER TABLE model_run ADD COLUMN drift_reference jsonb;  -- features and rates of its training, for monitoring
ALTER TABLE score_run ADD COLUMN code_version text;

CREATE TABLE model_comparison (
    model_comparison_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    compared_at timestamptz NOT NULL,
    cause text NOT NULL CHECK (cause IN ('schedule', 'command')),
    champion_run_id integer NOT NULL REFERENCES model_run (model_run_id),
    challenger_run_id integer NOT NULL REFERENCES model_run (model_run_id),
    promoted boolean NOT NULL,
    verdict_de text NOT NULL,
    verdict_en text NOT NULL,
    figures jsonb NOT NULL
);
COMMENT ON TABLE model_comparison IS 'Champion against challenger on windows that neither learned from; the loser stays in model_run.';

CREATE TABLE score_outcome (
    score_as_of timestamptz NOT NULL,
    horizon_days smallint NOT NULL,
    model_run_id integer NOT NULL REFERENCES model_run (model_run_id),
    recorded_at timestamptz NOT NULL,
    segments_known integer NOT NULL,  -- somebody looked; the others are unknown, not free of holes
    predicted double precision NOT NULL,  -- sum of the probabilities of the known ones
    observed integer NOT NULL,  -- of them, how many got a new pothole
    squared_error double precision NOT NULL,  -- sum of (probability - outcome)^2
    climatology_squared_error double precision,  -- the same of the climatology of its training; NULL: model without one
    PRIMARY KEY (score_as_of, horizon_days)
);
COMMENT ON TABLE score_outcome IS 'What became of scores whose windows are settled; written once, since it cannot change.';

CREATE TABLE model_monitoring (
    monitored_at timestamptz PRIMARY KEY,
    model_run_id integer NOT NULL REFERENCES model_run (model_run_id),
    score_as_of timestamptz NOT NULL,
    alarms jsonb NOT NULL,  -- [{"name", "subject", "value", "limit", "text_de", "text_en"}]
    figures jsonb NOT NULL
);
COMMENT ON TABLE model_monitoring IS 'How the model in use is doing: outcomes by horizon, drift of features, alarms by name.';

CREATE TABLE score_request (
    score_request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_at timestamptz NOT NULL,
    requested_by text NOT NULL,  -- name of the API key
    score_as_of timestamptz  -- of the run that answered it; NULL: not yet
);
COMMENT ON TABLE score_request IS 'Scoring asked for on demand; `roadtwin score --watch` does it at once.';
