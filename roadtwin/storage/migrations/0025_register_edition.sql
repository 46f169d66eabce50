-- Editions that migration 22 copied are what stood there then: what imports had overwritten before, nobody knows.
ALTER TABLE segment_attributes
ADD COLUMN copied_at timestamptz;  -- when migration 22 made the row from what stood in segment; NULL: an import did

-- An import counts from when it ran, so those that were there lie between the first migration of the database and that one. Simulated
-- cities lie before it: nothing is overwritten in them before they are loaded.
UPDATE segment_attributes AS e
SET copied_at = copying.applied_at
FROM segment AS s, schema_migration AS founding, schema_migration AS copying
WHERE
    s.segment_id = e.segment_id AND e.recorded_at = s.valid_from
    AND founding.version = 1 AND copying.version = 22
    AND e.recorded_at >= founding.applied_at AND e.recorded_at < copying.applied_at;

-- All editions of the valid segments, with those of the segments that they are the heirs of: where a road's line moves, what was known of
-- it does not begin anew. Of several former segments that ended at once, the one of which an heir holds most counts.
CREATE VIEW register_edition AS
WITH RECURSIVE part AS (
    SELECT segment_id AS old_segment_id, valid_to, segment_id, length_m FROM segment WHERE valid_to IS NOT NULL
    UNION ALL
    SELECT p.old_segment_id, p.valid_to, l.new_segment_id, p.length_m * l.share_of_old
    FROM part AS p
    INNER JOIN segment_lineage AS l ON p.segment_id = l.old_segment_id
),

heir AS (
    SELECT DISTINCT ON (p.old_segment_id) p.old_segment_id, p.valid_to, p.segment_id, p.length_m
    FROM part AS p
    INNER JOIN segment AS s ON p.segment_id = s.segment_id AND s.valid_to IS NULL
    ORDER BY p.old_segment_id, p.length_m DESC, p.segment_id
),

told AS (
    SELECT segment_id, segment_id AS of_segment_id FROM segment WHERE valid_to IS NULL
    UNION ALL
    (
        SELECT DISTINCT ON (segment_id, valid_to) segment_id, old_segment_id
        FROM heir
        ORDER BY segment_id, valid_to, length_m DESC, old_segment_id
    )
)

SELECT
    t.segment_id,
    e.recorded_at,
    coalesce(e.copied_at, e.recorded_at) AS known_since,
    e.attributes,
    t.of_segment_id = t.segment_id AS own
FROM told AS t
INNER JOIN segment_attributes AS e ON t.of_segment_id = e.segment_id;
COMMENT ON VIEW register_edition IS 'What the register said of each valid segment, from when on, and since when we know that it did.';

-- Whoever writes the tables need not have our schema on the search path, as a restored dump has not.
ALTER FUNCTION count_change() SET search_path FROM CURRENT;
