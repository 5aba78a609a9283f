-- Moves of jobs by people. Each skips a row that a claim has locked: the caller tries again. It holds the lock of the
-- execution.

-- name: run_job_next
-- Queues a job before all others of its queue.
WITH free AS (
    SELECT id FROM execution_jobs WHERE id = :id AND status IN ('queued', 'scheduled') FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE execution_jobs j
SET status = 'queued', scheduled_at = NULL, start_at = NULL,
    queued_at = CASE WHEN j.status = 'queued' THEN j.queued_at ELSE clock_timestamp() END,
    priority = greatest(j.priority, (SELECT max(q.priority) + 1 FROM execution_jobs q
                                     WHERE q.queue = j.queue AND q.status = 'queued' AND q.id <> j.id))
FROM free
WHERE j.id = free.id
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status;

-- name: hold_job
-- Makes a job wait for its release, as for one more upstream job.
WITH free AS (
    SELECT id FROM execution_jobs
    WHERE id = :id AND status IN ('pending', 'queued', 'scheduled') AND on_hold_at IS NULL
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE execution_jobs j
SET status = 'pending', pending_dependencies = j.pending_dependencies + 1, on_hold_at = clock_timestamp(),
    scheduled_at = NULL, wait_reason = NULL
FROM free
WHERE j.id = free.id
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status;

-- name: release_job
-- Ends the hold of a job. It stays pending while it waits for other jobs.
WITH free AS (
    SELECT id FROM execution_jobs WHERE id = :id AND status = 'pending' AND on_hold_at IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE execution_jobs j
SET pending_dependencies = j.pending_dependencies - 1, on_hold_at = NULL,
    status = CASE WHEN j.pending_dependencies > 1 THEN 'pending'
                  WHEN j.start_at > clock_timestamp() THEN 'scheduled' ELSE 'queued' END,
    scheduled_at = CASE WHEN j.pending_dependencies = 1 AND j.start_at > clock_timestamp() THEN j.start_at END,
    queued_at = CASE WHEN j.pending_dependencies = 1 THEN clock_timestamp() END
FROM free
WHERE j.id = free.id
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status, j.scheduled_at;

-- name: change_queue_of_job
WITH free AS (
    SELECT id FROM execution_jobs WHERE id = :id AND status IN ('pending', 'queued', 'scheduled', 'waiting')
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE execution_jobs j
SET queue = :queue, wait_reason = CASE WHEN j.status = 'waiting' THEN j.wait_reason END
FROM free
WHERE j.id = free.id
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status;

-- name: prioritize_job
WITH free AS (
    SELECT id FROM execution_jobs WHERE id = :id AND status IN ('pending', 'queued', 'scheduled', 'waiting')
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE execution_jobs j
SET priority = :priority
FROM free
WHERE j.id = free.id
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status;

-- name: start_job_later
-- Sets the earliest start of a job. A pending one is scheduled once its upstream jobs have ended.
WITH free AS (
    SELECT id FROM execution_jobs WHERE id = :id AND status IN ('pending', 'queued', 'scheduled')
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE execution_jobs j
SET start_at = :start_at, status = CASE WHEN j.status = 'pending' THEN 'pending' ELSE 'scheduled' END,
    scheduled_at = CASE WHEN j.status <> 'pending' THEN :start_at::timestamptz END, wait_reason = NULL
FROM free
WHERE j.id = free.id
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status, j.scheduled_at;

-- name: next_jobs_of_queue
-- The jobs of a queue in the order in which they start: ready ones, then those that wait for a time or for a release.
SELECT * FROM (
    (SELECT id, execution_id, job_id, operation, priority, status, scheduled_at, on_hold_at, queued_at, number, 1 AS part
     FROM execution_jobs WHERE queue = :queue AND status = 'queued'
     ORDER BY priority DESC, number LIMIT :limit)
    UNION ALL
    (SELECT id, execution_id, job_id, operation, priority, status, scheduled_at, on_hold_at, queued_at, number, 2
     FROM execution_jobs WHERE queue = :queue AND status = 'scheduled' ORDER BY scheduled_at LIMIT :limit)
    UNION ALL
    (SELECT id, execution_id, job_id, operation, priority, status, scheduled_at, on_hold_at, queued_at, number, 3
     FROM execution_jobs WHERE queue = :queue AND on_hold_at IS NOT NULL ORDER BY on_hold_at LIMIT :limit)) q
ORDER BY part, CASE WHEN part = 1 THEN -priority END, CASE WHEN part = 1 THEN number END, coalesce(scheduled_at, on_hold_at);
