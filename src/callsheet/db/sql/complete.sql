-- name: lock_executions
-- The first statement of everything that changes jobs: executions in the order of their ids.
SELECT id FROM executions WHERE id = ANY (:ids::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: end_runs
-- Writes how runs ended. A run whose job is no longer ours, by epoch, changes nothing and is not returned.
-- A job whose cancellation was asked for ends as cancelled, whatever its late result says.
WITH given AS (
    SELECT * FROM unnest(:ids::uuid[], :epochs::int[], :statuses::text[], :results::text[], :errors::text[],
                         :delays::float8[], :firsts::int[])
        AS g (id, epoch, status, result, error, delay, first)
)
UPDATE execution_jobs j
SET status = CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled' ELSE g.status END,
    result = CASE WHEN j.cancel_requested_at IS NULL THEN g.result::jsonb END,
    error = CASE WHEN j.cancel_requested_at IS NULL THEN coalesce(g.error::jsonb, j.error) END,
    progress = CASE WHEN g.status = 'succeeded' AND j.cancel_requested_at IS NULL THEN 1 ELSE j.progress END,
    attempts = j.attempts + (g.error IS NOT NULL)::int,
    -- Given back without an error, at once or for later: a start that was none.
    starts = CASE WHEN g.status IN ('queued', 'scheduled') AND g.error IS NULL THEN j.starts - 1 ELSE 0 END,
    -- Put off until so many other jobs have run, and those upstream that were begun anew meanwhile: their ends count, too.
    pending_dependencies = CASE WHEN g.status = 'pending' AND j.cancel_requested_at IS NULL
                 THEN g.first + (SELECT count(*)::int FROM edges e JOIN execution_jobs u ON u.id = e.upstream
                                 WHERE e.downstream = j.id
                                   AND u.status NOT IN ('succeeded', 'failed', 'cancelled', 'skipped'))
                 ELSE j.pending_dependencies END,
    scheduled_at = CASE WHEN g.status = 'scheduled' AND j.cancel_requested_at IS NULL THEN clock_timestamp() + make_interval(secs => g.delay) END,
    queued_at = CASE WHEN g.status = 'queued' THEN clock_timestamp() ELSE j.queued_at END,
    finished_at = CASE WHEN g.status IN ('succeeded', 'failed', 'cancelled') OR j.cancel_requested_at IS NOT NULL
                       THEN clock_timestamp() END
FROM given g
WHERE j.id = g.id AND j.epoch = g.epoch AND j.status = 'running'
RETURNING j.id, j.epoch, j.execution_id, j.job_id, j.queue, j.status, j.has_downstream, j.continue_on_failure;

-- name: already_ended
-- Of these runs, those that are recorded as ended: an answer that was lost on the way, not a lost job.
SELECT j.id, j.epoch, j.status FROM execution_jobs j JOIN unnest(:ids::uuid[], :epochs::int[]) AS g (id, epoch) ON j.id = g.id
WHERE j.epoch = g.epoch AND j.status IN ('succeeded', 'failed', 'cancelled', 'scheduled', 'pending', 'waiting');

-- name: release_downstream
-- Tells downstream jobs that these upstream jobs ended well; those that wait for nothing more become ready.
WITH met AS (
    SELECT downstream, count(*)::int AS jobs FROM edges WHERE upstream = ANY (:upstream::uuid[]) GROUP BY 1
)
UPDATE execution_jobs j
SET pending_dependencies = j.pending_dependencies - met.jobs,
    status = CASE WHEN j.pending_dependencies = met.jobs THEN 'queued' ELSE 'pending' END,
    queued_at = CASE WHEN j.pending_dependencies = met.jobs THEN clock_timestamp() END
FROM met
WHERE j.id = met.downstream AND j.status = 'pending'
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status;

-- name: skip_downstream
-- Ends everything that can never run because these jobs did not end well. What ran already lets pass what follows it.
WITH RECURSIVE unreachable AS (
    SELECT e.downstream FROM edges e JOIN execution_jobs j ON j.id = e.downstream
    WHERE e.upstream = ANY (:upstream::uuid[]) AND j.status = 'pending'
    UNION
    SELECT e.downstream
    FROM unreachable u JOIN edges e ON e.upstream = u.downstream JOIN execution_jobs j ON j.id = e.downstream
    WHERE j.status = 'pending'
)
UPDATE execution_jobs j
SET status = 'skipped', finished_at = clock_timestamp()
FROM unreachable u
WHERE j.id = u.downstream AND j.status = 'pending'
RETURNING j.id, j.execution_id, j.job_id;

-- name: insert_artifacts!
INSERT INTO artifacts (id, execution_id, job, name, key, media_type, size, sha256, probe)
SELECT a.id, a.execution_id, a.job, a.name, a.key, a.media_type, a.size, a.sha256, a.probe::jsonb
FROM unnest(:ids::uuid[], :execution_ids::uuid[], :jobs::uuid[], :names::text[], :keys::text[], :media_types::text[],
            :sizes::bigint[], :sha256s::text[], :probes::text[])
    AS a (id, execution_id, job, name, key, media_type, size, sha256, probe);

-- name: record_events
-- Numbers and stores what happened, keeps each execution's counts, ends those with nothing left to do (with a notice
-- in the outbox for those that asked for one), then wakes queues and watchers.
-- The executions are locked by lock_executions before.
WITH given AS (
    SELECT * FROM unnest(:execution_ids::uuid[], :job_ids::text[], :types::text[], :datas::text[], :ended::int[],
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
    RETURNING e.id, o.base, o.events, o.ends, o.end_status, e.callback_url
), stored AS (
    INSERT INTO events (execution_id, number, job_id, type, data)
    SELECT g.execution_id, c.base + row_number() OVER (PARTITION BY g.execution_id ORDER BY g.place), g.job_id,
           g.type, g.data::jsonb
    FROM given g JOIN changed c ON c.id = g.execution_id
    UNION ALL
    SELECT c.id, c.base + c.events + 1, NULL, 'execution.' || c.end_status, NULL FROM changed c WHERE c.ends
), notices AS (
    INSERT INTO outbox (id, execution_id, type, url)
    SELECT gen_random_uuid(), c.id, 'execution.' || c.end_status, c.callback_url
    FROM changed c WHERE c.ends AND c.callback_url IS NOT NULL
)
SELECT pg_notify('callsheet_ready', queue) FROM unnest(:ready_queues::text[]) AS queue
UNION ALL
SELECT pg_notify('callsheet_ready', name) FROM queues
WHERE name = ANY (:freed_queues::text[]) AND (max_running IS NOT NULL OR rate_limit IS NOT NULL)
UNION ALL
SELECT pg_notify('callsheet_events', :event_wake::text);

-- name: store_progress
-- Keeps the newest progress of running jobs; returns those that are still ours, for the event.
UPDATE execution_jobs j
SET progress = g.progress, progress_message = g.message
FROM unnest(:ids::uuid[], :epochs::int[], :progress::float4[], :messages::text[]) AS g (id, epoch, progress, message)
WHERE j.id = g.id AND j.epoch = g.epoch AND j.status = 'running'
RETURNING j.id;

-- name: notify_event_streams!
-- In a transaction of its own: one that tells something holds up every other that does until it is on disk.
SELECT pg_notify('callsheet_events', :event_wake::text);

-- name: held_leases
SELECT j.id FROM execution_jobs j JOIN unnest(:ids::uuid[], :epochs::int[]) AS g (id, epoch) ON j.id = g.id
WHERE j.epoch = g.epoch AND j.status = 'running';
