-- What was known when somebody decided, and which segments are inspected by lot so that the model stays honest.
ALTER TABLE decision
ADD COLUMN horizon_days smallint,  -- of the score that was decided on; NULL with all below: no score was known
ADD COLUMN probability real,
ADD COLUMN probability_low real,
ADD COLUMN probability_high real,
ADD COLUMN expected_count real,
ADD COLUMN rank integer,
ADD COLUMN model_run_id integer;
COMMENT ON COLUMN decision.probability IS 'As it was known then: kept here, for sets of scores are thinned.';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX decision_decided ON decision (decided_at);  -- a few rows a day

CREATE TABLE inspection_draw (
    day date PRIMARY KEY,  -- local day of the city
    drawn_at timestamptz NOT NULL,
    score_as_of timestamptz NOT NULL,  -- whose top is not part of the frame
    seed text NOT NULL,  -- city and day: the order is that of SHA-256(seed|public id)
    share real NOT NULL,  -- of the inspection capacity
    capacity integer NOT NULL,
    top_count integer NOT NULL,  -- segments inspected by risk anyway: selected with certainty
    frame_count integer NOT NULL,  -- segments that could be drawn
    drawn_count integer NOT NULL  -- each of the frame with probability drawn_count / frame_count
);
COMMENT ON TABLE inspection_draw IS 'The day''s simple random sample of segments that are not at the top.';

CREATE TABLE inspection_draw_segment (
    day date NOT NULL REFERENCES inspection_draw ON DELETE CASCADE,
    position integer NOT NULL,  -- in the order of the draw, from 1: the first k are a random sample, too
    segment_id integer NOT NULL REFERENCES segment,
    PRIMARY KEY (day, position)
);
