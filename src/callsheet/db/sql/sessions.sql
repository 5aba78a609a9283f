-- name: end_session!
INSERT INTO ended_sessions (digest, expires_at) VALUES (:digest, :expires_at) ON CONFLICT (digest) DO NOTHING;

-- name: is_session_ended$
SELECT EXISTS (SELECT FROM ended_sessions WHERE digest = :digest);
