-- name: due_jobs
-- Scheduled jobs whose time has come, with their executions. Only looked at; moved by promote.
SELECT id, execution_id FROM execution_jobs
WHERE status = 'scheduled' AND scheduled_at <= statement_timestamp() -- not clock_timestamp(): no index serves a volatile one
ORDER BY scheduled_at
LIMIT :most;

-- name: try_lock_executions
-- As lock_executions, leaving out those that somebody works on; they are met again soon.
SELECT id FROM executions WHERE id = ANY (:ids::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;

-- name: release_due_jobs
UPDATE execution_jobs
SET status = 'queued', queued_at = clock_timestamp(), scheduled_at = NULL
WHERE id = ANY (:ids::uuid[]) AND execution_id = ANY (:execution_ids::uuid[])
  AND status = 'scheduled' AND scheduled_at <= clock_timestamp()
RETURNING id, execution_id, job_id, queue, status;

-- name: mark_lost_workers
-- Workers silent for too long. A database that was away, or cut off, is not their fault: their time counts from its
-- start at the earliest, and from the moment at which the one who asks could beat again itself.
UPDATE workers
SET lost_at = clock_timestamp()
WHERE lost_at IS NULL
  AND id <> :me
  AND greatest(heartbeat_at, pg_postmaster_start_time(), (SELECT steady_since FROM workers WHERE id = :me))
      < clock_timestamp() - make_interval(secs => :timeout)
RETURNING id, name, host;

-- name: orphaned_jobs
-- Running jobs whose worker is lost, or has left without a word.
SELECT j.id, j.execution_id FROM execution_jobs j
WHERE j.status = 'running'
  AND NOT EXISTS (SELECT FROM workers w WHERE w.id = j.worker_id AND w.lost_at IS NULL)
LIMIT :most;

-- name: rescue
-- Takes jobs of lost workers back: ready again, or at an end when too many starts never ended, when an outcome is
-- unknown, or when they were to be cancelled.
UPDATE execution_jobs j
SET status = CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled'
                  WHEN j.on_worker_lost = 'park' THEN 'failed'
                  WHEN j.starts >= :crash_limit THEN 'failed'
                  ELSE 'queued' END,
    error = CASE WHEN j.cancel_requested_at IS NOT NULL THEN NULL
                 WHEN j.on_worker_lost = 'park' THEN
                     jsonb_build_object('code', 'outcome_unknown', 'message',
                         'The worker died while this job ran. It may have had its effect, so it is not run again by itself.')
                 WHEN j.starts >= :crash_limit THEN
                     jsonb_build_object('code', 'crash_loop', 'message',
                         format('Each of %s starts of this job ended with the death of its worker.', j.starts))
                 ELSE j.error END,
    queued_at = clock_timestamp(),
    finished_at = CASE WHEN j.cancel_requested_at IS NOT NULL OR j.starts >= :crash_limit
                            OR j.on_worker_lost = 'park' THEN clock_timestamp() END
WHERE j.id = ANY (:ids::uuid[]) AND j.status = 'running'
  AND NOT EXISTS (SELECT FROM workers w WHERE w.id = j.worker_id AND w.lost_at IS NULL)
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status, j.has_downstream, j.continue_on_failure, j.starts,
          j.error;

-- name: delete_lost_workers!
DELETE FROM workers WHERE lost_at < statement_timestamp() - interval '1 day';

-- name: delete_expired_keys!
DELETE FROM idempotency_keys WHERE created_at < statement_timestamp() - interval '7 days';
