-- name: insert_audit_entries!
-- Can be repeated after a lost response.
INSERT INTO audit_entries (id, caller_kind, caller_id, caller_name, session_id, action, target, status, request_id,
                           address)
SELECT * FROM unnest(:ids::uuid[], :kinds::text[], :caller_ids::uuid[], :names::text[], :sessions::uuid[],
                     :actions::text[], :targets::text[], :statuses::int[], :request_ids::text[], :addresses::text[])
ON CONFLICT (id) DO NOTHING;

-- name: list_audit_entries
-- One page, newest first. :before is the last id of the previous page.
SELECT id, at, caller_kind, caller_id, caller_name, session_id, action, target, status, request_id, address
FROM audit_entries
WHERE (:before::uuid IS NULL OR id < :before)
  AND (:caller_id::uuid IS NULL OR caller_id = :caller_id)
  AND (:action::text IS NULL OR action = :action)
  AND (:target::text IS NULL OR starts_with(target, :target))
  AND (:since::timestamptz IS NULL OR at >= :since)
ORDER BY id DESC
LIMIT :limit;

-- name: delete_old_audit_entries$
-- Deletes entries that are older than :max_age seconds. Returns their number.
WITH old AS (
    DELETE FROM audit_entries
    WHERE id IN (SELECT id FROM audit_entries
                 WHERE at < statement_timestamp() - make_interval(secs => :max_age)
                 LIMIT :limit)
    RETURNING id
)
SELECT count(*) AS deleted FROM old;
