-- name: access_version$
SELECT version FROM access_version;

-- name: insert_key!
INSERT INTO api_keys (id, name, prefix, digest, scopes, rate_limit, max_running, monthly_budget, created_by, expires_at)
VALUES (:id, :name, :prefix, :digest, :scopes, :rate_limit, :max_running, :monthly_budget, :created_by, :expires_at);

-- name: usable_keys
-- The keys that were not revoked. They may have expired.
SELECT id, name, prefix, digest, scopes, rate_limit, max_running, monthly_budget, expires_at
FROM api_keys WHERE revoked_at IS NULL;

-- name: has_access_rules$
-- Whether a key was ever created, or there is a user. Then there is no access without one.
SELECT EXISTS (SELECT FROM api_keys) OR EXISTS (SELECT FROM users);

-- name: list_keys
SELECT id, name, prefix, scopes, rate_limit, max_running, monthly_budget, created_at, created_by, expires_at, revoked_at,
       last_used_at
FROM api_keys
WHERE :id::uuid IS NULL OR id = :id
ORDER BY id DESC;

-- name: revoke_key^
UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = :id RETURNING id;

-- name: mark_key_used!
UPDATE api_keys SET last_used_at = clock_timestamp()
WHERE id = :id AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute');
