-- name: retire_model_runs
UPDATE model_run SET active = FALSE WHERE active;

-- name: insert_model_run
INSERT INTO model_run (
    trained_at, data_until, feature_set_version, rule_version, library_versions, recipe, card, artefact, artefact_sha256,
    active
)
VALUES (
    %(trained_at)s, %(data_until)s, %(feature_set_version)s, %(rule_version)s, %(library_versions)s, %(recipe)s, %(card)s,
    %(artefact)s, %(artefact_sha256)s, TRUE
)
RETURNING model_run_id;

-- name: read_active_model_run
SELECT
    model_run_id, trained_at, data_until, feature_set_version, rule_version, library_versions, recipe, card, artefact,
    artefact_sha256
FROM model_run
WHERE active;
