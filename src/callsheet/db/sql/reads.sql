-- name: list_executions
-- One page, newest first. :before is the last id of the previous page.
SELECT id, name, status, job_count, unfinished, failed, cancelled, last_event, callback_url,
       metadata::text AS metadata, cancel_requested_at, created_at, started_at, finished_at,
       plan_name, plan_version, batch_id, inputs::text AS inputs
FROM executions LEFT JOIN plan_runs ON execution_id = id
WHERE (:statuses::text[] IS NULL OR status = ANY (:statuses::text[]))
  AND (:before::uuid IS NULL OR id < :before)
  AND id >= coalesce(:first_id::uuid, '00000000-0000-0000-0000-000000000000')
  AND id <= coalesce(:last_id::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND (:search::text IS NULL OR name ILIKE :name_pattern OR id::text = :search OR metadata::text ILIKE :metadata_pattern)
  AND (:created_after::timestamptz IS NULL OR created_at >= :created_after)
  AND (:created_before::timestamptz IS NULL OR created_at < :created_before)
  AND (:operation::text IS NULL AND :queue::text IS NULL AND :error_code::text IS NULL
       OR EXISTS (SELECT FROM execution_jobs j
                  WHERE j.execution_id = executions.id
                    AND (:operation::text IS NULL OR j.operation = :operation)
                    AND (:queue::text IS NULL OR j.queue = :queue)
                    AND (:error_code::text IS NULL OR j.status = 'failed' AND j.error ->> 'code' = :error_code)))
  AND (:plan::text IS NULL OR plan_name = :plan)
  AND (:batch::uuid IS NULL OR batch_id = :batch)
  AND (:source::text IS NULL
       OR EXISTS (SELECT FROM intake_messages m WHERE m.execution_id = executions.id AND m.source = :source))
  AND (:api_key::uuid IS NULL OR api_key = :api_key)
ORDER BY id DESC
LIMIT :limit;

-- name: execution_counts
-- Number of executions with each of these statuses, counted up to :most.
SELECT s.status, (SELECT count(*) FROM (SELECT FROM executions e WHERE e.status = s.status LIMIT :most) counted)
           AS executions
FROM unnest(:statuses::text[]) AS s (status);

-- name: jobs_of_executions
SELECT j.id, j.execution_id, j.job_id, j.operation, j.queue, j.priority, j.status, j.params::text AS params,
       j.result::text AS result, j.error::text AS error, j.progress, j.progress_message,
       j.wait_reason::text AS wait_reason, j.reserved_for, j.attempts, j.max_attempts,
       j.starts, j.epoch, j.timeout_seconds, j.continue_on_failure, j.worker_id, j.worker_name, j.scheduled_at,
       j.cancel_requested_at, j.provider, j.provider_job_id, j.provider_job_status, j.waiting_strategy,
       j.next_poll_at, j.held_at, j.start_at, j.on_hold_at, j.poll_attempts, j.cost, j.cost_source, j.provider_seconds, j.created_at, j.queued_at, j.started_at,
       j.finished_at
FROM execution_jobs j
WHERE j.execution_id = ANY (:execution_ids::uuid[])
ORDER BY j.number;

-- name: get_job^
SELECT j.id, j.execution_id, j.job_id, j.operation, j.queue, j.priority, j.status, j.params::text AS params,
       j.result::text AS result, j.error::text AS error, j.progress, j.progress_message,
       j.wait_reason::text AS wait_reason, j.reserved_for, j.attempts, j.max_attempts,
       j.starts, j.epoch, j.timeout_seconds, j.continue_on_failure, j.on_worker_lost, j.worker_id, j.worker_name,
       j.scheduled_at, j.cancel_requested_at, j.provider, j.provider_job_id, j.provider_job_status, j.waiting_strategy,
       j.next_poll_at, j.held_at, j.start_at, j.on_hold_at, j.poll_attempts, j.cost, j.cost_source, j.provider_seconds, j.created_at, j.queued_at, j.started_at,
       j.finished_at
FROM execution_jobs j
WHERE j.id = :id;

-- name: job_summaries
-- Job count and summed progress of each execution, by status.
SELECT execution_id, status, count(*) AS jobs, sum(progress)::float8 AS progress
FROM execution_jobs WHERE execution_id = ANY (:execution_ids::uuid[])
GROUP BY 1, 2;

-- name: get_execution^
SELECT id, name, status, job_count, unfinished, failed, cancelled, last_event, callback_url,
       metadata::text AS metadata, cancel_requested_at, created_at, started_at, finished_at
FROM executions WHERE id = :id;

-- name: executions_by_ids
SELECT id, name, status, job_count, unfinished, failed, cancelled, last_event, callback_url,
       metadata::text AS metadata, cancel_requested_at, created_at, started_at, finished_at,
       plan_name, plan_version, batch_id, inputs::text AS inputs
FROM executions LEFT JOIN plan_runs ON execution_id = id
WHERE id = ANY (:ids::uuid[]);

-- name: dependencies_of
-- The upstream jobs of each job of executions; `awaited` are those that have not ended.
SELECT d.execution_id, d.job_id AS downstream, array_agg(u.job_id ORDER BY u.number) AS upstream,
       coalesce(array_agg(u.job_id ORDER BY u.number)
                FILTER (WHERE u.status NOT IN ('succeeded', 'failed', 'cancelled', 'skipped')), '{}') AS awaited
FROM execution_jobs d
JOIN edges e ON e.downstream = d.id
JOIN execution_jobs u ON u.id = e.upstream
WHERE d.execution_id = ANY (:execution_ids::uuid[])
GROUP BY d.id, d.execution_id, d.job_id;

-- name: upstream_jobs
-- The upstream jobs of a job.
SELECT u.job_id, u.status FROM edges e JOIN execution_jobs u ON u.id = e.upstream
WHERE e.downstream = :id ORDER BY u.number;

-- name: upstream_results
-- Results of the upstream jobs, to resolve references. The result of a failed job (continue_on_failure) is null.
SELECT e.downstream, u.job_id, u.result::text AS result
FROM edges e JOIN execution_jobs u ON u.id = e.upstream
WHERE e.downstream = ANY (:ids::uuid[]);

-- name: queue_depth$
SELECT count(*) FROM execution_jobs WHERE queue = :queue AND status = 'queued';

-- name: has_live_worker$
-- Whether a live worker would start a job of this operation and execution in this queue now.
WITH reserved AS (
    SELECT w.id FROM execution_jobs j JOIN workers w ON w.id = j.reserved_for AND w.lost_at IS NULL
    WHERE j.execution_id = :execution_id::uuid LIMIT 1
)
SELECT EXISTS (SELECT FROM workers
               WHERE lost_at IS NULL AND NOT stopping
                 AND CASE WHEN EXISTS (SELECT FROM reserved) THEN id IN (SELECT id FROM reserved) ELSE NOT only_reserved END
                 AND heartbeat_at > clock_timestamp() - make_interval(secs => :timeout)
                 AND :operation::text = ANY (operations) AND (lanes ->> :queue::text)::int > 0)
   AND NOT EXISTS (SELECT FROM queues WHERE name = :queue AND (paused_at IS NOT NULL OR max_running = 0));

-- name: events_after
-- The next events, up to :limit and about :max_bytes of data, but at least one.
SELECT number, job_id, type, data::text AS data, at
FROM (SELECT *, sum(data_bytes) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) - data_bytes AS bytes_before
      FROM events WHERE execution_id = :execution_id AND number > :after
      ORDER BY number LIMIT :limit) next
WHERE bytes_before < :max_bytes
ORDER BY number;

-- name: followed_events
-- For each execution, up to :limit events with a number greater than :after, with about :max_bytes of data, but at least
-- one; its status, and the number of its newest event.
-- An execution without new events returns no row if it has not ended. One that does not exist has no status.
SELECT f.place, x.status, x.last_event, n.number, n.job_id, n.type, n.data, n.at
FROM unnest(:ids::uuid[], :after::bigint[]) WITH ORDINALITY AS f (id, after, place)
LEFT JOIN executions x ON x.id = f.id
LEFT JOIN LATERAL (
    SELECT number, job_id, type, data::text AS data, at
    FROM (SELECT *, sum(data_bytes) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) - data_bytes AS bytes_before
          FROM events
          WHERE execution_id = f.id AND number > f.after AND x.last_event > f.after
          ORDER BY number LIMIT :limit) next
    WHERE bytes_before < :max_bytes
    ORDER BY number
) n ON true
WHERE x.id IS NULL OR x.last_event > f.after OR x.status IN ('succeeded', 'failed', 'cancelled')
ORDER BY f.place, n.number;

-- name: executions_with_news
-- The places of those executions that have events with a number greater than :after, have ended, or do not exist.
SELECT f.place
FROM unnest(:ids::uuid[], :after::bigint[]) WITH ORDINALITY AS f (id, after, place)
LEFT JOIN executions x ON x.id = f.id
WHERE x.id IS NULL OR x.last_event > f.after OR x.status IN ('succeeded', 'failed', 'cancelled');

-- name: artifacts_of_executions
SELECT a.id, a.execution_id, a.job, j.job_id, a.name, a.key, a.media_type, a.size, a.sha256, a.probe::text AS probe,
       a.created_at, a.from_unfinished_run
FROM artifacts a JOIN execution_jobs j ON j.id = a.job WHERE a.execution_id = ANY (:execution_ids::uuid[]) ORDER BY a.id;

-- name: artifacts_by_ids
-- Those of the artifacts that belong to the execution.
SELECT a.id, a.execution_id, a.job, j.job_id, a.name, a.key, a.media_type, a.size, a.sha256, a.probe::text AS probe,
       a.created_at, a.from_unfinished_run
FROM artifacts a JOIN execution_jobs j ON j.id = a.job
WHERE a.id = ANY (:ids::uuid[]) AND a.execution_id = :execution_id;

-- name: get_artifact^
SELECT a.id, a.execution_id, a.job, j.job_id, a.name, a.key, a.media_type, a.size, a.sha256, a.probe::text AS probe,
       a.created_at, a.from_unfinished_run
FROM artifacts a JOIN execution_jobs j ON j.id = a.job WHERE a.id = :id;

-- name: queue_counts
-- Count of unfinished jobs by queue and status; `on_hold` are pending jobs that a person holds.
-- One SELECT per status: each status has its own partial index, and no index serves them all.
SELECT queue, 'queued' AS status, count(*) AS jobs, min(queued_at) AS oldest
FROM execution_jobs WHERE status = 'queued' GROUP BY 1
UNION ALL
SELECT queue, 'running', count(*), NULL FROM execution_jobs WHERE status = 'running' GROUP BY 1
UNION ALL
SELECT queue, 'scheduled', count(*), NULL FROM execution_jobs WHERE status = 'scheduled' GROUP BY 1
UNION ALL
SELECT queue, 'waiting', count(*), NULL FROM execution_jobs WHERE status = 'waiting' GROUP BY 1
UNION ALL
SELECT queue, 'on_hold', count(*), NULL FROM execution_jobs WHERE on_hold_at IS NOT NULL GROUP BY 1;

-- name: queue_settings
SELECT name, paused_at, max_running, rate_limit, rate_period FROM queues ORDER BY name;

-- name: set_queue^
-- Changes the settings that are not null; `clear_*` removes a limit.
INSERT INTO queues AS q (name, paused_at, max_running, rate_limit, rate_period)
VALUES (:name, CASE WHEN :paused::bool THEN clock_timestamp() END, :max_running::int, :rate_limit::int,
        :rate_period::float8)
ON CONFLICT (name) DO UPDATE
SET paused_at = CASE WHEN :paused::bool IS NULL THEN q.paused_at
                     WHEN :paused::bool THEN coalesce(q.paused_at, clock_timestamp()) END,
    max_running = CASE WHEN :clear_max_running::bool THEN NULL ELSE coalesce(:max_running::int, q.max_running) END,
    rate_limit = CASE WHEN :clear_rate::bool THEN NULL ELSE coalesce(:rate_limit::int, q.rate_limit) END,
    rate_period = CASE WHEN :clear_rate::bool THEN NULL ELSE coalesce(:rate_period::float8, q.rate_period) END
RETURNING name, paused_at, max_running, rate_limit, rate_period,
          pg_notify(current_schema() || '_control', 'queue ' || name), pg_notify(current_schema() || '_ready', name);
