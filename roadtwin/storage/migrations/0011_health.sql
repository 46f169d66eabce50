-- How devices, gateways and series are doing, worked out from committed batches (ingest/digest.py), once a batch.
-- Whether a device is silent is no fact but a question about now: it is answered from last_message_at and interval_s.
CREATE TABLE device_health (
    device_id integer PRIMARY KEY REFERENCES device,
    messages bigint NOT NULL,
    uplinks bigint NOT NULL,
    last_message_at timestamptz NOT NULL,  -- of the device's clock, never later than its arrival
    interval_s real,  -- running median between uplinks
    interval_count bigint NOT NULL,  -- intervals that it was estimated from
    frames_missing bigint NOT NULL,  -- lost on air: frame counters that never came
    counter_falls bigint NOT NULL,
    rejoins bigint NOT NULL,  -- falls that a join explains
    last_reset_at timestamptz,  -- the newest fall without a join
    repeated_counters bigint NOT NULL,  -- uplinks whose counter had come before, without retransmissions
    retransmissions bigint NOT NULL,
    recent_frames real NOT NULL,  -- received, weighted by age
    recent_missing real NOT NULL,  -- missing, weighted alike
    first_frame_at timestamptz,
    first_f_cnt bigint,
    recent_frames_at timestamptz [] NOT NULL,  -- the newest frames in the order of time, among which late ones are put
    recent_f_cnts bigint [] NOT NULL,
    recent_joins_at timestamptz [] NOT NULL,
    clock_skew_s real,  -- running mean of own time minus the network server's
    clock_skew_weight real NOT NULL,
    clock_skew_count bigint NOT NULL,
    last_clock_skew_s real,
    rssi_dbm real,  -- running mean of the best gateway's
    rssi_weight real NOT NULL,
    gateways real,  -- running mean of how many gateways heard an uplink
    gateways_weight real NOT NULL,
    battery_v real,
    highest_battery_v real,
    battery_pct real,
    battery_at timestamptz,
    battery_low boolean NOT NULL,
    digested_at timestamptz NOT NULL
) WITH (fillfactor = 50);  -- here and below: every row changes all the time, on its own page
COMMENT ON TABLE device_health IS 'How each device is doing. Follows the device, whatever it is called.';

-- What was received is kept counter by counter, so that a repeated one is told after any time, and in any order.
CREATE TABLE device_frames (
    device_id integer NOT NULL REFERENCES device,
    page integer NOT NULL,  -- counters 64 · page to 64 · page + 63
    received bigint NOT NULL,  -- bit i: counter 64 · page + i was received
    PRIMARY KEY (device_id, page)
) WITH (fillfactor = 80);
COMMENT ON TABLE device_frames IS 'Frame counters that a device has used, 64 a row.';

CREATE TABLE gateway_health (
    gateway_id text PRIMARY KEY,
    receptions bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    interval_s real,  -- running mean between receptions
    clock_skew_s real,  -- running mean of its clock minus the network server's
    clock_skew_weight real NOT NULL,
    clock_skew_count bigint NOT NULL,
    last_clock_skew_s real,  -- mean of the newest batch
    greatest_clock_skew_s real,  -- without sign, ever
    strongest_rssi_dbm real,
    digested_at timestamptz NOT NULL
);
COMMENT ON TABLE gateway_health IS 'How each gateway is doing, by the uplinks that it heard.';

CREATE TABLE series_state (
    series_id integer PRIMARY KEY REFERENCES series,
    last_observed_at timestamptz NOT NULL,
    last_value double precision NOT NULL,
    unchanged_since timestamptz NOT NULL,
    unchanged_count bigint NOT NULL,
    stuck boolean NOT NULL,
    sound_at timestamptz,  -- of the newest value that the rate of change did not rule out
    sound_value double precision
) WITH (fillfactor = 50);
COMMENT ON TABLE series_state IS 'What the next value of a series is compared with.';

-- A digest looks for a batch's rows in the chunks of this range alone.
ALTER TABLE ingest_batch ADD COLUMN observed_from timestamptz;  -- oldest time of its messages and observations
ALTER TABLE ingest_batch ADD COLUMN observed_until timestamptz;  -- newest one; NULL: not known, so everywhere

-- Batches from before messages named theirs: there is nothing to digest in them.
UPDATE ingest_batch
SET digested_at = recorded_at
WHERE batch_id < coalesce((SELECT min(batch_id) FROM message), 9223372036854775807);
