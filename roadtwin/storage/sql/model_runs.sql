-- name: lock_training
SELECT pg_advisory_lock(%(key)s);

-- name: unlock_training
SELECT pg_advisory_unlock(%(key)s);

-- name: lock_model_runs
-- Who is active is decided by one transaction at a time; reading goes on.
LOCK TABLE model_run IN SHARE ROW EXCLUSIVE MODE;

-- name: retire_model_runs
UPDATE model_run SET active = FALSE WHERE active;

-- name: activate_model_run
UPDATE model_run SET active = TRUE WHERE model_run_id = %(model_run_id)s;

-- name: insert_model_run
INSERT INTO model_run (
    trained_at, data_until, feature_set_version, rule_version, library_versions, recipe, card, artefact, artefact_sha256,
    active, code_version, drift_reference
)
VALUES (
    %(trained_at)s, %(data_until)s, %(feature_set_version)s, %(rule_version)s, %(library_versions)s, %(recipe)s, %(card)s,
    %(artefact)s, %(artefact_sha256)s, FALSE, %(code_version)s, %(drift_reference)s
)
RETURNING model_run_id;

-- name: read_active_model_run
SELECT
    model_run_id, trained_at, data_until, feature_set_version, rule_version, library_versions, recipe, card, artefact,
    artefact_sha256, active, code_version, drift_reference
FROM model_run
WHERE active;

-- name: read_model_run
SELECT
    model_run_id, trained_at, data_until, feature_set_version, rule_version, library_versions, recipe, card, artefact,
    artefact_sha256, active, code_version, drift_reference
FROM model_run
WHERE model_run_id = %(model_run_id)s;

-- name: list_model_runs
SELECT
    model_run_id, trained_at, data_until, feature_set_version, active, code_version, encode(artefact_sha256, 'hex'),
    card
FROM model_run
ORDER BY model_run_id DESC;

-- name: read_last_training
SELECT max(trained_at) FROM model_run;

-- name: insert_comparison
INSERT INTO model_comparison (
    compared_at, cause, champion_run_id, challenger_run_id, promoted, verdict_de, verdict_en, figures
)
VALUES (
    %(compared_at)s, %(cause)s, %(champion_run_id)s, %(challenger_run_id)s, %(promoted)s, %(verdict_de)s, %(verdict_en)s,
    %(figures)s
)
RETURNING model_comparison_id;

-- name: list_comparisons
SELECT
    model_comparison_id, compared_at, cause, champion_run_id, challenger_run_id, promoted, verdict_de, verdict_en, figures
FROM model_comparison
WHERE %(model_run_id)s::integer IS NULL OR %(model_run_id)s IN (champion_run_id, challenger_run_id)
ORDER BY model_comparison_id DESC
LIMIT %(limit)s;

-- name: insert_audit
INSERT INTO audit_log (recorded_at, actor, action, subject, details)
VALUES (%(now)s, %(actor)s, %(action)s, %(subject)s, %(details)s);
