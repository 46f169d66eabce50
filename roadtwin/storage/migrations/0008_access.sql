-- Who may do what, and who did what.
CREATE TABLE api_key (
    api_key_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    key_sha256 bytea NOT NULL UNIQUE,  -- the key itself is shown once and never stored
    role text NOT NULL CHECK (role IN ('viewer', 'editor', 'operator')),
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);

CREATE TABLE audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    actor text NOT NULL,  -- name of the API key, or cli
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb
);

CREATE TABLE alert (
    alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    raised_at timestamptz NOT NULL,
    cleared_at timestamptz,
    kind text NOT NULL,
    subject text NOT NULL,
    details jsonb
);
