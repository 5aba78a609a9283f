-- name: store_provider_waits!
-- For jobs that just became waiting: stores the submission, the deadline and the time of the first poll. The first poll
-- is immediate if a webhook arrived during the run: it may have reported the end.
UPDATE execution_jobs j
SET submission = s.id, provider = s.provider, provider_job_id = s.provider_job_id,
    waiting_strategy = CASE WHEN s.token IS NULL THEN 'polling' ELSE 'webhook' END,
    provider_job_status = coalesce(g.status, CASE WHEN j.submission = s.id THEN j.provider_job_status END),
    progress = coalesce(g.progress, j.progress),
    poll_attempts = g.polls + CASE WHEN j.submission = s.id THEN j.poll_attempts ELSE 0 END,
    waiting_until = coalesce(s.accepted_at, s.created_at) + make_interval(secs => g.timeout),
    next_poll_at = CASE WHEN s.webhook_received_at > j.started_at THEN clock_timestamp()
                        ELSE least(clock_timestamp() + make_interval(secs => g.delay),
                                   coalesce(s.accepted_at, s.created_at) + make_interval(secs => g.timeout)) END
FROM unnest(:ids::uuid[], :epochs::int[], :submissions::uuid[], :statuses::text[], :progress::float4[], :polls::int[],
            :delays::float8[], :timeouts::float8[])
         AS g (id, epoch, submission, status, progress, polls, delay, timeout)
     JOIN submissions s ON s.id = g.submission
WHERE j.id = g.id AND j.epoch = g.epoch AND j.status = 'waiting';

-- name: claim_polls
-- Claims waiting jobs that are due for a poll, up to the free slots of each provider, with a lease of :lease seconds.
-- The lateral query reads one index range per provider, so jobs of other providers cost nothing.
WITH due AS (
    SELECT d.id
    FROM unnest(:providers::text[], :slots::int[]) AS p (provider, slots)
    CROSS JOIN LATERAL (
        SELECT id FROM execution_jobs j
        WHERE j.status = 'waiting' AND j.provider = p.provider AND j.next_poll_at <= statement_timestamp()
          AND (:only::uuid IS NULL OR j.reserved_for = :only)
          AND (j.reserved_for IS NULL OR j.reserved_for = :only
               OR j.reserved_for <> ALL (ARRAY(SELECT w.id FROM workers w WHERE w.lost_at IS NULL)))
        ORDER BY j.next_poll_at
        LIMIT p.slots
        FOR NO KEY UPDATE SKIP LOCKED
    ) d
), taken AS (
    UPDATE execution_jobs j
    SET next_poll_at = clock_timestamp() + make_interval(secs => :lease)
    FROM due
    WHERE j.id = due.id
    RETURNING j.id, j.execution_id, j.epoch, j.provider, j.provider_job_status, j.progress, j.poll_attempts,
              j.waiting_strategy, j.submission, j.waiting_until <= clock_timestamp() AS overdue,
              j.job_id, j.operation, j.provider_job_id
)
SELECT t.*, s.task::text AS task, e.traceparent
FROM taken t LEFT JOIN submissions s ON s.id = t.submission LEFT JOIN executions e ON e.id = t.execution_id;

-- name: renew_poll_leases!
-- Extends the lease of jobs whose poll is still running.
UPDATE execution_jobs j
SET next_poll_at = clock_timestamp() + make_interval(secs => :lease)
FROM unnest(:ids::uuid[], :epochs::int[]) AS g (id, epoch)
WHERE j.id = g.id AND j.epoch = g.epoch AND j.status = 'waiting';

-- name: claim_overdue
-- Claims waiting jobs of any provider whose deadline has passed, with a lease.
UPDATE execution_jobs j
SET next_poll_at = clock_timestamp() + make_interval(secs => :lease)
FROM (SELECT id FROM execution_jobs
      WHERE status = 'waiting' AND next_poll_at <= statement_timestamp() AND waiting_until <= statement_timestamp()
        AND (:only::uuid IS NULL OR reserved_for = :only)
        AND (reserved_for IS NULL OR reserved_for = :only
             OR reserved_for <> ALL (ARRAY(SELECT w.id FROM workers w WHERE w.lost_at IS NULL)))
      LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED) due
WHERE j.id = due.id
RETURNING j.id, j.execution_id, j.epoch, j.provider, j.provider_job_status, j.progress;

-- name: record_polls
-- Stores poll results. A job whose task has ended or whose deadline has passed (:collects) becomes queued, so that a
-- run collects the result.
UPDATE execution_jobs j
SET status = CASE WHEN g.collect THEN 'queued' ELSE 'waiting' END,
    provider_job_status = coalesce(g.status, j.provider_job_status),
    progress = coalesce(g.progress, j.progress),
    poll_attempts = j.poll_attempts + g.polls,
    next_poll_at = CASE WHEN NOT g.collect
                        THEN least(clock_timestamp() + make_interval(secs => g.delay), j.waiting_until) END,
    queued_at = CASE WHEN g.collect THEN clock_timestamp() ELSE j.queued_at END
FROM unnest(:ids::uuid[], :epochs::int[], :collects::bool[], :statuses::text[], :progress::float4[], :polls::int[],
            :delays::float8[]) AS g (id, epoch, collect, status, progress, polls, delay)
WHERE j.id = g.id AND j.epoch = g.epoch AND j.status = 'waiting'
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status;

-- name: submissions_of_job
-- Submissions of a job that asked for a webhook. closed: a webhook can change nothing any more.
SELECT s.id, s.provider, s.token, s.provider_job_id,
       (s.closed_at IS NOT NULL OR s.ended IS NOT NULL) AND (s.task IS NOT NULL OR s.cancel_at IS NULL) AS closed,
       j.execution_id, j.job_id, j.operation, e.traceparent
FROM submissions s JOIN execution_jobs j ON j.id = s.job JOIN executions e ON e.id = j.execution_id
WHERE s.job = :job AND s.token IS NOT NULL;

-- name: store_webhook^
-- No row: a duplicate delivery.
INSERT INTO inbox (submission, message_id, task_id, status) VALUES (:submission, :message_id, :task_id, :status)
ON CONFLICT (submission, message_id) DO NOTHING
RETURNING submission;

-- name: mark_webhook_received!
UPDATE submissions SET webhook_received_at = clock_timestamp() WHERE id = :id;

-- name: release_after_webhook
-- Queues the job that waits for this submission, so that a run collects the result.
UPDATE execution_jobs
SET status = 'queued', queued_at = clock_timestamp(), next_poll_at = NULL
WHERE id = :job AND submission = :submission AND status = 'waiting'
RETURNING id, execution_id, job_id, queue, status;
