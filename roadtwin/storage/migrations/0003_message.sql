-- Raw messages, rejected ones, and the accounts of every batch.
CREATE TABLE message (
    message_id uuid NOT NULL,  -- from the content, never from arrival
    observed_at timestamptz NOT NULL,  -- from the message; its arrival time where clock = 'arrival'
    recorded_at timestamptz NOT NULL,
    clock text NOT NULL,
    format text NOT NULL,  -- chirpstack-v4-json, tts-v3-json, senml-json, vehicle-v1
    event_kind text NOT NULL,  -- up, join, status, log, …, readings
    origin text NOT NULL,
    device_id integer REFERENCES device,
    f_cnt bigint,
    f_port integer,
    gateway_count smallint,
    best_rssi_dbm real,
    best_snr_db real,
    retained boolean NOT NULL,
    flags smallint NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    details jsonb,
    PRIMARY KEY (observed_at, message_id)
);
COMMENT ON TABLE message IS 'Every accepted message with its raw bytes, so that a fixed codec or profile can be applied again.';
CREATE INDEX message_by_id ON message (message_id);  -- messages without usable time are keyed by it alone
CREATE INDEX message_recorded ON message (recorded_at);

CREATE TABLE rejected_message (
    digest bytea PRIMARY KEY,  -- sha256(topic, 0x00, payload)
    topic text NOT NULL,
    payload bytea NOT NULL,  -- the first bytes of an oversized one
    payload_bytes bigint NOT NULL,
    payload_sha256 bytea NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    count bigint NOT NULL
);
CREATE INDEX rejected_message_last_seen ON rejected_message (last_seen_at);

CREATE TABLE ingest_batch (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    worker text NOT NULL,
    origin text NOT NULL,
    recorded_at timestamptz NOT NULL,
    received integer NOT NULL,
    stored integer NOT NULL,
    duplicate integer NOT NULL,
    rejected integer NOT NULL,
    observations_stored integer NOT NULL,
    observations_duplicate integer NOT NULL,
    observation_conflicts integer NOT NULL,
    CHECK (received = stored + duplicate + rejected)
);
COMMENT ON TABLE ingest_batch IS 'Accounts of one transaction of the ingester, committed with its rows.';
CREATE INDEX ingest_batch_recorded ON ingest_batch (recorded_at);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('message', by_range('observed_at', INTERVAL '1 day'), create_default_indexes => FALSE);
    END IF;
END
$$;
