-- name: insert_raw_batch
INSERT INTO raw_batch (batch_id, recorded_at, compression, payloads)
VALUES (%(batch_id)s, %(recorded_at)s, %(compression)s, %(payloads)b);

-- name: read_raw_batches
SELECT payloads FROM raw_batch;

-- name: read_payloads_in_rows
SELECT payload FROM message WHERE payload IS NOT NULL;
