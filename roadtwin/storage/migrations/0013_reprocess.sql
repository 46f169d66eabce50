-- Kept messages decoded again with a fixed profile or codec: new rows, and an end mark on those that they replace.
ALTER TABLE observation ADD COLUMN superseded_at timestamptz;  -- NULL: in force; else until then, and never again
ALTER TABLE observation ADD COLUMN message_recorded_at timestamptz;  -- arrival of its message, where it was reprocessed
COMMENT ON COLUMN observation.superseded_at IS 'In force at t: recorded_at <= t AND (superseded_at IS NULL OR superseded_at > t). Values never change.';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX observation_reprocessed ON observation (message_recorded_at) WHERE message_recorded_at IS NOT NULL;

ALTER TABLE rejected_message ADD COLUMN reprocessed_at timestamptz;  -- when a newer parser took it; NULL: never

CREATE OR REPLACE VIEW observation_hour AS
SELECT
    series_id,
    profile_version,
    date_trunc('hour', observed_at, 'UTC') AS hour,  -- begin of the hour
    count(*) AS count,
    sum(value) AS sum,
    min(value) AS minimum,
    max(value) AS maximum
FROM observation
WHERE flags & 65 = 0 AND superseded_at IS NULL  -- without Flag.RANGE (1) and Flag.SENTINEL (64)
GROUP BY series_id, profile_version, date_trunc('hour', observed_at, 'UTC');
