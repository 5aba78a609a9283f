-- name: insert_user$
INSERT INTO users (id, name, password, scopes, created_by) VALUES (:id, :name, :password, :scopes, :created_by)
ON CONFLICT (name) DO NOTHING
RETURNING id;

-- name: list_users
SELECT id, name, scopes, created_at, created_by, disabled_at FROM users
WHERE :name::text IS NULL OR name = :name
ORDER BY name;

-- name: user_to_log_in^
SELECT id, name, password, scopes FROM users WHERE name = :name AND disabled_at IS NULL AND issuer IS NULL;

-- name: change_user$
-- Changes what is not null.
UPDATE users SET password = coalesce(:password, password), scopes = coalesce(:scopes::text[], scopes),
    disabled_at = CASE WHEN :disabled::bool IS NULL THEN disabled_at
                       WHEN :disabled THEN coalesce(disabled_at, clock_timestamp()) END
WHERE name = :name
RETURNING id;

-- name: delete_user$
DELETE FROM users WHERE name = :name RETURNING id;

-- name: user_of_provider^
-- The user that an OpenID Connect provider knows by this subject.
SELECT id, name, scopes, disabled_at FROM users WHERE issuer = :issuer AND subject = :subject FOR UPDATE;

-- name: insert_user_of_provider$
-- Nothing, if the name belongs to another user. No password matches `none`.
INSERT INTO users (id, name, password, scopes, created_by, issuer, subject)
VALUES (:id, :name, 'none', :scopes, :issuer, :issuer, :subject)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: enabled_users
SELECT id FROM users WHERE disabled_at IS NULL;
