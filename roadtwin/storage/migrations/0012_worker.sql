-- Who ingests. A worker's session stays with the broker when the worker is gone, and goes on taking its share of the
-- messages: so every worker that ever had one is known here until it is retired.
CREATE TABLE ingest_worker (
    worker text PRIMARY KEY,  -- its MQTT client id
    share_group text NOT NULL,  -- client id of the ingester that it is a part of; its own when it works alone
    host text NOT NULL,
    pid integer NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    absence_logged_at timestamptz,  -- NULL: not absent, or nobody has noticed
    retired_at timestamptz,  -- its session has been drained and ended; NULL: the broker keeps messages for it
    connected boolean NOT NULL,  -- to the broker
    received bigint NOT NULL,  -- this and the counts below since started_at, repeated deliveries included
    journal_found bigint NOT NULL,  -- in the journal already when it started
    stored bigint NOT NULL,
    duplicate bigint NOT NULL,
    rejected bigint NOT NULL,
    journalled bigint NOT NULL,  -- in the journal now
    in_process bigint NOT NULL,
    session_new_count bigint NOT NULL,  -- connections for which the broker had no session any more
    qos0 bigint NOT NULL  -- received at QoS 0: their publisher can lose messages
);
COMMENT ON TABLE ingest_worker IS
'Members of each ingester: received + journal_found = stored + duplicate + rejected + journalled + in_process.';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ingest_worker_group ON ingest_worker (share_group) WHERE retired_at IS NULL;  -- a new table
