-- name: saved_views
-- The views of an owner, and those of all, of one list or of both (null), by name; own ones first.
SELECT owner, list, name, filter, created_by, created_at
FROM saved_views
WHERE (owner IS NULL OR owner = :owner) AND (:list::text IS NULL OR list = :list)
ORDER BY list, lower(name), name, owner NULLS LAST;

-- name: lock_saved_views
-- One transaction at a time counts and adds views.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' saved views', 0));

-- name: count_saved_views$
-- Views of an owner, or of all (null), without the one of this name.
SELECT count(*) FROM saved_views
WHERE owner IS NOT DISTINCT FROM :owner::text AND NOT (list = :list AND name = :name);

-- name: put_saved_view^
INSERT INTO saved_views AS v (id, owner, list, name, filter, created_by)
VALUES (:id, :owner, :list, :name, :filter::jsonb, :created_by)
ON CONFLICT (owner, list, name) DO UPDATE SET filter = excluded.filter, created_by = excluded.created_by, created_at = now()
RETURNING owner, list, name, filter, created_by, created_at;

-- name: delete_saved_view$
DELETE FROM saved_views WHERE owner IS NOT DISTINCT FROM :owner::text AND list = :list AND name = :name RETURNING id;
