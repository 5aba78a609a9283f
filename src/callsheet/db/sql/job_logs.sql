-- name: insert_job_logs!
-- Stores log lines in this order. Lines of deleted executions are dropped. The caller holds the locks of
-- lock_executions.
INSERT INTO job_logs (execution_id, job, attempt, at, level, logger, message)
SELECT g.execution_id, g.job, g.attempt, g.at, g.level, g.logger, g.message
FROM unnest(:execution_ids::uuid[], :jobs::uuid[], :attempts::int[], :times::timestamptz[], :levels::text[],
            :loggers::text[], :messages::text[])
    WITH ORDINALITY AS g (execution_id, job, attempt, at, level, logger, message, place)
WHERE EXISTS (SELECT FROM executions e WHERE e.id = g.execution_id)
ORDER BY g.place;

-- name: execution_logs_after
SELECT l.number, j.job_id, l.attempt, l.at, l.level, l.logger, l.message
FROM job_logs l JOIN execution_jobs j ON j.id = l.job
WHERE l.execution_id = :execution_id AND l.number > :after
ORDER BY l.number
LIMIT :limit;

-- name: job_logs_after
SELECT l.number, j.job_id, l.attempt, l.at, l.level, l.logger, l.message
FROM job_logs l JOIN execution_jobs j ON j.id = l.job
WHERE l.job = :job AND l.number > :after
ORDER BY l.number
LIMIT :limit;

-- name: job_by_plan_id^
SELECT id, status FROM execution_jobs WHERE execution_id = :execution_id AND job_id = :job_id;
