-- name: read_draw
SELECT day, drawn_at, score_as_of, seed, share, capacity, top_count, frame_count, drawn_count
FROM inspection_draw
WHERE day = %(day)s;

-- name: read_drawn_segments
SELECT position, segment_id, risk_position
FROM inspection_draw_segment
WHERE day = %(day)s
ORDER BY position;

-- name: read_candidates
-- Every scored 100 m segment with who has to keep it, worst first.
SELECT
    s.segment_id,
    s.public_id,
    section.owner,
    section.warranty_until,
    w.starts_on AS works_start_on
FROM risk_score AS r
INNER JOIN segment AS s ON s.segment_id = r.segment_id
INNER JOIN road_section AS section ON section.section_id = s.section_id
LEFT JOIN (
    SELECT public_segment_id, min(starts_on) AS starts_on
    FROM planned_work
    WHERE recorded_at <= %(now)s AND ends_on >= %(today)s AND starts_on <= %(works_until)s
    GROUP BY public_segment_id
) AS w ON w.public_segment_id = s.public_id
WHERE
    r.as_of = %(as_of)s
    AND r.horizon_days = %(horizon_days)s
    AND s.valid_to IS NULL
    AND s.nominal_length_m = %(nominal_length_m)s
ORDER BY r.rank, s.segment_id;

-- name: insert_draw
INSERT INTO inspection_draw (day, drawn_at, score_as_of, seed, share, capacity, top_count, frame_count, drawn_count)
VALUES (
    %(day)s, %(drawn_at)s, %(score_as_of)s, %(seed)s, %(share)s, %(capacity)s, %(top_count)s, %(frame_count)s, %(drawn_count)s
)
ON CONFLICT (day) DO NOTHING
RETURNING day;

-- name: insert_drawn_segment
INSERT INTO inspection_draw_segment (day, position, segment_id, risk_position)
VALUES (%(day)s, %(position)s, %(segment_id)s, %(risk_position)s);
