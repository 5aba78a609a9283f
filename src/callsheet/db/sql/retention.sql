-- name: used_ids
-- Ids of artifacts and jobs whose files are still needed: all ids in the params of unfinished jobs, in schedules, in
-- stored plans and in open approvals. :after: only of executions after this id.
WITH texts AS (
    SELECT j.params::text AS text
    FROM executions e JOIN execution_jobs j ON j.execution_id = e.id
    WHERE e.status IN ('queued', 'running') AND (:after::uuid IS NULL OR e.id > :after)
      AND j.status IN ('pending', 'scheduled', 'queued', 'running', 'waiting')
    UNION ALL SELECT spec::text FROM schedules
    UNION ALL SELECT document::text FROM plans
    UNION ALL SELECT unnest(previews)::text FROM approvals WHERE outcome IS NULL
)
SELECT DISTINCT found[1]::uuid AS id
FROM texts, regexp_matches(text, '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'gi') AS found;

-- name: lock_expired_executions
-- Ended executions of a retention rule, oldest first, from :after on. :keys: only of these API keys; null: of all others
-- than :other_keys. :before_id: a smaller id was created before :before.
SELECT e.id, e.job_count FROM executions e
WHERE e.status = :status AND e.id > :after AND e.id < :before_id AND e.finished_at < :before
  AND CASE WHEN :keys::uuid[] IS NULL THEN e.api_key IS NULL OR e.api_key <> ALL (:other_keys::uuid[])
           ELSE e.api_key = ANY (:keys::uuid[]) END
  AND e.metadata ->> 'keep' IS DISTINCT FROM 'true'
  AND NOT EXISTS (SELECT FROM intake_messages m WHERE m.execution_id = e.id AND m.closed_at IS NULL)
  AND NOT EXISTS (SELECT FROM execution_jobs j JOIN submissions s ON s.job = j.id
                  WHERE j.execution_id = e.id AND s.cancel_at IS NOT NULL)
  AND NOT EXISTS (SELECT FROM artifacts a WHERE a.execution_id = e.id
                  AND (a.id = ANY (:used::uuid[]) OR a.job = ANY (:used::uuid[])))
ORDER BY e.id LIMIT :limit
FOR UPDATE OF e SKIP LOCKED;

-- name: count_expired_executions^
-- What lock_expired_executions finds in all, with the number and the size of the files.
SELECT count(*) AS executions, coalesce(sum(a.files), 0)::bigint AS files, coalesce(sum(a.bytes), 0)::bigint AS bytes
FROM executions e
LEFT JOIN LATERAL (SELECT count(*) AS files, sum(size) AS bytes FROM artifacts WHERE execution_id = e.id) a ON true
WHERE e.status = :status AND e.id < :before_id AND e.finished_at < :before
  AND CASE WHEN :keys::uuid[] IS NULL THEN e.api_key IS NULL OR e.api_key <> ALL (:other_keys::uuid[])
           ELSE e.api_key = ANY (:keys::uuid[]) END
  AND e.metadata ->> 'keep' IS DISTINCT FROM 'true'
  AND NOT EXISTS (SELECT FROM intake_messages m WHERE m.execution_id = e.id AND m.closed_at IS NULL)
  AND NOT EXISTS (SELECT FROM execution_jobs j JOIN submissions s ON s.job = j.id
                  WHERE j.execution_id = e.id AND s.cancel_at IS NOT NULL)
  AND NOT EXISTS (SELECT FROM artifacts a WHERE a.execution_id = e.id
                  AND (a.id = ANY (:used::uuid[]) OR a.job = ANY (:used::uuid[])));

-- name: lock_execution_to_delete^
SELECT id, status,
       EXISTS (SELECT FROM intake_messages m WHERE m.execution_id = e.id AND m.closed_at IS NULL) AS is_reported_later,
       EXISTS (SELECT FROM execution_jobs j JOIN submissions s ON s.job = j.id
               WHERE j.execution_id = e.id AND s.cancel_at IS NOT NULL) AS is_cancelled_later
FROM executions e WHERE id = :id FOR UPDATE;

-- name: artifacts_in_use
-- Names of the files of an execution that are still needed. See used_ids.
SELECT name FROM artifacts WHERE execution_id = :id AND (id = ANY (:used::uuid[]) OR job = ANY (:used::uuid[]));

-- name: delete_executions^
-- Deletes executions, whose rows are locked, with all that belongs to them. Their files are listed in object_deletions.
-- Webhooks stay as long as others. Returns what was deleted.
WITH jobs AS (DELETE FROM execution_jobs WHERE execution_id = ANY (:ids::uuid[]) RETURNING id, execution_id),
steps AS (DELETE FROM once_steps WHERE job IN (SELECT id FROM jobs)),
dependencies AS (DELETE FROM edges WHERE upstream IN (SELECT id FROM jobs)),
requests AS (
    DELETE FROM submissions WHERE job IN (SELECT id FROM jobs)
    RETURNING job, provider, model, created_at, cost, cost_source
),
costs AS (
    INSERT INTO deleted_costs AS d (day, api_key, provider, model, amount, submissions, from_price)
    SELECT (r.created_at AT TIME ZONE 'UTC')::date, e.api_key, r.provider, r.model, sum(r.cost), count(*),
           count(*) FILTER (WHERE r.cost_source = 'price')
    FROM requests r JOIN jobs j ON j.id = r.job JOIN executions e ON e.id = j.execution_id
    WHERE r.cost IS NOT NULL
    GROUP BY 1, 2, 3, 4
    ON CONFLICT (day, api_key, provider, model) DO UPDATE
    SET amount = d.amount + excluded.amount, submissions = d.submissions + excluded.submissions,
        from_price = d.from_price + excluded.from_price
),
history AS (DELETE FROM events WHERE execution_id = ANY (:ids::uuid[])),
files AS (DELETE FROM artifacts WHERE execution_id = ANY (:ids::uuid[]) RETURNING key, size),
objects AS (INSERT INTO object_deletions (key, size) SELECT key, size FROM files ON CONFLICT (key) DO NOTHING),
gone AS (DELETE FROM executions WHERE id = ANY (:ids::uuid[]) RETURNING id)
SELECT (SELECT count(*) FROM gone) AS executions, (SELECT count(*) FROM jobs) AS jobs,
       (SELECT count(*) FROM files) AS files, (SELECT coalesce(sum(size), 0)::bigint FROM files) AS bytes;

-- name: try_lock_clean_up$
-- One process at a time deletes.
SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || '/clean-up', 0));

-- name: lock_object_deletions
SELECT key FROM object_deletions ORDER BY key LIMIT :limit FOR UPDATE SKIP LOCKED;

-- name: finish_object_deletions!
DELETE FROM object_deletions WHERE key = ANY (:keys::text[]);

-- name: delete_empty_batches!
-- Batches whose executions were all deleted.
DELETE FROM batches b
WHERE b.created_at < statement_timestamp() - interval '1 day'
  AND NOT EXISTS (SELECT FROM plan_runs r WHERE r.batch_id = b.id);

-- name: keys_by_name
SELECT id, name FROM api_keys WHERE name = ANY (:names::text[]);
