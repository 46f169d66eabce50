-- Every message names its batch. A batch is the unit of all work that comes after storing (health and quality of devices
-- are worked out from batches that are not digested yet, exactly once, whoever wrote them), and of raw bytes: the
-- payloads of a batch compress together to a tenth of what they take apart.
ALTER TABLE message ADD COLUMN batch_id bigint;  -- NULL: stored before batches were named
ALTER TABLE message ADD COLUMN raw_no integer;  -- place of its payload in the raw batch; NULL: the payload is in the row
ALTER TABLE message ADD COLUMN clock_skew_s real;  -- own time minus the network server's, where both are told
-- squawk-ignore ban-drop-not-null
ALTER TABLE message ALTER COLUMN payload DROP NOT NULL;  -- NULL: in the raw batch; nobody else reads it
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX message_batch ON message (batch_id);  -- on a hypertable it cannot be made concurrently

CREATE TABLE raw_batch (
    batch_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL,  -- the newest of its messages
    compression text NOT NULL,  -- zstd
    payloads bytea NOT NULL,  -- count, lengths, bytes (roadtwin.storage.raw), compressed
    PRIMARY KEY (batch_id, recorded_at)
);
COMMENT ON TABLE raw_batch IS 'Raw bytes of the accepted messages of one batch, as received.';
ALTER TABLE raw_batch ALTER COLUMN payloads SET STORAGE EXTERNAL;  -- compressed already

ALTER TABLE ingest_batch ADD COLUMN receptions jsonb;  -- gateway → count, newest reception, clock skew; NULL: none
ALTER TABLE ingest_batch ADD COLUMN digested_at timestamptz;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ingest_batch_undigested ON ingest_batch (batch_id) WHERE digested_at IS NULL;  -- a small table

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('raw_batch', by_range('recorded_at', INTERVAL '1 day'), create_default_indexes => FALSE);
    END IF;
END
$$;
