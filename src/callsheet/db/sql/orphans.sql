-- name: insert_orphan_search!
-- Starts a search; the results of earlier ones are deleted, except those that are still at work.
WITH earlier AS (DELETE FROM orphan_searches WHERE status NOT IN ('searching', 'deleting'))
INSERT INTO orphan_searches (id, modified_before, requested_by) VALUES (:id, :modified_before, :requested_by);

-- name: lock_orphan_searches
-- Held while a search is stored, so that there is one at a time.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/orphans', 0));

-- name: newest_orphan_search^
SELECT s.id, s.status, s.modified_before, s.listed, s.deleted, s.deleted_bytes, s.kept, s.error, s.requested_by,
       s.created_at, s.found_at, s.finished_at,
       (SELECT count(*) FROM orphaned_objects o WHERE o.search = s.id) AS files,
       (SELECT coalesce(sum(o.size), 0)::bigint FROM orphaned_objects o WHERE o.search = s.id) AS bytes
FROM orphan_searches s ORDER BY s.id DESC LIMIT 1;

-- name: list_orphans
-- One page, in the order of the keys. :after is the last key of the previous page.
SELECT key, size, modified_at FROM orphaned_objects
WHERE search = :search AND key > :after ORDER BY key LIMIT :limit;

-- name: operations_and_sources
-- Names of operations that workers have, and of sources of intakes.
SELECT DISTINCT unnest(operations) AS name, false AS is_source FROM workers
UNION SELECT DISTINCT unnest(sources), true FROM intakes
UNION SELECT DISTINCT operation, false FROM execution_jobs WHERE status = 'running';

-- name: own_orphan_search^
-- Takes a search whose work is to be done, and that no live process has, for :lease seconds.
UPDATE orphan_searches SET owner = :owner, owned_until = clock_timestamp() + make_interval(secs => :lease)
WHERE id = (SELECT id FROM orphan_searches
            WHERE status IN ('searching', 'deleting') AND owned_until < clock_timestamp()
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, status, modified_before;

-- name: renew_orphan_search^
-- No row: another process has taken the search over.
UPDATE orphan_searches SET owned_until = clock_timestamp() + make_interval(secs => :lease)
WHERE id = :id AND owner = :owner RETURNING id;

-- name: restart_orphan_search!
-- Forgets what a process that died has found.
WITH found AS (DELETE FROM orphaned_objects WHERE search = :id)
UPDATE orphan_searches SET listed = 0 WHERE id = :id;

-- name: record_listed_objects!
UPDATE orphan_searches SET listed = listed + :listed WHERE id = :id;

-- name: end_orphan_search!
-- Ends the search or the deletion of one process.
UPDATE orphan_searches
SET status = :status, error = :error, owned_until = '-infinity',
    found_at = CASE WHEN :status::text = 'found' THEN clock_timestamp() ELSE found_at END,
    finished_at = CASE WHEN :status::text IN ('deleted', 'failed') THEN clock_timestamp() END
WHERE id = :id AND owner = :owner;

-- name: request_orphan_deletion^
UPDATE orphan_searches SET status = 'deleting', requested_by = :requested_by, owned_until = '-infinity'
WHERE id = :id AND status = 'found' RETURNING id;

-- name: insert_orphans!
-- Of these files, those that no row names by their key, and whose job, if they have one, is in no unfinished execution.
INSERT INTO orphaned_objects (search, key, kind, token, texts, size, modified_at)
SELECT :search, c.key, c.kind, c.token, c.texts, c.size, c.modified_at
FROM jsonb_to_recordset(:found::text::jsonb)
     AS c (key text, kind text, token text, texts text[], size bigint, modified_at timestamptz)
WHERE NOT EXISTS (SELECT FROM artifacts a WHERE a.key = c.key)
  AND NOT EXISTS (SELECT FROM uploads u WHERE u.key = c.key)
  AND NOT EXISTS (SELECT FROM object_deletions d WHERE d.key = c.key)
  AND CASE c.kind
      WHEN 'job' THEN NOT EXISTS (SELECT FROM execution_jobs j JOIN executions e ON e.id = j.execution_id
                                  WHERE j.id = c.token::uuid AND e.status IN ('queued', 'running'))
      WHEN 'direct_upload' THEN NOT EXISTS (SELECT FROM uploads u WHERE u.id = c.token::uuid)
      ELSE true END
ON CONFLICT (search, key) DO NOTHING;

-- name: drop_named_orphans$
-- Keeps the files whose key is in any text or JSON of the tables: they are no orphans. Returns their number. What jobs
-- log does not count. It reads all rows of these tables.
WITH texts AS (
    SELECT concat_ws(' ', metadata::text, callback_url) AS text FROM executions
    UNION ALL SELECT concat_ws(' ', params::text, result::text, error::text, wait_reason::text) FROM execution_jobs
    UNION ALL SELECT value::text FROM once_steps
    UNION ALL SELECT data::text FROM events
    UNION ALL SELECT concat_ws(' ', task::text, evidence::text, search_criteria::text) FROM submissions
    UNION ALL SELECT document::text FROM plans
    UNION ALL SELECT inputs::text FROM plan_runs
    UNION ALL SELECT spec::text FROM schedules
    UNION ALL SELECT filter::text FROM saved_views
    UNION ALL SELECT concat_ws(' ', filter::text, failures::text) FROM bulk_actions
    UNION ALL SELECT concat_ws(' ', title, text, comment) FROM approvals
    UNION ALL SELECT claim::text FROM intake_messages
    UNION ALL SELECT body FROM status_pushes
    UNION ALL SELECT data::text FROM outbox
    UNION ALL SELECT last_failure::text FROM failure_streaks
    UNION ALL SELECT concat_ws(' ', facts::text, look) FROM ad_winners
), named AS (
    SELECT DISTINCT o.key
    FROM texts t
    CROSS JOIN LATERAL (
        SELECT DISTINCT m[1] AS token
        FROM regexp_matches(t.text, '[0-9a-f]{64}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g') m
    ) f
    JOIN orphaned_objects o ON o.search = :search AND o.token = f.token
    WHERE EXISTS (SELECT FROM unnest(o.texts) AS x WHERE strpos(t.text, x) > 0)
), gone AS (
    DELETE FROM orphaned_objects o USING named n WHERE o.search = :search AND o.key = n.key RETURNING o.key
)
SELECT count(*) FROM gone;

-- name: lock_orphans
-- The next orphans to delete.
SELECT key, kind, token, size, modified_at FROM orphaned_objects
WHERE search = :search ORDER BY key LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: lock_executions_of_jobs
-- The executions of these jobs, so that none of them is retried until the end of the transaction.
SELECT id FROM executions
WHERE id IN (SELECT execution_id FROM execution_jobs WHERE id = ANY (:jobs::uuid[]))
ORDER BY id FOR NO KEY UPDATE;

-- name: named_orphans
-- Of these orphans, those that are named since the search. Of the texts, only plans and schedules, and executions from
-- :since on, are read again: drop_named_orphans has read the rest.
WITH texts AS MATERIALIZED (
    SELECT j.params::text AS text FROM executions e JOIN execution_jobs j ON j.execution_id = e.id
    WHERE e.id >= :since
    UNION ALL SELECT document::text FROM plans
    UNION ALL SELECT spec::text FROM schedules
)
SELECT o.key FROM orphaned_objects o
WHERE o.search = :search AND o.key = ANY (:keys::text[])
  AND (EXISTS (SELECT FROM artifacts a WHERE a.key = o.key)
       OR EXISTS (SELECT FROM uploads u WHERE u.key = o.key)
       OR CASE o.kind
          WHEN 'job' THEN EXISTS (SELECT FROM execution_jobs j JOIN executions e ON e.id = j.execution_id
                                  WHERE j.id = o.token::uuid AND e.status IN ('queued', 'running'))
          WHEN 'direct_upload' THEN EXISTS (SELECT FROM uploads u WHERE u.id = o.token::uuid)
          ELSE false END
       OR EXISTS (SELECT FROM texts t, unnest(o.texts) AS x WHERE strpos(t.text, x) > 0));

-- name: reserve_upload_key^
-- Keeps clients from announcing an upload with this key until the end of the transaction. No row: one is announced.
INSERT INTO uploads (id, key, sha256, size) VALUES (:id, :key, :sha256, 0)
ON CONFLICT (key) DO NOTHING RETURNING id;

-- name: finish_orphans!
-- Of a batch, the files that are deleted, and all that are done with.
WITH done AS (DELETE FROM orphaned_objects WHERE search = :search AND key = ANY (:keys::text[])
              RETURNING key, size),
total AS (SELECT count(*) FILTER (WHERE key = ANY (:deleted::text[])) AS files,
                 coalesce(sum(size) FILTER (WHERE key = ANY (:deleted::text[])), 0) AS bytes,
                 count(*) FILTER (WHERE key <> ALL (:deleted::text[])) AS kept
          FROM done)
UPDATE orphan_searches s
SET deleted = s.deleted + t.files, deleted_bytes = s.deleted_bytes + t.bytes, kept = s.kept + t.kept
FROM total t WHERE s.id = :search;
