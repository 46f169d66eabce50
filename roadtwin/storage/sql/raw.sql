-- name: insert_raw_batch
INSERT INTO raw_batch (batch_id, recorded_at, compression, payloads)
VALUES (%(batch_id)s, %(recorded_at)s, %(compression)s, %(payloads)b);

-- name: read_raw_batches
-- Only what a message names: bytes without their row are as good as lost.
SELECT b.payloads, m.raw_nos
FROM raw_batch AS b
INNER JOIN (
    SELECT batch_id, array_agg(raw_no) AS raw_nos FROM message WHERE raw_no IS NOT NULL GROUP BY batch_id
) AS m ON b.batch_id = m.batch_id;

-- name: read_payloads_in_rows
SELECT payload FROM message WHERE payload IS NOT NULL;
