-- name: announce_upload^
-- Inserts an upload, or returns the one with the same contents and suffix and marks it as used.
INSERT INTO uploads (id, key, sha256, size) VALUES (:id, :key, :sha256, :size)
ON CONFLICT (key) DO UPDATE
SET used_at = now(), size = CASE WHEN uploads.completed_at IS NULL THEN excluded.size ELSE uploads.size END
RETURNING id, key, sha256, size, media_type, used_at, completed_at;

-- name: other_uploads_size$
-- The size of all uploads but one, in bytes; an incomplete one counts with its announced size.
SELECT coalesce(sum(size), 0)::bigint FROM uploads WHERE key <> :key;

-- name: get_upload^
SELECT id, key, sha256, size, media_type, used_at, completed_at FROM uploads WHERE id = :id;

-- name: list_uploads
-- One page, newest first. :before is the last id of the previous page.
SELECT id, key, sha256, size, media_type, used_at, completed_at FROM uploads
WHERE :before::uuid IS NULL OR id < :before
ORDER BY id DESC
LIMIT :limit;

-- name: lock_upload^
SELECT id, key, sha256, size, media_type, used_at, completed_at FROM uploads WHERE id = :id FOR UPDATE;

-- name: execution_that_uses_upload$
-- An execution that has not ended and has a job that names the upload.
SELECT e.id FROM executions e JOIN execution_jobs j ON j.execution_id = e.id
WHERE e.status IN ('queued', 'running') AND strpos(j.params::text, :key) > 0
LIMIT 1;

-- name: get_upload_by_key^
SELECT id, key, sha256, size, media_type, used_at, completed_at FROM uploads
WHERE key = :key AND completed_at IS NOT NULL;

-- name: complete_upload^
UPDATE uploads SET media_type = :media_type, completed_at = now(), used_at = now() WHERE id = :id
RETURNING id, key, sha256, size, media_type, used_at, completed_at;

-- name: reopen_upload!
-- The stored file has disappeared: its bytes are needed again.
UPDATE uploads SET media_type = NULL, completed_at = NULL WHERE id = :id;

-- name: delete_upload!
DELETE FROM uploads WHERE id = :id;

-- name: mark_uploads_used!
UPDATE uploads SET used_at = now() WHERE key = ANY (:keys::text[]);

-- name: lock_expired_uploads
-- Uploads that were not used for :max_age seconds, except those named by a job of an execution that has not ended.
SELECT u.id, u.key FROM uploads u
WHERE u.used_at < statement_timestamp() - make_interval(secs => :max_age)
  AND NOT EXISTS (
      SELECT FROM executions e JOIN execution_jobs j ON j.execution_id = e.id
      WHERE e.status IN ('queued', 'running') AND strpos(j.params::text, u.key) > 0)
ORDER BY u.used_at
LIMIT :limit
FOR UPDATE OF u SKIP LOCKED;

-- name: delete_uploads!
DELETE FROM uploads WHERE id = ANY (:ids::uuid[]);
