-- name: claim
-- Claims up to :free jobs of a queue for a worker: locks the rows, increments their epoch (the fencing token), counts
-- the start and writes the events. Returns nothing for a lost worker. A paused or limited queue returns nothing unless
-- the caller holds its row and has checked the limits (:limits_checked). :only is the id of a worker that runs only the
-- jobs reserved for it; null: all jobs, except those reserved for another live worker. The array of live workers is read
-- only when a reserved job is met; with a subquery per row instead, the planner would make a new plan for every claim.
-- The FULL JOINs return the same rows as inner joins, but exclude nested loops: the planner underestimates how many
-- rows a claim takes and would choose a nested loop.
WITH picked AS (
    SELECT id FROM execution_jobs
    WHERE queue = :queue AND status = 'queued' AND operation = ANY (:operations::text[])
      AND (starts >= :suspect_from) = :suspects::bool
      AND EXISTS (SELECT FROM workers WHERE id = :worker_id AND lost_at IS NULL)
      AND (:only::uuid IS NULL OR reserved_for = :only)
      AND (reserved_for IS NULL OR reserved_for = :only
           OR reserved_for <> ALL (ARRAY(SELECT w.id FROM workers w WHERE w.lost_at IS NULL)))
      AND (:limits_checked::bool OR NOT EXISTS (
          SELECT FROM queues
          WHERE name = :queue AND (paused_at IS NOT NULL OR max_running IS NOT NULL OR rate_limit IS NOT NULL)))
    ORDER BY priority DESC, number
    LIMIT :free
    FOR UPDATE SKIP LOCKED
), started AS (
    UPDATE execution_jobs j
    SET status = 'running', epoch = epoch + 1, starts = starts + 1, worker_id = :worker_id,
        worker_name = :worker_name, started_at = clock_timestamp(), progress_message = NULL, wait_reason = NULL,
        -- A run that continues work elsewhere starts with its progress.
        progress = CASE WHEN submission IS NULL AND on_worker_lost <> 'resume' THEN 0 ELSE progress END
    FROM picked
    WHERE j.id = picked.id
    RETURNING j.id, j.number, j.execution_id, j.job_id, j.operation, j.queue, j.params, j.epoch, j.attempts,
              j.starts, j.max_attempts, j.timeout_seconds, j.priority, j.progress, j.queued_at
), locked AS (
    SELECT e.id, s.jobs, e.status = 'queued' AS starts_execution
    FROM executions e JOIN (SELECT execution_id, count(*) AS jobs FROM started GROUP BY 1) s ON s.execution_id = e.id
    ORDER BY e.id
    FOR NO KEY UPDATE OF e
), updated AS (
    UPDATE executions e
    SET last_event = e.last_event + t.jobs + t.starts_execution::int,
        status = 'running', started_at = coalesce(e.started_at, clock_timestamp())
    FROM locked t
    WHERE e.id = t.id
    RETURNING e.id, e.last_event - t.jobs AS base, t.starts_execution, e.cancel_requested_at, e.traceparent
), new_events AS (
    INSERT INTO events (execution_id, number, job_id, type, data)
    SELECT s.execution_id, c.base + row_number() OVER (PARTITION BY s.execution_id ORDER BY s.number), s.job_id,
           'job.running', jsonb_build_object('attempt', s.attempts + 1, 'epoch', s.epoch, 'worker', :worker_name::text)
    FROM started s FULL JOIN updated c ON c.id = s.execution_id
    UNION ALL
    SELECT c.id, c.base, NULL, 'execution.running', NULL FROM updated c WHERE c.starts_execution
)
SELECT s.*, c.cancel_requested_at IS NOT NULL AS cancel_requested, c.traceparent
FROM started s FULL JOIN updated c ON c.id = s.execution_id
ORDER BY s.priority DESC, s.number;

-- name: lock_limited_queue^
-- Locks the row of a paused or limited queue, so that only one claim at a time counts its slots. No row: no limit.
-- retry_after: seconds until the oldest start leaves the rate period.
SELECT paused_at IS NOT NULL AS paused, max_running, rate_limit,
       (SELECT count(*) FROM unnest(recent_starts) AS start
        WHERE start > clock_timestamp() - make_interval(secs => rate_period)) AS starts_in_period,
       (SELECT extract(epoch FROM min(start) - clock_timestamp()) + rate_period FROM unnest(recent_starts) AS start
        WHERE start > clock_timestamp() - make_interval(secs => rate_period))::float8 AS retry_after
FROM queues
WHERE name = :queue AND (paused_at IS NOT NULL OR max_running IS NOT NULL OR rate_limit IS NOT NULL)
FOR UPDATE;

-- name: count_running$
SELECT count(*) FROM execution_jobs WHERE queue = :queue AND status = 'running';

-- name: record_starts!
-- Appends starts and keeps only the newest rate_limit of them.
UPDATE queues
SET recent_starts = (array_cat(recent_starts, array_fill(clock_timestamp(), ARRAY[:starts::int])))
                    [greatest(1, cardinality(recent_starts) + :starts::int - rate_limit + 1):]
WHERE name = :queue;

-- name: ready_queues
-- Which of these queues have ready jobs. The fallback poll, in case a notification was lost.
SELECT name FROM unnest(:queues::text[]) AS name
WHERE EXISTS (SELECT FROM execution_jobs WHERE queue = name AND status = 'queued');

-- name: queues_with_suspects
-- Which of these queues have ready suspects: jobs whose worker died so often that they run one at a time.
SELECT name FROM unnest(:queues::text[]) AS name
WHERE EXISTS (SELECT FROM execution_jobs WHERE queue = name AND status = 'queued' AND starts >= :suspect_from);

-- name: limited_queues
-- Which of these queues are paused or have a limit.
SELECT name FROM queues
WHERE name = ANY (:queues::text[]) AND (paused_at IS NOT NULL OR max_running IS NOT NULL OR rate_limit IS NOT NULL);
