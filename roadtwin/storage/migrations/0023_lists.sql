-- What answers about segments depend on, as numbers that grow: a reader need not go through all rows to see that they changed.
CREATE TABLE answer_version (
    about text PRIMARY KEY,  -- name of a table
    version bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE answer_version IS 'Counts the statements that wrote to a table, in their transactions: part of the entity tag of lists of segments.';
INSERT INTO answer_version (about) VALUES ('segment'), ('twin_state'), ('pothole'), ('score_run');

CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE answer_version SET version = version + 1 WHERE about = tg_table_name;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION count_change IS 'Of tables named in answer_version: seen by others when what was written is, and not before.';

CREATE TRIGGER count_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON segment EXECUTE FUNCTION count_change();
CREATE TRIGGER count_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON twin_state EXECUTE FUNCTION count_change();
CREATE TRIGGER count_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON pothole EXECUTE FUNCTION count_change();
CREATE TRIGGER count_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON score_run EXECUTE FUNCTION count_change();

-- Lots for any capacity: each leaves out what its own list holds by risk, no more.
ALTER TABLE inspection_draw_segment ADD COLUMN risk_position integer;
UPDATE inspection_draw_segment AS s SET risk_position = d.top_count + 1 FROM inspection_draw AS d WHERE d.day = s.day;
-- squawk-ignore adding-not-nullable-field
ALTER TABLE inspection_draw_segment ALTER COLUMN risk_position SET NOT NULL;
COMMENT ON COLUMN inspection_draw_segment.risk_position IS
'From 1, among the segments that crews may inspect, by risk when the lot was drawn; of lots before this the first that could be drawn.';
COMMENT ON COLUMN inspection_draw.frame_count IS 'Segments that could be drawn for this capacity; for another one more or fewer are left out at the top.';
COMMENT ON TABLE inspection_draw_segment IS 'Whatever is drawn for some capacity: for one of them, the first whose risk position is below its top.';
