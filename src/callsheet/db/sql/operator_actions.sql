-- name: execution_to_change^
SELECT id, status, unfinished, started_at, awaits_place FROM executions WHERE id = :id FOR NO KEY UPDATE;

-- name: execution_of_job^
SELECT execution_id FROM execution_jobs WHERE id = :id;

-- name: request_executions_cancel!
UPDATE executions SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
WHERE id = ANY (:ids::uuid[]);

-- name: cancel_idle_jobs
-- Cancels jobs that are not running: all of some executions, or one job of one with its child jobs. Skips a queued row that a
-- claim has locked: the claim sees the cancel request of the execution. Waits for a locked waiting row: polls lock it
-- only briefly.
WITH idle AS (
    SELECT id FROM execution_jobs
    WHERE execution_id = ANY (:execution_ids::uuid[]) AND (:job::text IS NULL OR job_id = :job OR starts_with(job_id, :job || '/'))
      AND status IN ('pending', 'scheduled', 'queued')
    FOR NO KEY UPDATE SKIP LOCKED
), waits AS (
    SELECT id FROM execution_jobs
    WHERE execution_id = ANY (:execution_ids::uuid[]) AND (:job::text IS NULL OR job_id = :job OR starts_with(job_id, :job || '/'))
      AND status = 'waiting'
    FOR NO KEY UPDATE
), free AS (
    SELECT id FROM idle UNION ALL SELECT id FROM waits
)
UPDATE execution_jobs j
SET status = 'cancelled', finished_at = clock_timestamp(), cancel_requested_at = clock_timestamp(), scheduled_at = NULL,
    next_poll_at = NULL, held_at = NULL, on_hold_at = NULL, error = NULL
FROM free
WHERE j.id = free.id
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status, j.has_downstream, j.continue_on_failure;

-- name: request_running_jobs_cancel
UPDATE execution_jobs
SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
WHERE execution_id = ANY (:execution_ids::uuid[]) AND (:job::text IS NULL OR job_id = :job OR starts_with(job_id, :job || '/'))
  AND status = 'running'
RETURNING id, execution_id, job_id, worker_id;

-- name: notify_control
SELECT pg_notify(current_schema() || '_control', :message::text);

-- name: retry_states
-- Status of every job of an execution, to decide which jobs a retry runs again.
SELECT id, status, continue_on_failure FROM execution_jobs WHERE execution_id = :execution_id;

-- name: edges_of_execution
SELECT e.upstream, e.downstream
FROM execution_jobs d JOIN edges e ON e.downstream = d.id
WHERE d.execution_id = :execution_id;

-- name: reset_jobs
-- Resets ended jobs for a retry. They wait for the upstream jobs that did not succeed, and with :awaits_place, those that
-- would be ready for the place of their execution. Pending downstream jobs whose
-- dependency on a reset job was already released wait for it again, because it will end a second time.
WITH waits AS (
    SELECT e.downstream, count(*)::int AS jobs
    FROM edges e JOIN execution_jobs u ON u.id = e.upstream
    WHERE e.downstream = ANY (:ids::uuid[])
      AND (u.id = ANY (:ids::uuid[])
           OR NOT (u.status = 'succeeded' OR (u.status = 'failed' AND u.continue_on_failure)))
    GROUP BY 1
), reopened AS (
    SELECT e.downstream, count(*)::int AS jobs
    FROM edges e JOIN execution_jobs u ON u.id = e.upstream
    WHERE e.upstream = ANY (:ids::uuid[]) AND u.status IN ('failed', 'cancelled', 'skipped')
    GROUP BY 1
), wait_again AS (
    UPDATE execution_jobs j
    SET pending_dependencies = j.pending_dependencies + u.jobs
    FROM reopened u
    WHERE j.id = u.downstream AND j.status = 'pending'
)
UPDATE execution_jobs j
SET status = CASE WHEN w.jobs IS NOT NULL OR :awaits_place::bool THEN 'pending'
                  WHEN j.start_at > clock_timestamp() THEN 'scheduled' ELSE 'queued' END,
    pending_dependencies = coalesce(w.jobs, :awaits_place::bool::int), attempts = 0, starts = 0, progress = 0, progress_message = NULL,
    result = NULL, error = NULL, worker_id = NULL, worker_name = NULL, cancel_requested_at = NULL,
    scheduled_at = CASE WHEN w.jobs IS NULL AND NOT :awaits_place::bool AND j.start_at > clock_timestamp() THEN j.start_at END,
    started_at = NULL, finished_at = NULL,
    provider = NULL, submission = NULL, provider_job_id = NULL, provider_job_status = NULL, waiting_strategy = NULL,
    next_poll_at = NULL, poll_attempts = 0, waiting_until = NULL, released_at = NULL,
    queued_at = CASE WHEN w.jobs IS NULL AND NOT :awaits_place::bool THEN clock_timestamp() END
FROM unnest(:ids::uuid[]) AS given (id) LEFT JOIN waits w ON w.downstream = given.id
WHERE j.id = given.id AND j.status IN ('failed', 'cancelled', 'skipped')
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status, j.scheduled_at;

-- name: limits_of_execution^
-- What limits the retry of an execution: its estimate, what it has cost, what that is of the jobs :again, which are
-- submitted again, and the limits of its API key.
SELECT e.api_key, e.estimated_cost::numeric, k.max_running, k.monthly_budget,
       (SELECT coalesce(sum(cost::numeric), 0) FROM execution_jobs WHERE execution_id = e.id) AS cost,
       (SELECT coalesce(sum(cost::numeric), 0) FROM execution_jobs
        WHERE execution_id = e.id AND id = ANY (:again::uuid[])) AS cost_again
FROM executions e LEFT JOIN api_keys k ON k.id = e.api_key
WHERE e.id = :id;

-- name: raise_estimate!
-- Before a retry that submits again: budgets reserve what that costs, besides what the execution has cost already.
UPDATE executions SET estimated_cost = (estimated_cost::numeric + :amount::numeric)::float8 WHERE id = :id;

-- name: recount_execution!
-- Reopens an execution and recounts its jobs.
UPDATE executions e
SET status = CASE WHEN started_at IS NULL OR :awaits_place::bool THEN 'queued' ELSE 'running' END, finished_at = NULL,
    cancel_requested_at = NULL, awaits_place = :awaits_place::bool, unfinished = c.unfinished, failed = c.failed, cancelled = c.cancelled
FROM (SELECT count(*) FILTER (WHERE status NOT IN ('succeeded', 'failed', 'cancelled', 'skipped')) AS unfinished,
             count(*) FILTER (WHERE status = 'failed' AND NOT continue_on_failure) AS failed,
             count(*) FILTER (WHERE status = 'cancelled') AS cancelled
      FROM execution_jobs WHERE execution_id = :id) c
WHERE e.id = :id;

-- name: clear_once_steps!
-- Deletes steps of unknown outcome, so that a retry with resubmit runs them again.
DELETE FROM once_steps WHERE job = ANY (:jobs::uuid[]) AND finished_at IS NULL;
