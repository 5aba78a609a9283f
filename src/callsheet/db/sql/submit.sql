-- name: insert_executions
-- Inserts executions with their jobs, edges and first event, then notifies the queues.
-- One statement, so that they are stored completely or not at all.
-- Most columns arrive as the texts of arrays, '{1,2}': PostgreSQL parses them faster than the client encodes arrays, and
-- the event loop of the client waits while it encodes. :job_ids and :job_executions are arrays because members are read.
-- An execution whose idempotency key is already used is not stored. Its id is returned. Keys are taken in order, so
-- that no two statements wait for each other.
WITH given AS (
    SELECT * FROM unnest(:ids::uuid[], :names::text[], :job_counts::int[], :callback_urls::text[], :metadatas::text[],
                         :keys::text[], :body_digests::bytea[], :api_keys::uuid[], :awaiting_place::bool[],
                         :estimated_costs::float8[], :traceparents::text[])
        AS g (id, name, job_count, callback_url, metadata, key, body_digest, api_key, awaits_place, estimated_cost,
              traceparent)
), new_keys AS (
    INSERT INTO idempotency_keys (key, body_digest, execution_id)
    SELECT key, body_digest, id FROM given WHERE key IS NOT NULL ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING execution_id
), duplicates AS (
    SELECT id FROM given WHERE key IS NOT NULL AND id NOT IN (SELECT execution_id FROM new_keys)
), new_executions AS (
    INSERT INTO executions (id, name, job_count, unfinished, callback_url, metadata, last_event,
                            api_key, awaits_place, estimated_cost, traceparent)
    SELECT id, name, job_count, job_count, callback_url, metadata::jsonb, 1, api_key, awaits_place, estimated_cost,
           traceparent
    FROM given
    WHERE id NOT IN (SELECT id FROM duplicates)
), new_jobs AS (
    INSERT INTO execution_jobs (id, execution_id, job_id, operation, queue, priority, status, params,
                                pending_dependencies, has_downstream, continue_on_failure, on_worker_lost,
                                timeout_seconds, max_attempts, queued_at, reserved_for, start_at, scheduled_at)
    SELECT j.id, j.execution_id, j.job_id, j.operation, j.queue, j.priority,
           CASE WHEN j.pending_dependencies > 0 THEN 'pending'
                WHEN j.start_at > clock_timestamp() THEN 'scheduled' ELSE 'queued' END,
           j.params::jsonb, j.pending_dependencies, j.has_downstream, j.continue_on_failure, j.on_worker_lost,
           j.timeout_seconds, j.max_attempts,
           CASE WHEN j.pending_dependencies = 0 THEN clock_timestamp() END, j.reserved_for, j.start_at,
           CASE WHEN j.pending_dependencies = 0 AND j.start_at > clock_timestamp() THEN j.start_at END
    FROM unnest(:job_ids::uuid[], :job_executions::uuid[], :job_names::text::text[],
                :operations::text::text[], :queues::text::text[], :priorities::text::int[], :params::text::text[],
                :pending_dependencies::text::int[], :has_downstream::text::bool[], :continue_on_failure::text::bool[],
                :on_worker_lost::text::text[], :timeouts::text::float8[], :max_attempts::text::int[],
                :reserved_for::text::uuid[], :start_ats::text::timestamptz[])
        AS j (id, execution_id, job_id, operation, queue, priority, params, pending_dependencies, has_downstream,
              continue_on_failure, on_worker_lost, timeout_seconds, max_attempts, reserved_for, start_at)
    WHERE j.execution_id NOT IN (SELECT id FROM duplicates)
), new_edges AS (
    INSERT INTO edges (upstream, downstream)
    SELECT (:job_ids::uuid[])[e.upstream], (:job_ids::uuid[])[e.downstream]
    FROM unnest(:upstream::text::int[], :downstream::text::int[]) AS e (upstream, downstream)
    WHERE (:job_executions::uuid[])[e.upstream] NOT IN (SELECT id FROM duplicates)
), new_events AS (
    INSERT INTO events (execution_id, number, type, data)
    SELECT id, 1, 'execution.queued', jsonb_build_object('jobs', job_count)
    FROM given
    WHERE id NOT IN (SELECT id FROM duplicates)
), new_runs AS (
    INSERT INTO plan_runs (execution_id, plan_name, plan_version, inputs, batch_id, position)
    SELECT r.execution_id, r.plan_name, r.plan_version, r.inputs::jsonb, r.batch_id, r.position
    FROM unnest(:run_executions::uuid[], :run_plans::text[], :run_versions::int[], :run_inputs::text[],
                :run_batches::uuid[], :run_positions::int[])
        AS r (execution_id, plan_name, plan_version, inputs, batch_id, position)
    WHERE r.execution_id NOT IN (SELECT id FROM duplicates)
), notifications AS (
    SELECT pg_notify(current_schema() || '_ready', queue) FROM unnest(:ready_queues::text[]) AS queue
    UNION ALL
    SELECT pg_notify(current_schema() || '_events', payload) FROM unnest(:event_notifications::text[]) AS payload
)
SELECT NULL::uuid AS duplicate FROM notifications
UNION ALL
SELECT id FROM duplicates;

-- name: find_idempotency_keys
SELECT key, body_digest, execution_id FROM idempotency_keys WHERE key = ANY (:keys::text[]);
