-- name: write_city
INSERT INTO city (name, timezone, simulated) VALUES (%(name)s, %(timezone)s, %(simulated)s)
ON CONFLICT (only_row) DO UPDATE SET name = excluded.name, timezone = excluded.timezone, simulated = excluded.simulated;

-- name: read_city
SELECT name, timezone, simulated, scenario FROM city;

-- name: write_scenario
UPDATE city SET scenario = %(scenario)s WHERE simulated;
