-- The city, its road sections and the segments that we report on.
CREATE TABLE city (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),  -- one city = one database
    name text NOT NULL,
    timezone text NOT NULL,  -- IANA name: every day is a local day of this zone
    simulated boolean NOT NULL DEFAULT FALSE,  -- a simulated city says so on every screen
    scenario jsonb  -- how a simulated city was made: seed, length, period; NULL for a real one
);

CREATE TABLE road_section (
    section_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,  -- which register: koeln, osm, sim, …
    source_section_id text NOT NULL,  -- its id there, as text: leading zeros matter
    source_version text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,  -- NULL: valid now
    name text,
    district text,
    road_class text NOT NULL,  -- main, collector, residential, other
    owner text,  -- Baulastträger; NULL: the city itself
    maintenance_district text,
    warranty_until date,
    inspection_interval_days integer,
    length_m double precision NOT NULL,
    geometry_wkb bytea NOT NULL,  -- LineString, WGS 84, lon lat
    attributes jsonb NOT NULL DEFAULT '{}',
    UNIQUE (source, source_section_id, valid_from)
);
COMMENT ON TABLE road_section IS 'A stretch of road of a register; carries linear referencing (station in metres along its line).';
CREATE UNIQUE INDEX road_section_current ON road_section (source, source_section_id) WHERE valid_to IS NULL;

CREATE TABLE segment (
    segment_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- inside this database only
    public_id text NOT NULL,  -- source:section:from-to, from section and station, never from geometry
    section_id integer NOT NULL REFERENCES road_section,
    nominal_length_m smallint NOT NULL,  -- 100, or 20 nested in 100
    from_station_m double precision NOT NULL,
    to_station_m double precision NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    name text NOT NULL,
    district text NOT NULL,
    road_class text NOT NULL,
    length_m double precision NOT NULL,
    geometry_wkb bytea NOT NULL,
    bounds box NOT NULL,  -- (max lon, max lat), (min lon, min lat): plain PostgreSQL can index it
    mid_lon double precision NOT NULL,
    mid_lat double precision NOT NULL,
    attributes jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE segment IS 'The road stretch we report on: an equal piece of a section''s centreline, undirected.';
-- A section whose line moves keeps its length, and so its segments keep their public ids: the former ones are closed.
CREATE UNIQUE INDEX segment_current ON segment (public_id) WHERE valid_to IS NULL;
CREATE INDEX segment_bounds ON segment USING gist (bounds);
CREATE INDEX segment_section ON segment (section_id, from_station_m);

CREATE TABLE segment_lineage (
    old_segment_id integer NOT NULL REFERENCES segment,
    new_segment_id integer NOT NULL REFERENCES segment,
    share_of_old double precision NOT NULL CHECK (share_of_old > 0 AND share_of_old <= 1),
    PRIMARY KEY (old_segment_id, new_segment_id)
);
COMMENT ON TABLE segment_lineage IS 'Which part of a former segment a re-import gave to which new one.';
