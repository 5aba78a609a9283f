-- name: page_of_jobs
-- Jobs of an execution in their order, after the job :after. :root names a job: then it and its child jobs.
SELECT j.id, j.execution_id, j.job_id, j.operation, j.queue, j.priority, j.status, j.params::text AS params,
       j.result::text AS result, j.error::text AS error, j.progress, j.progress_message,
       j.wait_reason::text AS wait_reason, j.reserved_for, j.attempts, j.max_attempts,
       j.starts, j.epoch, j.timeout_seconds, j.continue_on_failure, j.worker_id, j.worker_name, j.scheduled_at,
       j.cancel_requested_at, j.provider, j.provider_job_id, j.provider_job_status, j.waiting_strategy,
       j.next_poll_at, j.held_at, j.start_at, j.on_hold_at, j.poll_attempts, j.cost, j.cost_source, j.provider_seconds, j.created_at, j.queued_at,
       j.started_at, j.finished_at
FROM execution_jobs j
WHERE j.execution_id = :execution_id
  AND (:statuses::text[] IS NULL OR j.status = ANY (:statuses::text[]))
  AND (:root::text IS NULL OR j.job_id = :root::text OR starts_with(j.job_id, :root::text || '/'))
  AND j.number > coalesce((SELECT a.number FROM execution_jobs a WHERE a.id = :after::uuid), 0)
ORDER BY j.number
LIMIT :limit;

-- name: dependencies_of_jobs
-- The upstream jobs of each of these jobs; `awaited` are those that have not ended.
SELECT d.id, array_agg(u.job_id ORDER BY u.number) AS upstream,
       coalesce(array_agg(u.job_id ORDER BY u.number)
                FILTER (WHERE u.status NOT IN ('succeeded', 'failed', 'cancelled', 'skipped')), '{}') AS awaited
FROM execution_jobs d
JOIN edges e ON e.downstream = d.id
JOIN execution_jobs u ON u.id = e.upstream
WHERE d.id = ANY (:ids::uuid[])
GROUP BY d.id;

-- name: artifacts_of_jobs
-- The newest artifacts of each of these jobs of an execution, up to :limit a job, and the number of all.
SELECT a.id, a.execution_id, a.job, j.job_id, a.name, a.key, a.media_type, a.size, a.sha256, a.probe::text AS probe,
       a.created_at, a.from_unfinished_run, a.of_job
FROM (SELECT *, count(*) OVER (PARTITION BY job) AS of_job, row_number() OVER (PARTITION BY job ORDER BY id DESC) AS place
      FROM artifacts WHERE execution_id = :execution_id AND job = ANY (:ids::uuid[])) a
JOIN execution_jobs j ON j.id = a.job
WHERE a.place <= :limit
ORDER BY a.id DESC;

-- name: failed_jobs_of
-- Plan ids of the first failed jobs of an execution.
SELECT job_id FROM execution_jobs WHERE execution_id = :execution_id AND status = 'failed' ORDER BY number LIMIT :limit;

-- name: graph_nodes
-- The jobs of a plan, without child jobs.
SELECT id, job_id, operation, status, progress, started_at, finished_at
FROM execution_jobs
WHERE execution_id = :execution_id AND position('/' IN job_id) = 0
ORDER BY number
LIMIT :limit;

-- name: graph_edges
-- The dependencies between the jobs of a plan, without child jobs.
SELECT e.upstream, e.downstream
FROM execution_jobs d JOIN edges e ON e.downstream = d.id JOIN execution_jobs u ON u.id = e.upstream
WHERE d.execution_id = :execution_id AND position('/' IN d.job_id) = 0 AND position('/' IN u.job_id) = 0
LIMIT :limit;

-- name: child_job_counts
-- The number of the child jobs below each job of a plan, and of those that have ended.
SELECT split_part(job_id, '/', 1) AS job_id, count(*) AS jobs,
       count(*) FILTER (WHERE status IN ('succeeded', 'failed', 'cancelled', 'skipped')) AS ended
FROM execution_jobs
WHERE execution_id = :execution_id AND position('/' IN job_id) > 0
GROUP BY 1;

-- name: status_events_of_jobs
-- Changes of status of these jobs, among the newest :newest events of their execution.
SELECT job_id, type, at
FROM events
WHERE execution_id = :execution_id
  AND number > (SELECT x.last_event FROM executions x WHERE x.id = :execution_id) - :newest::bigint
  AND job_id = ANY (:job_ids::text[]) AND type = ANY (:types::text[])
ORDER BY number;

-- name: newest_log_lines
-- The newest log lines of an execution, newest first.
SELECT l.number, j.job_id, l.attempt, l.at, l.level, l.logger, l.message
FROM job_logs l JOIN execution_jobs j ON j.id = l.job
WHERE l.execution_id = :execution_id
ORDER BY l.number DESC
LIMIT :limit;

-- name: planned_jobs
-- The jobs of a plan as they were submitted, without child jobs, up to :limit.
SELECT j.job_id, j.operation, j.queue, j.params::text AS params, j.priority, j.continue_on_failure, j.max_attempts,
       j.timeout_seconds,
       ARRAY(SELECT u.job_id FROM edges e JOIN execution_jobs u ON u.id = e.upstream
             WHERE e.downstream = j.id AND position('/' IN u.job_id) = 0 ORDER BY u.number) AS upstream
FROM execution_jobs j
WHERE j.execution_id = :execution_id AND position('/' IN j.job_id) = 0
ORDER BY j.number
LIMIT :limit;

-- name: status_events_of_job
-- The newest changes of the status of a job with their data, newest first, among the newest :newest events of its execution.
SELECT type, at, data::text AS data
FROM events
WHERE execution_id = :execution_id
  AND number > (SELECT x.last_event FROM executions x WHERE x.id = :execution_id) - :newest::bigint
  AND job_id = :job_id AND type = ANY (:types::text[])
ORDER BY number DESC
LIMIT :limit;

-- name: newest_submissions_of_job
-- What a job submitted to providers, the newest first.
SELECT id, step, provider, model, created_at, outcome, accepted_at, provider_job_id, evidence::text AS evidence,
       webhook_received_at, ended, cost, cost_source, seconds, closed_at
FROM submissions
WHERE job = :job
ORDER BY id DESC
LIMIT :limit;

-- name: newest_lines_of_job
-- The newest log lines of a job, newest first.
SELECT l.number, j.job_id, l.attempt, l.at, l.level, l.logger, l.message
FROM job_logs l JOIN execution_jobs j ON j.id = l.job
WHERE l.job = :job
ORDER BY l.number DESC
LIMIT :limit;
