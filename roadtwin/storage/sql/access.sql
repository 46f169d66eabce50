-- name: insert_key
INSERT INTO api_key (name, key_sha256, role, created_at)
VALUES (%(name)s, %(key_sha256)s, %(role)s, %(now)s)
ON CONFLICT (name) DO NOTHING;

-- name: list_keys
SELECT name, role, created_at, revoked_at
FROM api_key
ORDER BY name;

-- name: find_valid_key
SELECT role FROM api_key
WHERE key_sha256 = %(key_sha256)s AND revoked_at IS NULL;

-- name: revoke_key
UPDATE api_key SET revoked_at = %(now)s
WHERE name = %(name)s AND revoked_at IS NULL;

-- name: insert_audit
INSERT INTO audit_log (recorded_at, actor, action, subject, details)
VALUES (%(now)s, %(actor)s, %(action)s, %(subject)s, %(details)s);
