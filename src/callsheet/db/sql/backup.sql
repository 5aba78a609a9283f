-- name: lock_backup$
-- The connection holds the lock until it is closed. Meanwhile no file of the storage that a row names is deleted.
SELECT pg_advisory_lock(hashtextextended(current_schema() || '/backup', 0));

-- name: may_delete_files$
-- Whether files of the storage may be deleted in this transaction: not while a backup is made, which needs them.
SELECT pg_try_advisory_xact_lock_shared(hashtextextended(current_schema() || '/backup', 0));

-- name: export_snapshot^
SELECT pg_export_snapshot() AS snapshot, now() AS time, current_setting('server_version') AS version;

-- name: table_names
SELECT c.relname::text AS name FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1;

-- name: files_of_rows
-- The files of the storage that must be there.
SELECT key, size, sha256 FROM artifacts
UNION ALL SELECT key, size, sha256 FROM uploads WHERE completed_at IS NOT NULL;
