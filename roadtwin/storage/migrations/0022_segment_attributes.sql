-- What the register said of each segment, and from when on we knew it: the models of a time read what was known then.
CREATE TABLE segment_attributes (
    segment_id integer NOT NULL REFERENCES segment,
    recorded_at timestamptz NOT NULL,
    attributes jsonb NOT NULL,
    PRIMARY KEY (segment_id, recorded_at)
);
COMMENT ON TABLE segment_attributes IS 'Editions of a segment''s attributes: a row when it became known and one at each change; the newest is in segment.';

-- What an import before this has overwritten is lost: what stands there now counts from the segment's beginning.
INSERT INTO segment_attributes (segment_id, recorded_at, attributes)
SELECT segment_id, valid_from, attributes FROM segment;
