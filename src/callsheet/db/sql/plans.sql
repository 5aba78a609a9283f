-- name: lock_plan$
-- Serializes changes of one stored plan until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/plans/' || :name, 0))::text;

-- name: newest_plan^
SELECT name, version, document::text AS document, input_names, digest, created_at FROM plans
WHERE name = :name ORDER BY version DESC LIMIT 1;

-- name: plan_version^
SELECT name, version, document::text AS document, input_names, digest, created_at FROM plans
WHERE name = :name AND version = :version;

-- name: insert_plan^
INSERT INTO plans (name, version, document, input_names, digest)
VALUES (:name, :version, :document::jsonb, :input_names, :digest)
RETURNING name, version, document::text AS document, input_names, digest, created_at;

-- name: list_plans
-- The newest version of each plan, by name.
SELECT DISTINCT ON (name) name, version, document::text AS document, input_names, digest, created_at FROM plans
ORDER BY name, version DESC;

-- name: plan_versions
SELECT version, created_at FROM plans WHERE name = :name ORDER BY version DESC;

-- name: count_plans$
SELECT count(DISTINCT name) FROM plans WHERE name <> :name;

-- name: delete_plan!
-- Executions keep the name and version of their plan.
DELETE FROM plans WHERE name = :name;

-- name: insert_batch$
-- The id of the new batch; no row if its key is already used.
INSERT INTO batches (id, name, plan_name, plan_version, size, idempotency_key, body_digest)
VALUES (:id, :name, :plan_name, :plan_version, :size, :key, :body_digest)
ON CONFLICT (idempotency_key) DO NOTHING
RETURNING id;

-- name: batch_by_key^
SELECT id, body_digest FROM batches WHERE idempotency_key = :key;

-- name: list_batches
SELECT id, name, plan_name, plan_version, size, created_at, cancel_requested_at, cancel_next FROM batches
WHERE :before::uuid IS NULL OR id < :before
ORDER BY id DESC LIMIT :limit;

-- name: get_batch^
SELECT id, name, plan_name, plan_version, size, created_at, cancel_requested_at, cancel_next
FROM batches WHERE id = :id;

-- name: batch_counts
-- Executions of batches by status.
SELECT r.batch_id, e.status, count(*) AS executions
FROM plan_runs r JOIN executions e ON e.id = r.execution_id
WHERE r.batch_id = ANY (:ids::uuid[]) GROUP BY 1, 2;

-- name: batch_executions
-- Executions of a batch with one of the statuses, in the order of the table of inputs.
SELECT r.execution_id FROM plan_runs r JOIN executions e ON e.id = r.execution_id
WHERE r.batch_id = :id AND e.status = ANY (:statuses::text[])
ORDER BY r.position;

-- name: request_batch_cancel$
UPDATE batches SET cancel_requested_at = clock_timestamp(), cancel_next = 0 WHERE id = :id RETURNING id;

-- name: lock_cancelling_batch^
-- A batch whose cancellation no other transaction carries out at the moment.
SELECT id, cancel_next FROM batches WHERE cancel_next IS NOT NULL
ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;

-- name: next_batch_executions
-- The next executions of a batch in the order of its table, up to a number of their jobs, but at least one.
SELECT id, position FROM (
    SELECT n.*, sum(n.job_count) OVER (ORDER BY n.position) AS jobs, row_number() OVER (ORDER BY n.position) AS place
    FROM (SELECT e.id, r.position, e.job_count FROM plan_runs r JOIN executions e ON e.id = r.execution_id
          WHERE r.batch_id = :id AND r.position >= :start::int
          ORDER BY r.position LIMIT :max_executions::int) n
) counted
WHERE jobs <= :max_jobs::int OR place = 1
ORDER BY position;

-- name: lock_unfinished_executions
-- Like lock_executions, for those that have not ended.
SELECT id FROM executions WHERE id = ANY (:ids::uuid[]) AND status IN ('queued', 'running')
ORDER BY id FOR NO KEY UPDATE;

-- name: set_batch_cancel_next!
UPDATE batches SET cancel_next = :next::int WHERE id = :id;

-- name: runs_of_executions
SELECT execution_id, plan_name, plan_version, inputs::text AS inputs, batch_id, position FROM plan_runs
WHERE execution_id = ANY (:execution_ids::uuid[]);
