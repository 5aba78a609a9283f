-- name: receipt
-- The response to a submission: an execution and its jobs.
SELECT e.status AS execution_status, e.estimated_cost, j.id, j.job_id, j.operation, j.queue, j.status, j.reserved_for
FROM executions e JOIN execution_jobs j ON j.execution_id = e.id
WHERE e.id = :execution_id
ORDER BY j.number;

-- name: newest_executions
-- Last event numbers of the newest executions: a cheap way to detect changes.
SELECT id, last_event FROM executions ORDER BY id DESC LIMIT :limit;
