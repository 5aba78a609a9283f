-- name: live_workers
-- Workers that claim jobs, with the number of their running jobs by queue.
SELECT w.id, w.lanes::text AS lanes, w.operations, w.missing::text AS missing, w.only_reserved,
       (SELECT coalesce(jsonb_object_agg(r.queue, r.jobs), '{}')
        FROM (SELECT queue, count(*) AS jobs FROM execution_jobs
              WHERE worker_id = w.id AND status = 'running' GROUP BY 1) r)::text AS running
FROM workers w
WHERE w.lost_at IS NULL AND NOT w.stopping AND w.heartbeat_at > clock_timestamp() - make_interval(secs => w.timeout);

-- name: queue_limits
-- The limits of queues that are paused or limited; null: of all queues. `next_start_at`: when a reached rate limit admits another start.
SELECT q.name, q.paused_at, q.max_running, q.rate_limit, q.rate_period,
       CASE WHEN q.max_running IS NOT NULL
            THEN (SELECT count(*) FROM execution_jobs j WHERE j.queue = q.name AND j.status = 'running') END AS running,
       CASE WHEN s.starts >= q.rate_limit THEN s.oldest + make_interval(secs => q.rate_period) END AS next_start_at
FROM queues q
CROSS JOIN LATERAL (SELECT count(*) AS starts, min(start) AS oldest FROM unnest(q.recent_starts) AS start
                    WHERE start > clock_timestamp() - make_interval(secs => q.rate_period)) s
WHERE (:queues::text[] IS NULL OR q.name = ANY (:queues))
  AND (q.paused_at IS NOT NULL OR q.max_running IS NOT NULL OR q.rate_limit IS NOT NULL);

-- name: ready_operations
-- The operations of the queued jobs of each queue.
SELECT queue, operation FROM execution_jobs WHERE status = 'queued' GROUP BY 1, 2;

-- name: unreported_jobs
-- The oldest queued jobs of these operations that have been ready for :min_age seconds without an event `job.blocked`.
SELECT j.id, j.execution_id, j.job_id, j.queue, j.operation, j.reserved_for
FROM execution_jobs j
JOIN unnest(:queues::text[], :operations::text[]) AS g (queue, operation)
    ON g.queue = j.queue AND g.operation = j.operation
WHERE j.status = 'queued' AND j.queued_at < clock_timestamp() - make_interval(secs => :min_age)
  AND (j.wait_reason IS NULL OR j.wait_reason ->> 'code' IN ('storage_outage', 'server', 'crash_suspect'))
ORDER BY j.number
LIMIT :limit;

-- name: report_blocked_jobs
-- Stores why these queued jobs do not start. Jobs that are no longer queued are not returned.
UPDATE execution_jobs j
SET wait_reason = g.reason::jsonb
FROM unnest(:ids::uuid[], :reasons::text[]) AS g (id, reason)
WHERE j.id = g.id AND j.status = 'queued' AND j.execution_id = ANY (:execution_ids::uuid[])
RETURNING j.id, j.execution_id, j.job_id;

-- name: set_wait_reason^
-- Stores what a run waits for; null: it continues. A run with an old epoch changes nothing.
UPDATE execution_jobs SET wait_reason = :reason::text::jsonb
WHERE id = :id AND epoch = :epoch AND status = 'running'
RETURNING execution_id, job_id;
