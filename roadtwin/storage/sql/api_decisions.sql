-- name: list_decisions
-- Newest first, with the score that was known then.
SELECT
    d.decision_id,
    d.decided_at,
    d.recorded_at,
    d.decided_by,
    s.public_id AS segment_id,
    s.name,
    s.district,
    d.pothole_id,
    d.action,
    d.reason,
    d.score_as_of,
    d.horizon_days,
    d.probability,
    d.probability_low,
    d.probability_high,
    d.expected_count,
    d.rank,
    d.model_run_id
FROM decision AS d
LEFT JOIN pothole AS p ON p.pothole_id = d.pothole_id
LEFT JOIN segment AS s ON s.segment_id = coalesce(d.segment_id, p.segment_id)
WHERE
    d.recorded_at <= %(now)s
    AND (
        %(before_at)s::timestamptz IS NULL
        OR (d.decided_at, d.decision_id) < (%(before_at)s::timestamptz, %(before_id)s::uuid)
    )
ORDER BY d.decided_at DESC, d.decision_id DESC
LIMIT %(limit)s;

-- name: read_acted_days
-- Of the last set of scores of each local day: the top, what was done about it within some days, and what came of it.
-- A score is acted on by a decision, an inspection or a repair of its segment.
WITH
day_run AS (
    SELECT DISTINCT ON ((as_of AT TIME ZONE %(timezone)s)::date)
        (as_of AT TIME ZONE %(timezone)s)::date AS day,
        as_of
    FROM score_run
    WHERE as_of >= %(since)s AND as_of <= %(now)s
    ORDER BY (as_of AT TIME ZONE %(timezone)s)::date, as_of DESC
),

top AS (
    SELECT d.day, r.as_of, r.segment_id, r.probability, s.public_id
    FROM day_run AS d
    INNER JOIN risk_score AS r ON r.as_of = d.as_of AND r.horizon_days = %(horizon_days)s AND r.rank <= %(top)s
    INNER JOIN segment AS s ON s.segment_id = r.segment_id
    INNER JOIN road_section AS section ON section.section_id = s.section_id
    WHERE
        section.owner IS NULL
        AND r.as_of >= %(since)s
        AND (section.warranty_until IS NULL OR section.warranty_until < d.day)
),

-- Few rows of these lie within the time looked back on; joined by hash they are read once.
decided AS MATERIALIZED (
    SELECT segment_id, decided_at
    FROM decision
    WHERE segment_id IS NOT NULL AND recorded_at <= %(now)s AND decided_at >= %(since)s - %(holds)s::interval
),

visit AS MATERIALIZED (
    SELECT public_segment_id, observed_at
    FROM inspection
    WHERE recorded_at <= %(now)s AND observed_at >= %(since)s
    UNION ALL
    SELECT public_segment_id, observed_at
    FROM repair
    WHERE recorded_at <= %(now)s AND observed_at >= %(since)s
),

hole AS MATERIALIZED (
    SELECT segment_id, first_recorded_at
    FROM pothole
    WHERE confirmed_at <= %(now)s AND first_recorded_at >= %(since)s
),

judged AS (
    SELECT
        t.day,
        t.as_of,
        t.segment_id,
        t.probability,
        count(d.decided_at) > 0 AS decided,
        count(v.observed_at) > 0 AS visited,
        count(h.first_recorded_at) > 0 AS new_pothole
    FROM top AS t
    LEFT JOIN decided AS d
        ON
            d.segment_id = t.segment_id
            AND d.decided_at BETWEEN t.as_of - %(holds)s::interval AND t.as_of + %(holds)s::interval
    LEFT JOIN visit AS v
        ON v.public_segment_id = t.public_id AND v.observed_at BETWEEN t.as_of AND t.as_of + %(holds)s::interval
    LEFT JOIN hole AS h
        ON
            h.segment_id = t.segment_id
            AND h.first_recorded_at > t.as_of
            AND h.first_recorded_at <= t.as_of + make_interval(days => %(horizon_days)s)
    GROUP BY t.day, t.as_of, t.segment_id, t.probability
)

SELECT
    day,
    as_of AS score_as_of,
    as_of + make_interval(days => %(horizon_days)s) <= %(now)s AS settled,
    count(*) AS top_count,
    count(*) FILTER (WHERE decided) AS decided_count,
    count(*) FILTER (WHERE visited) AS visited_count,
    count(*) FILTER (WHERE NOT decided AND NOT visited) AS unacted_count,
    coalesce(sum(probability) FILTER (WHERE NOT decided AND NOT visited), 0) AS unacted_expected_segments,
    count(*) FILTER (WHERE NOT decided AND NOT visited AND new_pothole) AS unacted_broken_count
FROM judged
GROUP BY day, as_of
ORDER BY day DESC;
