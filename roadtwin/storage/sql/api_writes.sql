-- name: add_repair
INSERT INTO repair (
    record_id, observed_at, recorded_at, origin, public_segment_id, lon, lat, accuracy_m, kind, method, area_m2, depth_m, crew, note
)
VALUES (
    %(record_id)s, %(observed_at)s, %(recorded_at)s, 'api', %(segment_id)s, %(lon)s, %(lat)s, %(accuracy_m)s, %(kind)s, %(method)s,
    %(area_m2)s, %(depth_m)s, %(crew)s, %(note)s
)
ON CONFLICT (record_id) DO NOTHING
RETURNING record_id;

-- name: read_repair
SELECT
    record_id, observed_at, recorded_at, public_segment_id AS segment_id, lon, lat, accuracy_m, kind, method, area_m2, depth_m, crew, note
FROM repair
WHERE record_id = %(record_id)s;

-- name: add_inspection
INSERT INTO inspection (record_id, observed_at, recorded_at, origin, public_segment_id, inspector_role, note)
VALUES (%(record_id)s, %(observed_at)s, %(recorded_at)s, 'api', %(segment_id)s, %(inspector_role)s, %(note)s)
ON CONFLICT (record_id) DO NOTHING
RETURNING record_id;

-- name: add_inspection_finding
INSERT INTO inspection_finding (record_id, finding_no, class_code, severity, lon, lat, accuracy_m, width_m, depth_m)
VALUES (
    %(record_id)s, %(finding_no)s, %(class_code)s, %(severity)s, %(lon)s, %(lat)s, %(accuracy_m)s, %(width_m)s, %(depth_m)s
);

-- name: read_inspection
SELECT record_id, observed_at, recorded_at, public_segment_id AS segment_id, inspector_role, note
FROM inspection
WHERE record_id = %(record_id)s;

-- name: read_inspection_findings
SELECT record_id, finding_no, class_code, severity, lon, lat, accuracy_m, width_m, depth_m
FROM inspection_finding
WHERE record_id = %(record_id)s
ORDER BY finding_no;

-- name: add_report
INSERT INTO report (record_id, observed_at, recorded_at, origin, public_segment_id, lon, lat, accuracy_m, channel, category, text)
VALUES (
    %(record_id)s, %(observed_at)s, %(recorded_at)s, 'api', %(segment_id)s, %(lon)s, %(lat)s, %(accuracy_m)s, %(channel)s, %(category)s,
    %(text)s
)
ON CONFLICT (record_id) DO NOTHING
RETURNING record_id;

-- name: read_report
SELECT record_id, observed_at, recorded_at, public_segment_id AS segment_id, lon, lat, accuracy_m, channel, category, text
FROM report
WHERE record_id = %(record_id)s;

-- name: find_segment_id
SELECT segment_id FROM segment WHERE public_id = %(public_id)s AND valid_to IS NULL;

-- name: find_pothole
SELECT pothole_id, segment_id FROM pothole WHERE pothole_id = %(pothole_id)s;

-- name: find_score
-- The score of a segment in a set, by default the newest; what is known when somebody decides.
SELECT as_of AS score_as_of, horizon_days, probability, probability_low, probability_high, expected_count, rank, model_run_id
FROM risk_score
WHERE
    segment_id = %(segment_id)s
    AND horizon_days = %(horizon_days)s
    AND as_of = coalesce(%(score_as_of)s::timestamptz, (SELECT max(as_of) FROM score_run));

-- name: add_decision
INSERT INTO decision (
    decision_id, decided_at, recorded_at, decided_by, segment_id, pothole_id, action, reason, score_as_of, horizon_days, probability,
    probability_low, probability_high, expected_count, rank, model_run_id
)
VALUES (
    %(decision_id)s, %(decided_at)s, %(recorded_at)s, %(decided_by)s, %(segment_id)s, %(pothole_id)s, %(action)s, %(reason)s,
    %(score_as_of)s, %(horizon_days)s, %(probability)s, %(probability_low)s, %(probability_high)s, %(expected_count)s, %(rank)s,
    %(model_run_id)s
)
ON CONFLICT (decision_id) DO NOTHING
RETURNING decision_id;

-- name: read_decision
SELECT decision_id, decided_at, recorded_at, segment_id, pothole_id, action, reason, score_as_of, horizon_days
FROM decision
WHERE decision_id = %(decision_id)s;
