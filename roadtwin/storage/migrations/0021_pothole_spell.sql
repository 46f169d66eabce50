-- What the present spell of a pothole is called. A hole that looks did not find and that was seen again has more than one.
CREATE VIEW pothole_spell AS
SELECT
    p.pothole_id,
    s.spells > 1 AS seen_again,
    p.reopened AND s.spells <= 1 AS broken_up_again,  -- what was lost since says nothing any more of the repair before it
    CASE WHEN s.spells > 1 THEN s.began_at ELSE p.first_recorded_at END AS known_since,
    greatest(p.confirmed_at, s.began_at) AS open_since  -- as we knew it; NULL: not confirmed
FROM pothole AS p
CROSS JOIN LATERAL (
    SELECT coalesce(cardinality(p.opened_at), 0) AS spells, p.opened_at[cardinality(p.opened_at)] AS began_at
) AS s;
COMMENT ON VIEW pothole_spell IS 'The last spell of each pothole: what it is called, and since when we know of it.';

-- Potholes are derived anew: seen_by_person_at is no longer set by the repair that closes a hole, nor by who saw it before it was lost.
DELETE FROM pothole_derivation;
