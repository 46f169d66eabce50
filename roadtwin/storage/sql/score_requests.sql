-- name: add_score_request
INSERT INTO score_request (requested_at, requested_by)
VALUES (%(requested_at)s, %(requested_by)s)
RETURNING score_request_id;

-- name: read_score_request
SELECT score_request_id, requested_at, requested_by, score_as_of
FROM score_request
WHERE score_request_id = %(score_request_id)s;

-- name: read_newest_open_request
SELECT max(score_request_id) FROM score_request WHERE score_as_of IS NULL;

-- name: answer_score_requests
UPDATE score_request SET score_as_of = %(as_of)s
WHERE score_as_of IS NULL AND score_request_id <= %(score_request_id)s;
