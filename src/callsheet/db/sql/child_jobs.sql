-- name: insert_child_jobs!
-- Adds child jobs in status queued. Each parent waits for its child jobs; a child job that fails counts as done
-- (continue_on_failure).
WITH given AS (
    SELECT * FROM unnest(:ids::uuid[], :parents::uuid[], :execution_ids::uuid[], :job_ids::text[], :operations::text[],
                         :queues::text[], :priorities::int[], :params::text[], :on_worker_lost::text[],
                         :timeouts::float8[], :max_attempts::int[])
        WITH ORDINALITY AS g (id, parent, execution_id, job_id, operation, queue, priority, params, on_worker_lost,
                              timeout_seconds, max_attempts, place)
), new_jobs AS (
    INSERT INTO execution_jobs (id, execution_id, job_id, operation, queue, priority, status, params, has_downstream,
                                continue_on_failure, on_worker_lost, timeout_seconds, max_attempts, queued_at, reserved_for)
    SELECT id, execution_id, job_id, operation, queue, priority, 'queued', params::jsonb, true,
           true, on_worker_lost, timeout_seconds, max_attempts, clock_timestamp(),
           (SELECT p.reserved_for FROM execution_jobs p WHERE p.id = parent)
    FROM given ORDER BY place
), new_edges AS (
    INSERT INTO edges (upstream, downstream) SELECT id, parent FROM given
)
UPDATE executions e
SET job_count = e.job_count + n.jobs, unfinished = e.unfinished + n.jobs
FROM (SELECT execution_id, count(*) AS jobs FROM given GROUP BY 1) n
WHERE e.id = n.execution_id;

-- name: children_done$
-- Whether a job has child jobs: upstream jobs whose id starts with its own id and a slash.
SELECT EXISTS (
    SELECT FROM edges e JOIN execution_jobs u ON u.id = e.upstream
    WHERE e.downstream = :id AND starts_with(u.job_id, :job_id::text || '/'));
