-- name: receipt
-- An execution and its jobs, as short as a client needs them after submitting.
SELECT e.status AS execution_status, j.id, j.job_id, j.operation, j.queue, j.status
FROM executions e JOIN execution_jobs j ON j.execution_id = e.id
WHERE e.id = :execution_id
ORDER BY j.number;

-- name: newest_executions
-- Where the newest executions stand, for seeing cheaply which of them changed.
SELECT id, last_event FROM executions ORDER BY id DESC LIMIT :most;

-- name: ended_between
-- Jobs that ended in a span of time, by operation, status and how many of :bounds (ascending, seconds) their run
-- reached: how many, and how long they ran in all.
SELECT operation, status, width_bucket(seconds, :bounds::float8[]) AS bucket, count(*) AS jobs, sum(seconds) AS seconds
FROM (SELECT operation, status, greatest(extract(epoch FROM finished_at - started_at), 0)::float8 AS seconds
      FROM execution_jobs
      WHERE finished_at > :since AND finished_at <= :until AND started_at IS NOT NULL) AS ended
GROUP BY 1, 2, 3;

-- name: database_now$
SELECT clock_timestamp();

-- name: count_pending_webhooks$
SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL;
