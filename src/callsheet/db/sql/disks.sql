-- name: record_scratch_spaces!
-- The temporary files of a machine. A clean-up that has removed nothing leaves the figures of the last one.
INSERT INTO scratch_spaces AS s (host, folder, bytes, live_bytes, removable_files, removable_bytes, max_bytes, cleaned_at,
                                 removed_files, removed_bytes)
VALUES (:host, :folder, :bytes, :live_bytes, :removable_files, :removable_bytes, :max_bytes,
        CASE WHEN :removed_files::bigint > 0 THEN clock_timestamp() END, :removed_files, :removed_bytes)
ON CONFLICT (host, folder) DO UPDATE
SET measured_at = clock_timestamp(), bytes = excluded.bytes, live_bytes = excluded.live_bytes,
    removable_files = excluded.removable_files, removable_bytes = excluded.removable_bytes,
    max_bytes = excluded.max_bytes, cleaned_at = coalesce(excluded.cleaned_at, s.cleaned_at),
    removed_files = CASE WHEN excluded.removed_files > 0 THEN excluded.removed_files ELSE s.removed_files END,
    removed_bytes = CASE WHEN excluded.removed_files > 0 THEN excluded.removed_bytes ELSE s.removed_bytes END;

-- name: list_scratch_spaces
SELECT host, folder, measured_at, bytes, live_bytes, removable_files, removable_bytes, max_bytes, cleaned_at,
       removed_files, removed_bytes
FROM scratch_spaces ORDER BY host, folder;

-- name: delete_old_scratch_spaces!
-- Machines on which no process runs any more.
DELETE FROM scratch_spaces WHERE measured_at < statement_timestamp() - interval '1 day';
