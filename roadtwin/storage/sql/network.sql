-- name: read_current_sections
SELECT
    section_id, source_section_id, name, district, road_class, owner, maintenance_district, warranty_until,
    inspection_interval_days, length_m, geometry_wkb, attributes
FROM road_section
WHERE source = %(source)s AND valid_to IS NULL;

-- name: reserve_section_ids
SELECT nextval(pg_get_serial_sequence('road_section', 'section_id'))::integer FROM generate_series(1, %(count)s);

-- name: reserve_segment_ids
SELECT nextval(pg_get_serial_sequence('segment', 'segment_id'))::integer FROM generate_series(1, %(count)s);

-- name: copy_sections
COPY road_section (
    section_id, source, source_version, valid_from, source_section_id, name, district, road_class, owner,
    maintenance_district, warranty_until, inspection_interval_days, length_m, geometry_wkb, attributes
) FROM STDIN;

-- name: copy_segments
COPY segment (
    segment_id, valid_from, public_id, section_id, nominal_length_m, from_station_m, to_station_m, name, district,
    road_class, length_m, geometry_wkb, bounds, mid_lon, mid_lat, attributes
) FROM STDIN;

-- name: copy_segment_attributes
COPY segment_attributes (segment_id, recorded_at, attributes) FROM STDIN;

-- name: copy_lineage
COPY segment_lineage (old_segment_id, new_segment_id, share_of_old) FROM STDIN;

-- name: close_sections
UPDATE road_section SET valid_to = %(valid_to)s WHERE section_id = any(%(section_ids)s) AND valid_to IS NULL;

-- name: close_segments
UPDATE segment SET valid_to = %(valid_to)s
WHERE section_id = any(%(section_ids)s) AND valid_to IS NULL
RETURNING segment_id, section_id, from_station_m, to_station_m, geometry_wkb;

-- name: update_section
UPDATE road_section
SET
    name = %(name)s, district = %(district)s, road_class = %(road_class)s, owner = %(owner)s,
    maintenance_district = %(maintenance_district)s, warranty_until = %(warranty_until)s,
    inspection_interval_days = %(inspection_interval_days)s, attributes = %(attributes)s
WHERE section_id = %(section_id)s;

-- name: read_newest_edition
SELECT max(e.recorded_at)
FROM segment AS s
INNER JOIN segment_attributes AS e ON s.segment_id = e.segment_id
WHERE s.section_id = any(%(section_ids)s) AND s.valid_to IS NULL;

-- name: record_attributes_of_section
-- What they are from now on, where that is new.
INSERT INTO segment_attributes (segment_id, recorded_at, attributes)
SELECT s.segment_id, %(recorded_at)s, %(attributes)s
FROM segment AS s
WHERE s.section_id = %(section_id)s AND s.valid_to IS NULL AND s.attributes <> %(attributes)s
ON CONFLICT (segment_id, recorded_at) DO UPDATE SET attributes = excluded.attributes;

-- name: update_segments_of_section
UPDATE segment
SET
    name = coalesce(%(name)s, ''), district = coalesce(%(district)s, ''), road_class = %(road_class)s,
    attributes = %(attributes)s
WHERE section_id = %(section_id)s AND valid_to IS NULL;

-- name: read_nominal_length
SELECT nominal_length_m FROM segment WHERE valid_to IS NULL LIMIT 1;

-- name: read_current_segments
SELECT
    segment_id, public_id, section_id, nominal_length_m, from_station_m, to_station_m, name, district, road_class,
    geometry_wkb, mid_lon, mid_lat
FROM segment
WHERE valid_to IS NULL
ORDER BY segment_id;

-- name: read_successors
-- A closed public id, and the segment that holds the greatest part of it today.
WITH RECURSIVE heir AS (
    SELECT public_id, segment_id, 1.0::double precision AS share FROM segment WHERE valid_to IS NOT NULL
    UNION ALL
    SELECT h.public_id, l.new_segment_id, h.share * l.share_of_old
    FROM heir AS h
    INNER JOIN segment_lineage AS l ON h.segment_id = l.old_segment_id
)
SELECT DISTINCT ON (h.public_id) h.public_id, h.segment_id
FROM heir AS h
INNER JOIN segment AS s ON h.segment_id = s.segment_id AND s.valid_to IS NULL
ORDER BY h.public_id, h.share DESC, h.segment_id;

-- name: read_register_since
WITH known AS (
    SELECT min(known_since) AS known_since FROM register_edition GROUP BY segment_id
)

SELECT max(known_since) FROM known;

-- name: read_bounds
SELECT
    min((bounds[1])[0]) AS west, min((bounds[1])[1]) AS south, max((bounds[0])[0]) AS east, max((bounds[0])[1]) AS north
FROM segment
WHERE valid_to IS NULL;

-- name: read_heirs
-- A closed segment, and the segment that holds the greatest part of it today.
WITH RECURSIVE heir AS (
    SELECT segment_id AS old_segment_id, segment_id, length_m FROM segment WHERE valid_to IS NOT NULL
    UNION ALL
    SELECT h.old_segment_id, l.new_segment_id, h.length_m * l.share_of_old
    FROM heir AS h
    INNER JOIN segment_lineage AS l ON h.segment_id = l.old_segment_id
)
SELECT DISTINCT ON (h.old_segment_id) h.old_segment_id, h.segment_id, h.length_m::double precision
FROM heir AS h
INNER JOIN segment AS s ON h.segment_id = s.segment_id AND s.valid_to IS NULL
ORDER BY h.old_segment_id, h.length_m DESC, h.segment_id;
