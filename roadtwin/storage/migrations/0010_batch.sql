-- Every message names its batch, and a batch is the unit of all work that comes after storing: health and quality of
-- devices are worked out from batches that are not digested yet, exactly once, whoever wrote them.
ALTER TABLE message ADD COLUMN batch_id bigint;  -- NULL: stored before batches were named
ALTER TABLE message ADD COLUMN clock_skew_s real;  -- own time minus the network server's, where both are told
CREATE INDEX message_batch ON message (batch_id);

ALTER TABLE ingest_batch ADD COLUMN receptions jsonb;  -- gateway → count, newest reception, clock skew; NULL: none
ALTER TABLE ingest_batch ADD COLUMN digested_at timestamptz;
CREATE INDEX ingest_batch_undigested ON ingest_batch (batch_id) WHERE digested_at IS NULL;
