-- name: find_api_key
SELECT name, role FROM api_key WHERE key_sha256 = %(key_sha256)s AND revoked_at IS NULL;

-- name: write_audit
INSERT INTO audit_log (recorded_at, actor, action, subject, details)
VALUES (%(recorded_at)s, %(actor)s, %(action)s, %(subject)s, %(details)s);
