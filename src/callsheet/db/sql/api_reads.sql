-- name: receipt
-- The response to a submission: an execution and its jobs.
SELECT e.status AS execution_status, j.id, j.job_id, j.operation, j.queue, j.status, j.reserved_for
FROM executions e JOIN execution_jobs j ON j.execution_id = e.id
WHERE e.id = :execution_id
ORDER BY j.number;

-- name: newest_executions
-- Last event numbers of the newest executions: a cheap way to detect changes.
SELECT id, last_event FROM executions ORDER BY id DESC LIMIT :limit;

-- name: ended_between
-- Jobs that ended between :since and :until, grouped by operation, status and histogram bucket of the run time
-- (:bounds: ascending bucket bounds in seconds). Returns the count and the total run time of each group.
SELECT operation, status, width_bucket(seconds, :bounds::float8[]) AS bucket, count(*) AS jobs, sum(seconds) AS seconds
FROM (SELECT operation, status, greatest(extract(epoch FROM finished_at - started_at), 0)::float8 AS seconds
      FROM execution_jobs
      WHERE finished_at > :since AND finished_at <= :until AND started_at IS NOT NULL) AS ended
GROUP BY 1, 2, 3;

-- name: database_now$
SELECT clock_timestamp();

-- name: count_pending_webhooks$
SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND failed_at IS NULL;
