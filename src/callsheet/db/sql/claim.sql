-- name: claim
-- Gives this worker up to :free jobs of a queue: takes the rows, raises their epoch, counts the start, writes the
-- events. The full joins find what plain ones would, and cannot be done by nested loops: the planner does not know how
-- many rows a claim takes, and would loop. A queue that is paused or limited gives nothing, except to who holds its row and has counted the slots.
WITH picked AS (
    SELECT id FROM execution_jobs
    WHERE queue = :queue AND status = 'queued' AND operation = ANY (:operations::text[])
      AND (starts >= :suspect_from) = :suspects::bool
      AND EXISTS (SELECT FROM workers WHERE id = :worker_id AND lost_at IS NULL)
      AND (:only::uuid IS NULL OR execution_id = :only)
      AND (:seats_counted::bool OR NOT EXISTS (
          SELECT FROM queues
          WHERE name = :queue AND (paused_at IS NOT NULL OR max_running IS NOT NULL OR rate_limit IS NOT NULL)))
    ORDER BY priority DESC, number
    LIMIT :free
    FOR UPDATE SKIP LOCKED
), started AS (
    UPDATE execution_jobs j
    SET status = 'running', epoch = epoch + 1, starts = starts + 1, worker_id = :worker_id,
        worker_name = :worker_name, started_at = clock_timestamp(), progress_message = NULL,
        progress = CASE WHEN submission IS NULL THEN 0 ELSE progress END
    FROM picked
    WHERE j.id = picked.id
    RETURNING j.id, j.number, j.execution_id, j.job_id, j.operation, j.queue, j.params, j.epoch, j.attempts,
              j.starts, j.max_attempts, j.timeout_seconds, j.has_downstream, j.priority
), touched AS (
    SELECT e.id, s.jobs, e.status = 'queued' AS begins
    FROM executions e JOIN (SELECT execution_id, count(*) AS jobs FROM started GROUP BY 1) s ON s.execution_id = e.id
    ORDER BY e.id
    FOR NO KEY UPDATE OF e
), counted AS (
    UPDATE executions e
    SET last_event = e.last_event + t.jobs + t.begins::int,
        status = 'running', started_at = coalesce(e.started_at, clock_timestamp())
    FROM touched t
    WHERE e.id = t.id
    RETURNING e.id, e.last_event - t.jobs AS base, t.begins, e.cancel_requested_at
), numbered AS (
    INSERT INTO events (execution_id, number, job_id, type, data)
    SELECT s.execution_id, c.base + row_number() OVER (PARTITION BY s.execution_id ORDER BY s.number), s.job_id,
           'job.running', jsonb_build_object('attempt', s.attempts + 1, 'epoch', s.epoch, 'worker', :worker_name::text)
    FROM started s FULL JOIN counted c ON c.id = s.execution_id
    UNION ALL
    SELECT c.id, c.base, NULL, 'execution.running', NULL FROM counted c WHERE c.begins
)
SELECT s.*, c.cancel_requested_at IS NOT NULL AS cancel_requested
FROM started s FULL JOIN counted c ON c.id = s.execution_id
ORDER BY s.priority DESC, s.number;

-- name: lock_limited_queue^
-- Holds the row of a paused or limited queue, so that one claim at a time counts its slots. No row: not limited.
SELECT paused_at IS NOT NULL AS paused, max_running, rate_limit,
       (SELECT count(*) FROM unnest(recent_starts) AS start
        WHERE start > clock_timestamp() - make_interval(secs => rate_period)) AS starts_in_period,
       (SELECT extract(epoch FROM min(start) - clock_timestamp()) + rate_period FROM unnest(recent_starts) AS start
        WHERE start > clock_timestamp() - make_interval(secs => rate_period))::float8 AS next_in
FROM queues
WHERE name = :queue AND (paused_at IS NOT NULL OR max_running IS NOT NULL OR rate_limit IS NOT NULL)
FOR UPDATE;

-- name: count_running$
SELECT count(*) FROM execution_jobs WHERE queue = :queue AND status = 'running';

-- name: record_starts!
-- Keeps as many of the newest starts as the rate counts.
UPDATE queues
SET recent_starts = (array_cat(recent_starts, array_fill(clock_timestamp(), ARRAY[:starts::int])))
                    [greatest(1, cardinality(recent_starts) + :starts::int - rate_limit + 1):]
WHERE name = :queue;

-- name: ready_queues
-- Which of these queues hold work: the slow poll behind the wake-ups.
SELECT name FROM unnest(:queues::text[]) AS name
WHERE EXISTS (SELECT FROM execution_jobs WHERE queue = name AND status = 'queued');

-- name: queues_with_suspects
-- Which of these queues hold jobs that were lost with their workers so often that they are run apart.
SELECT name FROM unnest(:queues::text[]) AS name
WHERE EXISTS (SELECT FROM execution_jobs WHERE queue = name AND status = 'queued' AND starts >= :suspect_from);

-- name: limited_queues
SELECT name FROM queues
WHERE name = ANY (:queues::text[]) AND (paused_at IS NOT NULL OR max_running IS NOT NULL OR rate_limit IS NOT NULL);
