-- name: register_worker^
-- Registers a worker, with the lanes that were set by hand for its name. Returns its lanes.
INSERT INTO workers (id, name, host, pid, version, lanes, configured_lanes, operations, missing, timeout, only_reserved)
VALUES (:id, :name::text, :host, :pid::int, :version,
        :lanes::text::jsonb || coalesce((SELECT jsonb_object_agg(queue, slots) FROM worker_lanes
                                         WHERE worker_name = :name::text AND :lanes::text::jsonb ? queue
                                           AND :pid::int <> 0 AND NOT :only_reserved::bool), '{}'),
        :lanes::text::jsonb, :operations, :missing::text::jsonb, :timeout, :only_reserved::bool)
ON CONFLICT (id) DO UPDATE SET lost_at = NULL, heartbeat_at = clock_timestamp()
RETURNING lanes::text AS lanes;

-- name: heartbeat^
-- Records a heartbeat. A worker that was marked lost becomes live again, but does not get its jobs back.
UPDATE workers
SET healthy_since = CASE WHEN heartbeat_at < clock_timestamp() - make_interval(secs => :timeout::float8 / 2)
                         THEN clock_timestamp() ELSE healthy_since END,
    heartbeat_at = clock_timestamp(), lost_at = NULL, stopping = :stopping
WHERE id = :id
RETURNING lanes::text AS lanes, stop_requested_at IS NOT NULL AS stop_requested;

-- name: extend_heartbeat!
-- The heartbeat of a worker whose supervisor sees that it runs. A lost worker stays lost.
UPDATE workers SET heartbeat_at = clock_timestamp() WHERE id = :id AND lost_at IS NULL;

-- name: renew_lease^
-- Extends the lease of a polled run to :lease seconds from now. No row: the run does not own its job any more.
UPDATE workers w
SET heartbeat_at = clock_timestamp(), timeout = :lease
FROM execution_jobs j
WHERE j.id = :job AND j.epoch = :epoch AND j.status = 'running' AND j.worker_id = w.id AND w.pid = 0 AND w.lost_at IS NULL
RETURNING j.cancel_requested_at IS NOT NULL AS cancelled;

-- name: polled_run^
-- A run of a polled worker. No row: the run does not own its job any more.
SELECT j.id, j.execution_id, j.job_id, j.operation, j.queue, j.params::text AS params, j.epoch, j.attempts, j.starts,
       j.max_attempts, j.timeout_seconds, j.priority, j.progress, j.cancel_requested_at IS NOT NULL AS cancel_requested,
       j.queued_at, e.traceparent, j.worker_id, j.worker_name
FROM execution_jobs j JOIN workers w ON w.id = j.worker_id JOIN executions e ON e.id = j.execution_id
WHERE j.id = :job AND j.epoch = :epoch AND j.status = 'running' AND w.pid = 0;

-- name: check_runs
-- Compares the runs of a worker with the recorded ones. `lost`: the job is no longer assigned to this run. `cancel`: a
-- cancel is requested. `unknown`: the job has been assigned to this worker for :min_age seconds, but the worker does
-- not run it (the response to its claim was lost).
SELECT coalesce(g.id, j.id) AS id, coalesce(g.epoch, j.epoch) AS epoch,
       CASE WHEN j.id IS NULL THEN 'lost'
            WHEN g.id IS NULL THEN 'unknown'
            ELSE 'cancel' END AS finding
FROM unnest(:ids::uuid[], :epochs::int[]) AS g (id, epoch)
FULL JOIN (SELECT id, epoch, cancel_requested_at, started_at FROM execution_jobs
           WHERE worker_id = :worker_id AND status = 'running') j
    ON j.id = g.id AND j.epoch = g.epoch
WHERE j.id IS NULL
   OR (g.id IS NOT NULL AND j.cancel_requested_at IS NOT NULL)
   OR (g.id IS NULL AND j.started_at < clock_timestamp() - make_interval(secs => :min_age));

-- name: unregister_worker!
DELETE FROM workers WHERE id = :id;

-- name: mark_worker_lost^
-- Marks a worker lost at once, on the word of its supervisor.
UPDATE workers SET lost_at = clock_timestamp() WHERE id = :id AND lost_at IS NULL RETURNING id, name, host;

-- name: list_workers
SELECT w.id, w.name, w.host, w.pid, w.version, w.lanes::text AS lanes, w.configured_lanes::text AS configured_lanes, w.operations, w.started_at, w.heartbeat_at,
       w.stopping, w.lost_at, w.only_reserved,
       (SELECT count(*) FROM execution_jobs j WHERE j.worker_id = w.id AND j.status = 'running') AS running,
       (SELECT s.sample::text FROM resource_samples s WHERE s.worker_id = w.id AND NOT s.thinned
        ORDER BY s.at DESC LIMIT 1) AS resources
FROM workers w
ORDER BY w.lost_at IS NOT NULL, w.name, w.id;

-- name: set_lanes^
-- Changes some lanes of a worker, also for later workers of its name, and notifies it.
WITH changed AS (
    UPDATE workers SET lanes = lanes || :lanes::text::jsonb WHERE id = :id AND lost_at IS NULL
    RETURNING id, name, only_reserved
), kept AS (
    INSERT INTO worker_lanes (worker_name, queue, slots)
    SELECT c.name, l.key, l.value::int
    FROM changed c CROSS JOIN jsonb_each_text(:lanes::text::jsonb) l
    WHERE NOT c.only_reserved
    ORDER BY l.key
    ON CONFLICT (worker_name, queue) DO UPDATE SET slots = EXCLUDED.slots, seen_at = now()
)
SELECT id, pg_notify(current_schema() || '_control', 'lanes ' || id::text) FROM changed;

-- name: reset_lanes^
-- Gives a worker the lanes of its settings again, and notifies it.
WITH changed AS (
    UPDATE workers SET lanes = lanes || configured_lanes WHERE id = :id AND lost_at IS NULL RETURNING id, name
), forgotten AS (
    DELETE FROM worker_lanes WHERE worker_name IN (SELECT name FROM changed)
)
SELECT id, pg_notify(current_schema() || '_control', 'lanes ' || id::text) FROM changed;

-- name: delete_unused_lanes!
-- Forgets lanes that were set by hand for workers that have not been there for :max_age seconds.
WITH seen AS (
    UPDATE worker_lanes l SET seen_at = now()
    WHERE seen_at < now() - interval '1 hour' AND EXISTS (SELECT FROM workers w WHERE w.name = l.worker_name)
)
DELETE FROM worker_lanes l
WHERE seen_at < now() - make_interval(secs => :max_age)
  AND NOT EXISTS (SELECT FROM workers w WHERE w.name = l.worker_name);

-- name: slots_in_use
-- The slots that these workers use, by queue.
SELECT queue, count(*) AS slots FROM execution_jobs
WHERE worker_id = ANY (:ids::uuid[]) AND status = 'running'
GROUP BY queue;

-- name: request_worker_stop^
-- Asks a worker to end, and notifies it.
UPDATE workers SET stop_requested_at = coalesce(stop_requested_at, clock_timestamp())
WHERE id = :id AND lost_at IS NULL
RETURNING id, pg_notify(current_schema() || '_control', 'stop ' || id::text);

-- name: count_worker_hosts$
-- Number of hosts with a live worker that runs an operation for an execution.
WITH reserved AS (
    SELECT w.id FROM execution_jobs j JOIN workers w ON w.id = j.reserved_for AND w.lost_at IS NULL
    WHERE j.execution_id = :execution_id::uuid LIMIT 1
)
SELECT count(DISTINCT host) FROM workers
WHERE lost_at IS NULL AND NOT stopping AND CASE WHEN EXISTS (SELECT FROM reserved) THEN id IN (SELECT id FROM reserved) ELSE NOT only_reserved END
  AND heartbeat_at > clock_timestamp() - make_interval(secs => CASE WHEN pid = 0 THEN timeout ELSE :timeout END)
  AND :operation::text = ANY (operations) AND (lanes ->> :queue::text)::int > 0;

-- name: worker_clock_differences
-- By how many seconds, at least, the clock of each worker is ahead of that of the database, or behind it (negative).
-- A line of a log, with the time of the worker, is written between start and end of its run, with those of the database.
WITH recent AS (
    SELECT id, execution_id, worker_name, started_at, finished_at FROM execution_jobs
    WHERE finished_at > clock_timestamp() - interval '15 minutes' AND epoch = 1 AND worker_name IS NOT NULL
    ORDER BY finished_at DESC LIMIT 500
), bounds AS (
    SELECT r.worker_name, extract(epoch FROM max(l.at) - r.finished_at)::float8 AS ahead,
           extract(epoch FROM r.started_at - min(l.at))::float8 AS behind
    FROM recent r JOIN job_logs l ON l.job = r.id
    GROUP BY r.id, r.worker_name, r.started_at, r.finished_at
)
SELECT worker_name, CASE WHEN max(ahead) >= max(behind) THEN max(ahead) ELSE -max(behind) END AS seconds
FROM bounds GROUP BY worker_name HAVING greatest(max(ahead), max(behind)) > 0;
