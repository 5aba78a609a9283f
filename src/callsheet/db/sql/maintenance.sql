-- name: due_jobs
-- Scheduled jobs that are due. Read only; release_due_jobs moves them.
SELECT id, execution_id FROM execution_jobs
WHERE status = 'scheduled' AND scheduled_at <= statement_timestamp() -- clock_timestamp() is volatile: no index scan
ORDER BY scheduled_at
LIMIT :limit;

-- name: try_lock_executions
-- Like lock_executions, but skips locked executions. The caller tries those again in its next round.
SELECT id FROM executions WHERE id = ANY (:ids::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;

-- name: release_due_jobs
UPDATE execution_jobs
SET status = 'queued', queued_at = clock_timestamp(), scheduled_at = NULL
WHERE id = ANY (:ids::uuid[]) AND execution_id = ANY (:execution_ids::uuid[])
  AND status = 'scheduled' AND scheduled_at <= clock_timestamp()
RETURNING id, execution_id, job_id, queue, status;

-- name: mark_lost_workers
-- Marks workers whose last heartbeat is older than :timeout seconds, and polled workers whose lease has expired. While the database was down or unreachable no
-- worker could send one, so the time counts from the start of the database at the earliest, and from the moment since
-- which the calling worker itself has sent its heartbeats in time (healthy_since).
UPDATE workers
SET lost_at = clock_timestamp()
WHERE lost_at IS NULL
  AND id <> :worker_id
  AND greatest(heartbeat_at, pg_postmaster_start_time(), (SELECT healthy_since FROM workers WHERE id = :worker_id))
      < clock_timestamp() - make_interval(secs => CASE WHEN pid = 0 THEN timeout ELSE :timeout END)
RETURNING id, name, host;

-- name: orphaned_jobs
-- Running jobs whose worker is lost or no longer registered.
SELECT j.id, j.execution_id FROM execution_jobs j
WHERE j.status = 'running'
  AND NOT EXISTS (SELECT FROM workers w WHERE w.id = j.worker_id AND w.lost_at IS NULL)
LIMIT :limit;

-- name: rescue
-- Requeues jobs of lost workers. Instead it fails a job whose outcome is unknown (on_worker_lost = park) or that has
-- crashed too many workers, and cancels a job with a cancel request. :suspect_from: starts from which a job runs alone.
UPDATE execution_jobs j
SET status = CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled'
                  WHEN j.on_worker_lost = 'park' THEN 'failed'
                  WHEN j.starts >= :crash_limit::int THEN 'failed'
                  ELSE 'queued' END,
    error = CASE WHEN j.cancel_requested_at IS NOT NULL THEN NULL
                 WHEN j.on_worker_lost = 'park' THEN
                     jsonb_build_object('code', 'outcome_unknown', 'message',
                         'The worker died while this job ran. '
                         'It may have had side effects, so it is not retried automatically.')
                 WHEN j.starts >= :crash_limit::int THEN
                     jsonb_build_object('code', 'crash_loop', 'message',
                         format('The worker died in each of %s starts of this job.', j.starts))
                 ELSE j.error END,
    wait_reason = CASE WHEN j.starts >= :suspect_from::int AND j.starts < :crash_limit::int THEN
                      jsonb_build_object('code', 'crash_suspect', 'message',
                          format('The worker died in each of its last %s starts. Such jobs run one at a time, and at '
                                 '%s it fails as crash_loop.', j.starts, :crash_limit::int),
                          'facts', jsonb_build_object('starts', j.starts, 'crashLimit', :crash_limit::int)) END,
    queued_at = clock_timestamp(),
    finished_at = CASE WHEN j.cancel_requested_at IS NOT NULL OR j.starts >= :crash_limit::int
                            OR j.on_worker_lost = 'park' THEN clock_timestamp() END
WHERE j.id = ANY (:ids::uuid[]) AND j.status = 'running'
  AND NOT EXISTS (SELECT FROM workers w WHERE w.id = j.worker_id AND w.lost_at IS NULL)
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status, j.has_downstream, j.continue_on_failure, j.starts,
          j.error, j.wait_reason::text AS wait_reason;

-- name: uncount_start!
-- A run of a worker that was only cut off has continued, so its start did not end with the death of the worker.
UPDATE execution_jobs SET starts = greatest(starts - 1, 0)
WHERE id = :id AND epoch >= :epoch AND finished_at IS NULL;

-- name: delete_lost_workers!
DELETE FROM workers WHERE lost_at < statement_timestamp() - interval '1 day';

-- name: delete_expired_sessions!
DELETE FROM sessions WHERE expires_at < statement_timestamp();

-- name: database_time$
SELECT clock_timestamp();
