-- What the twin has learnt of a city as a whole: how well cameras see, how far sensors tell, how vehicles differ.
CREATE TABLE twin_parameters (
    as_of timestamptz PRIMARY KEY,  -- nothing recorded later was used
    parameters jsonb NOT NULL
);
COMMENT ON TABLE twin_parameters IS 'Parameters of the twin state, learnt daily; a state takes the newest from before its time.';
