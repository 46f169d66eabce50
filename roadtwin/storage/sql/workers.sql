-- name: lock_worker
SELECT absence_logged_at
FROM ingest_worker
WHERE worker = %(worker)s
FOR UPDATE;

-- name: upsert_worker
INSERT INTO ingest_worker (
    worker, share_group, host, pid, started_at, seen_at, connected, received, journal_found, stored, duplicate,
    rejected, journalled, in_process, session_new_count, qos0
) VALUES (
    %(worker)s, %(share_group)s, %(host)s, %(pid)s, %(started_at)s, clock_timestamp(), %(connected)s, %(received)s,
    %(journal_found)s, %(stored)s, %(duplicate)s, %(rejected)s, %(journalled)s, %(in_process)s, %(session_new_count)s,
    %(qos0)s
)
ON CONFLICT (worker) DO UPDATE SET
    share_group = excluded.share_group,
    host = excluded.host,
    pid = excluded.pid,
    started_at = excluded.started_at,
    seen_at = excluded.seen_at,
    absence_logged_at = NULL,
    retired_at = NULL,
    connected = excluded.connected,
    received = excluded.received,
    journal_found = excluded.journal_found,
    stored = excluded.stored,
    duplicate = excluded.duplicate,
    rejected = excluded.rejected,
    journalled = excluded.journalled,
    in_process = excluded.in_process,
    session_new_count = excluded.session_new_count,
    qos0 = excluded.qos0;

-- name: find_absent_workers
SELECT worker
FROM ingest_worker
WHERE
    share_group = %(share_group)s
    AND worker <> %(worker)s
    AND retired_at IS NULL
    AND seen_at < clock_timestamp() - %(absent_after)s::interval
ORDER BY worker;

-- name: claim_absences
-- Whoever changes the row logs the absence: one member, once.
UPDATE ingest_worker
SET absence_logged_at = clock_timestamp()
WHERE
    worker = ANY(%(workers)s)
    AND retired_at IS NULL
    AND absence_logged_at IS NULL
    AND seen_at < clock_timestamp() - %(absent_after)s::interval
RETURNING worker, host, seen_at;

-- name: count_members
SELECT count(*)
FROM ingest_worker
WHERE share_group = %(share_group)s AND retired_at IS NULL;

-- name: find_workers
-- Seconds by the clock that wrote seen_at.
SELECT
    worker,
    share_group,
    host,
    pid,
    started_at,
    seen_at,
    retired_at,
    connected,
    received,
    journal_found,
    stored,
    duplicate,
    rejected,
    journalled,
    in_process,
    session_new_count,
    qos0,
    extract(EPOCH FROM clock_timestamp() - seen_at)::float8 AS unseen_s
FROM ingest_worker
WHERE
    (%(share_group)s::text IS NULL OR share_group = %(share_group)s)
    AND (%(worker)s::text IS NULL OR worker = %(worker)s)
    AND (%(retired)s OR retired_at IS NULL)
ORDER BY share_group, length(worker), worker;

-- name: retire_worker
UPDATE ingest_worker
SET retired_at = clock_timestamp(), connected = FALSE, absence_logged_at = NULL
WHERE worker = %(worker)s;
