-- Evidence of potholes in one place, so that sections can be derived again one by one, and how far that has come.
CREATE VIEW placed_evidence AS
SELECT
    1::smallint AS kind, d.event_id AS evidence_id, d.detection_no::integer AS part_no, d.observed_at, d.recorded_at,
    m.matched_at, m.section_id, m.segment_id, m.station_m::double precision AS station_m,
    coalesce(r.accuracy_m, 5)::double precision AS accuracy_m,  -- assumed of a reading that gives none
    r.lon, r.lat, r.vehicle_pseudonym || ' ' || r.pass_id AS pass_key, d.width_m, d.depth_m, 0::smallint AS severity,
    r.flags
FROM detection AS d
INNER JOIN vehicle_reading AS r ON d.observed_at = r.observed_at AND d.event_id = r.event_id
INNER JOIN reading_match AS m ON d.observed_at = m.observed_at AND d.event_id = m.event_id
WHERE
    d.class_code = 'D40' AND m.segment_id IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM reading_match AS newer
        WHERE
            newer.observed_at = m.observed_at AND newer.event_id = m.event_id
            AND newer.matcher_version > m.matcher_version AND newer.segment_id IS NOT NULL
    )
UNION ALL
SELECT
    w.kind::smallint, w.record_id, w.part_no::integer, w.observed_at, w.recorded_at, m.matched_at, m.section_id,
    m.segment_id, m.station_m::double precision,
    -- A record that names only its segment stands in the middle: twice a quarter of the length is the segment.
    CASE
        WHEN m.offset_m IS NULL OR w.lon IS NULL THEN s.length_m / 4 ELSE coalesce(w.accuracy_m, 0)::double precision
    END,
    coalesce(w.lon, s.mid_lon), coalesce(w.lat, s.mid_lat), NULL, w.width_m, w.depth_m, w.severity::smallint,
    0::smallint
FROM (
    SELECT
        CASE WHEN kind = 'secured' THEN 5 WHEN method = 'resurfacing' THEN 6 ELSE 4 END AS kind,
        'repair' AS record_kind, record_id, 0 AS part_no, observed_at, recorded_at, accuracy_m, lon, lat,
        NULL::real AS width_m, depth_m, 0 AS severity
    FROM repair
    UNION ALL
    SELECT
        3, 'report', record_id, 0, observed_at, recorded_at, accuracy_m, lon, lat, NULL, NULL, 0
    FROM report
    WHERE category = 'pothole'
    UNION ALL
    SELECT
        2, 'finding', f.record_id, f.finding_no, i.observed_at, i.recorded_at, f.accuracy_m, f.lon, f.lat,
        f.width_m, f.depth_m, f.severity
    FROM inspection_finding AS f
    INNER JOIN inspection AS i ON f.record_id = i.record_id
    WHERE f.class_code = 'D40'
) AS w
INNER JOIN record_match AS m ON w.record_kind = m.record_kind AND w.record_id = m.record_id AND w.part_no = m.part_no
INNER JOIN segment AS s ON m.segment_id = s.segment_id
WHERE
    NOT EXISTS (
        SELECT FROM record_match AS newer
        WHERE
            newer.record_kind = m.record_kind AND newer.record_id = m.record_id AND newer.part_no = m.part_no
            AND newer.matcher_version > m.matcher_version AND newer.segment_id IS NOT NULL
    );
COMMENT ON VIEW placed_evidence IS 'Detections and records that speak of potholes, where the newest matcher put them.';

CREATE TABLE pothole_evidence (
    kind smallint NOT NULL,  -- models.inputs.EvidenceKind
    evidence_id uuid NOT NULL,
    part_no integer NOT NULL,  -- number of the detection or finding within it
    observed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    section_id integer NOT NULL,
    segment_id integer NOT NULL,
    station_m double precision NOT NULL,
    accuracy_m double precision NOT NULL,
    lon double precision NOT NULL,
    lat double precision NOT NULL,
    pass_key text,  -- equal for detections of one pass; NULL: no detection
    width_m real,
    depth_m real,
    severity smallint NOT NULL,  -- as a person graded it; 0: not graded
    flags smallint NOT NULL,  -- of the vehicle reading; 0: a record
    PRIMARY KEY (evidence_id, kind, part_no)
);
COMMENT ON TABLE pothole_evidence IS 'What placed_evidence gave, kept by section; can be made again.';
CREATE INDEX pothole_evidence_section ON pothole_evidence (section_id);
CREATE INDEX pothole_evidence_recorded ON pothole_evidence USING brin (recorded_at);

CREATE TABLE pothole_derivation (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    as_of timestamptz NOT NULL,  -- the table pothole is what the rule says then
    rule_version smallint NOT NULL,
    matcher_version smallint NOT NULL
);
COMMENT ON TABLE pothole_derivation IS 'Where deriving goes on; without its row everything is derived anew.';

-- What was placed since then. Rows come in the order of matching, so this index is tiny.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX reading_match_matched ON reading_match USING brin (matched_at);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX record_match_matched ON record_match USING brin (matched_at);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX segment_day_day ON segment_day USING brin (day);

-- Recorded times between which a hole was known to be open: more than one pair if it was not found in between.
ALTER TABLE pothole ADD COLUMN opened_at timestamptz [];  -- NULL: derived before these were kept
ALTER TABLE pothole ADD COLUMN shut_at timestamptz [];  -- of each spell; infinity: still open
