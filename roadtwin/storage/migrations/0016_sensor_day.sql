-- What sensors measured by local day: all that is left of a long past that was loaded, and what models learn from.
CREATE TABLE sensor_day (
    series_id integer NOT NULL REFERENCES series,
    day date NOT NULL,  -- local day of the city, over when it was rolled up
    recorded_at timestamptz NOT NULL,  -- a correction is a row with a later recorded_at
    origin text NOT NULL,  -- loaded, or observed when made from observations
    count smallint NOT NULL,  -- values without a flag that makes them unfit; 0: there are none any more
    minimum real,  -- of them, in the unit of the quantity
    mean real,
    maximum real,
    freeze_thaw_cycles smallint,  -- thaws above 1 °C after a frost below −1 °C; NULL: no temperature
    PRIMARY KEY (series_id, day, recorded_at)
);
COMMENT ON TABLE sensor_day IS 'What one series measured on one local day. No row: nothing fit for use.';
CREATE INDEX sensor_day_recorded ON sensor_day (recorded_at);

-- Whoever adds, flags or replaces observations says so here, in the same transaction.
CREATE TABLE sensor_day_touched (
    series_id integer NOT NULL REFERENCES series,
    day date NOT NULL,  -- local day of the city
    PRIMARY KEY (series_id, day)
);
COMMENT ON TABLE sensor_day_touched IS 'Days that have to be rolled up (again) when they are over.';

INSERT INTO sensor_day_touched (series_id, day)
SELECT DISTINCT o.series_id, (o.observed_at AT TIME ZONE c.timezone)::date
FROM observation AS o
INNER JOIN series AS s ON o.series_id = s.series_id
CROSS JOIN city AS c
WHERE s.quantity IN ('surface_temp_c', 'ground_temp_c', 'soil_moisture_pct');

