-- name: read_active_model
SELECT
    model_run_id,
    trained_at,
    data_until,
    feature_set_version,
    rule_version,
    library_versions,
    recipe,
    card,
    code_version,
    encode(artefact_sha256, 'hex') AS artefact_sha256,
    length(artefact) AS artefact_bytes
FROM model_run
WHERE active;

-- name: list_comparisons
SELECT
    model_comparison_id,
    compared_at,
    cause,
    champion_run_id,
    challenger_run_id,
    promoted,
    verdict_de,
    verdict_en,
    figures
FROM model_comparison
ORDER BY model_comparison_id DESC
LIMIT %(limit)s;

-- name: read_monitoring
SELECT monitored_at, model_run_id, score_as_of, alarms, figures
FROM model_monitoring
WHERE monitored_at <= %(now)s
ORDER BY monitored_at DESC
LIMIT 1;

-- name: read_alarm_count
SELECT jsonb_array_length(alarms) AS alarm_count
FROM model_monitoring
WHERE monitored_at <= %(now)s
ORDER BY monitored_at DESC
LIMIT 1;

-- name: list_monitored_days
SELECT monitored_at, model_run_id, jsonb_array_length(alarms) AS alarm_count
FROM model_monitoring
WHERE monitored_at <= %(now)s
ORDER BY monitored_at DESC
LIMIT %(limit)s;

-- name: read_trace
-- Everything that a set of scores of one segment came from.
SELECT
    s.as_of,
    s.recorded_at,
    s.code_version,
    m.model_run_id,
    m.trained_at,
    m.data_until,
    m.feature_set_version,
    m.rule_version,
    m.library_versions,
    m.code_version AS model_code_version,
    m.card -> 'feature_set' AS feature_set,
    encode(m.artefact_sha256, 'hex') AS artefact_sha256,
    f.feature_values
FROM score_run AS s
INNER JOIN model_run AS m ON s.model_run_id = m.model_run_id
LEFT JOIN feature_row AS f
    ON s.as_of = f.as_of AND f.segment_id = %(segment_id)s AND m.feature_set_version = f.feature_set_version
WHERE s.as_of = %(as_of)s;

-- name: read_metrics
SELECT
    (SELECT max(as_of) FROM score_run) AS score_as_of,
    (SELECT trained_at FROM model_run WHERE active) AS trained_at,
    (SELECT alarms FROM model_monitoring ORDER BY monitored_at DESC LIMIT 1) AS alarms,
    (SELECT figures FROM model_monitoring ORDER BY monitored_at DESC LIMIT 1) AS figures;
