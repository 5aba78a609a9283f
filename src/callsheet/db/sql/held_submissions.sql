-- name: is_released$
-- Whether a person has released the submissions of a job.
SELECT released_at IS NOT NULL FROM execution_jobs WHERE id = :job;

-- name: hold_jobs!
-- For jobs that just became waiting: their submission waits until a person releases it. They are not polled.
UPDATE execution_jobs j
SET held_at = clock_timestamp(), provider = g.provider, submission = NULL, provider_job_id = NULL,
    provider_job_status = NULL, waiting_strategy = NULL, next_poll_at = NULL, waiting_until = NULL
FROM unnest(:ids::uuid[], :epochs::int[], :providers::text[]) AS g (id, epoch, provider)
WHERE j.id = g.id AND j.epoch = g.epoch AND j.status = 'waiting';

-- name: held_jobs
-- Jobs whose submission waits for a person, the longest wait first.
SELECT id, execution_id, job_id, operation, provider, held_at
FROM execution_jobs
WHERE held_at IS NOT NULL AND status = 'waiting' AND (:provider::text IS NULL OR provider = :provider)
ORDER BY held_at
LIMIT :limit;

-- name: unended_jobs_of
-- The unended jobs that ids of executions or of jobs name.
SELECT id, execution_id FROM execution_jobs
WHERE (execution_id = ANY (:ids::uuid[]) OR id = ANY (:ids::uuid[]))
  AND status NOT IN ('succeeded', 'failed', 'cancelled', 'skipped');

-- name: known_ids
-- Which of these ids are executions or jobs.
SELECT id FROM executions WHERE id = ANY (:ids::uuid[])
UNION ALL
SELECT id FROM execution_jobs WHERE id = ANY (:ids::uuid[]);

-- name: release_jobs
-- Releases the submissions of jobs. Those that are held become queued, and are returned.
WITH released AS (
    UPDATE execution_jobs
    SET released_at = clock_timestamp()
    WHERE id = ANY (:ids::uuid[]) AND held_at IS NULL AND status NOT IN ('succeeded', 'failed', 'cancelled', 'skipped')
)
UPDATE execution_jobs
SET released_at = clock_timestamp(), held_at = NULL, status = 'queued', queued_at = clock_timestamp()
WHERE id = ANY (:ids::uuid[]) AND held_at IS NOT NULL AND status = 'waiting'
RETURNING id, execution_id, job_id, queue, status;

-- name: known_tasks
-- Which of these tasks of a provider belong to a submission.
SELECT provider_job_id FROM submissions WHERE provider = :provider AND provider_job_id = ANY (:tasks::text[]);

-- name: unanswered_submissions$
-- Number of submissions to a provider whose response is not known: one of its unknown tasks may belong to them.
SELECT count(*) FROM submissions
WHERE provider = :provider AND task IS NULL AND outcome IS DISTINCT FROM 'rejected' AND created_at >= :since;
