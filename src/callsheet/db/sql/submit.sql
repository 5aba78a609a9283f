-- name: insert_executions
-- Inserts executions with their jobs, edges and first event, then notifies the queues.
-- One statement, so that an execution is stored completely or not at all.
WITH new_executions AS (
    INSERT INTO executions (id, name, job_count, unfinished, callback_url, metadata, last_event)
    SELECT e.id, e.name, e.job_count, e.job_count, e.callback_url, e.metadata::jsonb, 1
    FROM unnest(:ids::uuid[], :names::text[], :job_counts::int[], :callback_urls::text[], :metadatas::text[])
        AS e (id, name, job_count, callback_url, metadata)
), new_jobs AS (
    INSERT INTO execution_jobs (id, execution_id, job_id, operation, queue, priority, status, params,
                                pending_dependencies, has_downstream, continue_on_failure, on_worker_lost,
                                timeout_seconds, max_attempts, queued_at, reserved_for)
    SELECT j.id, j.execution_id, j.job_id, j.operation, j.queue, j.priority,
           CASE WHEN j.pending_dependencies = 0 THEN 'queued' ELSE 'pending' END,
           j.params::jsonb, j.pending_dependencies, j.has_downstream, j.continue_on_failure, j.on_worker_lost,
           j.timeout_seconds, j.max_attempts,
           CASE WHEN j.pending_dependencies = 0 THEN clock_timestamp() END, j.reserved_for
    FROM unnest(:job_ids::uuid[], :job_executions::uuid[], :job_names::text[], :operations::text[], :queues::text[],
                :priorities::int[], :params::text[], :pending_dependencies::int[], :has_downstream::bool[],
                :continue_on_failure::bool[], :on_worker_lost::text[], :timeouts::float8[], :max_attempts::int[],
                :reserved_for::uuid[])
        AS j (id, execution_id, job_id, operation, queue, priority, params, pending_dependencies, has_downstream,
              continue_on_failure, on_worker_lost, timeout_seconds, max_attempts, reserved_for)
), new_edges AS (
    INSERT INTO edges (upstream, downstream)
    SELECT * FROM unnest(:upstream::uuid[], :downstream::uuid[])
), new_events AS (
    INSERT INTO events (execution_id, number, type, data)
    SELECT e.id, 1, 'execution.queued', jsonb_build_object('jobs', e.job_count)
    FROM unnest(:ids::uuid[], :job_counts::int[]) AS e (id, job_count)
)
SELECT pg_notify('callsheet_ready', queue) FROM unnest(:ready_queues::text[]) AS queue
UNION ALL
SELECT pg_notify('callsheet_events', :event_notification::text);

-- name: store_idempotency_key^
-- Reserves an idempotency key. No row: it is already used.
INSERT INTO idempotency_keys (key, body_digest, execution_id) VALUES (:key, :body_digest, :execution_id)
ON CONFLICT (key) DO NOTHING
RETURNING key;

-- name: find_idempotency_key^
SELECT body_digest, execution_id FROM idempotency_keys WHERE key = :key;
