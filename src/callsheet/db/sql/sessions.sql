-- name: insert_session!
INSERT INTO sessions (id, digest, name, user_id, api_key, credential, address, expires_at)
VALUES (:id, :digest, :name, :user_id, :api_key, :credential, :address, :expires_at);

-- name: open_sessions
SELECT s.id, s.digest, s.name, s.user_id, s.api_key, s.credential, s.address, s.created_at, s.expires_at, u.scopes
FROM sessions s LEFT JOIN users u ON u.id = s.user_id
WHERE s.expires_at > statement_timestamp() AND u.disabled_at IS NULL
ORDER BY s.id DESC;

-- name: end_session_by_digest!
DELETE FROM sessions WHERE digest = :digest;

-- name: end_session_by_id$
DELETE FROM sessions WHERE id = :id RETURNING id;

-- name: end_sessions_of_user!
DELETE FROM sessions WHERE user_id = :user_id;
