-- name: lock_executions
-- Locks executions in the order of their ids. Every transaction that changes jobs runs this first.
SELECT id FROM executions WHERE id = ANY (:ids::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: end_runs
-- Records the outcomes of runs. A run with an old epoch changes nothing and is not returned.
-- A job with a cancel request ends as cancelled, whatever its outcome says.
WITH given AS (
    SELECT * FROM unnest(:ids::uuid[], :epochs::int[], :statuses::text[], :results::text[], :errors::text[],
                         :delays::float8[], :child_counts::int[])
        AS g (id, epoch, status, result, error, delay, children)
)
UPDATE execution_jobs j
SET status = CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled' ELSE g.status END,
    result = CASE WHEN j.cancel_requested_at IS NULL THEN g.result::jsonb END,
    -- Only a job that failed, or runs again, has an error: that of its last failed run.
    error = CASE WHEN j.cancel_requested_at IS NULL AND g.status NOT IN ('succeeded', 'cancelled')
                 THEN coalesce(g.error::jsonb, j.error) END,
    progress = CASE WHEN g.status = 'succeeded' AND j.cancel_requested_at IS NULL THEN 1 ELSE j.progress END,
    attempts = j.attempts + (g.error IS NOT NULL)::int,
    -- Released without an error, now or for later: the start does not count.
    starts = CASE WHEN g.status IN ('queued', 'scheduled') AND g.error IS NULL THEN j.starts - 1 ELSE 0 END,
    -- Waits for its child jobs, and for upstream jobs that were retried meanwhile: they will end once more.
    pending_dependencies = CASE WHEN g.status = 'pending' AND j.cancel_requested_at IS NULL
                                THEN g.children + (SELECT count(*)::int
                                                   FROM edges e JOIN execution_jobs u ON u.id = e.upstream
                                                   WHERE e.downstream = j.id
                                                     AND u.status NOT IN ('succeeded', 'failed', 'cancelled',
                                                                          'skipped'))
                                ELSE j.pending_dependencies END,
    scheduled_at = CASE WHEN g.status = 'scheduled' AND j.cancel_requested_at IS NULL
                        THEN clock_timestamp() + make_interval(secs => g.delay) END,
    queued_at = CASE WHEN g.status = 'queued' THEN clock_timestamp() ELSE j.queued_at END,
    finished_at = CASE WHEN g.status IN ('succeeded', 'failed', 'cancelled') OR j.cancel_requested_at IS NOT NULL
                       THEN clock_timestamp() END
FROM given g
WHERE j.id = g.id AND j.epoch = g.epoch AND j.status = 'running'
RETURNING j.id, j.epoch, j.execution_id, j.job_id, j.queue, j.status, j.has_downstream, j.continue_on_failure;

-- name: already_ended
-- Which of these runs are already recorded: the commit succeeded and only its response was lost.
SELECT j.id, j.epoch, j.status
FROM execution_jobs j JOIN unnest(:ids::uuid[], :epochs::int[]) AS g (id, epoch) ON j.id = g.id
WHERE j.epoch = g.epoch AND j.status IN ('succeeded', 'failed', 'cancelled', 'scheduled', 'pending', 'waiting');

-- name: release_downstream
-- Counts these upstream jobs as done. Downstream jobs without further dependencies become queued, or scheduled if they
-- are to start later.
WITH met AS (
    SELECT downstream, count(*)::int AS jobs FROM edges WHERE upstream = ANY (:upstream::uuid[]) GROUP BY 1
)
UPDATE execution_jobs j
SET pending_dependencies = j.pending_dependencies - met.jobs,
    status = CASE WHEN j.pending_dependencies <> met.jobs THEN 'pending'
                  WHEN j.start_at > clock_timestamp() THEN 'scheduled' ELSE 'queued' END,
    scheduled_at = CASE WHEN j.pending_dependencies = met.jobs AND j.start_at > clock_timestamp() THEN j.start_at END,
    queued_at = CASE WHEN j.pending_dependencies = met.jobs THEN clock_timestamp() END
FROM met
WHERE j.id = met.downstream AND j.status = 'pending'
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status, j.scheduled_at;

-- name: skip_downstream
-- Skips the pending jobs that can no longer run because these upstream jobs failed, were cancelled or were skipped.
-- Stops at jobs that are not pending: what follows them already had its dependency released.
WITH RECURSIVE unreachable AS (
    SELECT e.downstream FROM edges e JOIN execution_jobs j ON j.id = e.downstream
    WHERE e.upstream = ANY (:upstream::uuid[]) AND j.status = 'pending'
    UNION
    SELECT e.downstream
    FROM unreachable u JOIN edges e ON e.upstream = u.downstream JOIN execution_jobs j ON j.id = e.downstream
    WHERE j.status = 'pending'
)
UPDATE execution_jobs j
SET status = 'skipped', finished_at = clock_timestamp(), on_hold_at = NULL, error = NULL
FROM unreachable u
WHERE j.id = u.downstream AND j.status = 'pending'
RETURNING j.id, j.execution_id, j.job_id;

-- name: insert_artifacts!
-- Inserts the artifacts of successful runs. Those that were stored before the end of their run exist.
INSERT INTO artifacts (id, execution_id, job, name, key, media_type, size, sha256, probe)
SELECT a.id, a.execution_id, a.job, a.name, a.key, a.media_type, a.size, a.sha256, a.probe::jsonb
FROM unnest(:ids::uuid[], :execution_ids::uuid[], :jobs::uuid[], :names::text[], :keys::text[], :media_types::text[],
            :sizes::bigint[], :sha256s::text[], :probes::text[])
    AS a (id, execution_id, job, name, key, media_type, size, sha256, probe)
ON CONFLICT (id) DO UPDATE SET from_unfinished_run = false;

-- name: insert_unfinished_artifact^
-- Inserts an artifact of a running job, if the run still owns it. No row: it does not.
INSERT INTO artifacts (id, execution_id, job, name, key, media_type, size, sha256, probe, from_unfinished_run)
SELECT :id::uuid, j.execution_id, j.id, :name::text, :key::text, :media_type::text, :size::bigint, :sha256::text,
       :probe::text::jsonb, true
FROM execution_jobs j
WHERE j.id = :job AND j.epoch = :epoch AND j.status = 'running'
ON CONFLICT (id) DO UPDATE SET from_unfinished_run = true -- the insert was repeated
RETURNING id;

-- name: record_events
-- Numbers and stores events, updates the counts of each execution, ends executions without unfinished jobs, then
-- notifies queues and event streams. A trigger on the events writes their webhooks.
-- The caller holds the locks of lock_executions.
WITH given AS (
    SELECT * FROM unnest(:execution_ids::uuid[], :job_ids::text[], :types::text[], :payloads::text[], :ended::int[],
                         :failed::int[], :cancelled::int[])
        WITH ORDINALITY AS g (execution_id, job_id, type, data, ended, failed, cancelled, place)
), sums AS (
    SELECT execution_id, count(*) AS events, sum(ended)::int AS ended, sum(failed)::int AS failed,
           sum(cancelled)::int AS cancelled
    FROM given GROUP BY 1
), outcome AS (
    SELECT e.id, s.events, e.last_event AS base, e.unfinished - s.ended AS unfinished, e.failed + s.failed AS failed,
           e.cancelled + s.cancelled AS cancelled, s.ended > 0 AND e.unfinished = s.ended AS ends,
           CASE WHEN e.cancel_requested_at IS NOT NULL AND e.cancelled + s.cancelled > 0 THEN 'cancelled'
                WHEN e.failed + s.failed > 0 THEN 'failed'
                WHEN e.cancelled + s.cancelled > 0 THEN 'cancelled'
                ELSE 'succeeded' END AS end_status
    FROM executions e JOIN sums s ON s.execution_id = e.id
    WHERE e.id = ANY (:execution_ids::uuid[])
), changed AS (
    UPDATE executions e
    SET last_event = o.base + o.events + o.ends::int, unfinished = o.unfinished, failed = o.failed,
        cancelled = o.cancelled,
        status = CASE WHEN o.ends THEN o.end_status ELSE e.status END,
        finished_at = CASE WHEN o.ends THEN clock_timestamp() ELSE e.finished_at END
    FROM outcome o
    WHERE e.id = o.id
    RETURNING e.id, o.base, o.events, o.ends, o.end_status
), stored AS (
    INSERT INTO events (execution_id, number, job_id, type, data)
    SELECT g.execution_id, c.base + row_number() OVER (PARTITION BY g.execution_id ORDER BY g.place), g.job_id,
           g.type, g.data::jsonb
    FROM given g JOIN changed c ON c.id = g.execution_id
    UNION ALL
    SELECT c.id, c.base + c.events + 1, NULL, 'execution.' || c.end_status, NULL FROM changed c WHERE c.ends
)
SELECT pg_notify(current_schema() || '_ready', queue) FROM unnest(:ready_queues::text[]) AS queue
UNION ALL
SELECT pg_notify(current_schema() || '_ready', name) FROM queues
WHERE name = ANY (:freed_queues::text[]) AND (max_running IS NOT NULL OR rate_limit IS NOT NULL)
UNION ALL
SELECT pg_notify(current_schema() || '_events', payload) FROM unnest(:event_notifications::text[]) AS payload;

-- name: store_progress
-- Stores the newest progress of running jobs. Runs with an old epoch change nothing and are not returned.
UPDATE execution_jobs j
SET progress = g.progress, progress_message = g.message
FROM unnest(:ids::uuid[], :epochs::int[], :progress::float4[], :messages::text[]) AS g (id, epoch, progress, message)
WHERE j.id = g.id AND j.epoch = g.epoch AND j.status = 'running'
RETURNING j.id;

-- name: notify_event_streams!
-- Runs in its own transaction: NOTIFY takes a database-wide lock until the commit is on disk.
SELECT pg_notify(current_schema() || '_events', payload) FROM unnest(:event_notifications::text[]) AS payload;

-- name: held_leases
-- Which of these runs still own their job: same epoch, status running.
SELECT j.id FROM execution_jobs j JOIN unnest(:ids::uuid[], :epochs::int[]) AS g (id, epoch) ON j.id = g.id
WHERE j.epoch = g.epoch AND j.status = 'running';
