-- name: begin_submission^
-- Writes down that an order is about to be sent, if its job is still ours and no other order of the step is open.
INSERT INTO submissions (id, job, step, epoch, provider, model, token, request_digest, search_criteria)
SELECT :id, j.id, :step, :epoch, :provider, :model, :token, :request_digest, :search_criteria::text::jsonb
FROM execution_jobs j
WHERE j.id = :job AND j.epoch = :epoch AND j.status = 'running' AND j.cancel_requested_at IS NULL
ON CONFLICT (job, step) WHERE closed_at IS NULL DO NOTHING
RETURNING id;

-- name: open_submission^
SELECT id, provider, model, token, request_digest, begun_at, outcome, provider_job_id, task::text AS task,
       evidence::text AS evidence, extract(epoch FROM clock_timestamp() - begun_at)::float8 AS age,
       (SELECT i.task_id FROM inbox i WHERE i.submission = s.id AND i.task_id IS NOT NULL
        ORDER BY i.received_at LIMIT 1) AS named_task
FROM submissions s
WHERE job = :job AND step = :step AND closed_at IS NULL;

-- name: identical_submissions^
-- What a lost order could be taken for: tasks of equal orders, and whether one of those has no answer yet.
SELECT coalesce(array_agg(other.provider_job_id) FILTER (WHERE other.provider_job_id IS NOT NULL), '{}') AS tasks,
       coalesce(bool_or(other.outcome IS NULL), false) AS on_its_way
FROM submissions mine
JOIN submissions other ON other.id >= :floor AND other.id <> mine.id
    AND other.provider = mine.provider AND other.request_digest = mine.request_digest
WHERE mine.id = :id;

-- name: lock_identical_submissions!
-- Until the transaction ends, nobody else is given a task that was found for an equal order.
SELECT pg_advisory_xact_lock(hashtextextended(encode(request_digest, 'hex'), 0)) FROM submissions WHERE id = :id;

-- name: accept_submission!
-- What nobody wants any more is cancelled as soon as it is known.
UPDATE submissions
SET outcome = 'accepted', accepted_at = clock_timestamp(), provider_job_id = :provider_job_id,
    task = :task::text::jsonb, search_criteria = NULL,
    cancel_at = CASE WHEN cancel_at IS NOT NULL OR closed_at IS NOT NULL THEN clock_timestamp() END
WHERE id = :id AND outcome IS DISTINCT FROM 'accepted';

-- name: reject_submission!
UPDATE submissions
SET outcome = 'rejected', evidence = :evidence::text::jsonb, closed_at = clock_timestamp(), cancel_at = NULL, search_criteria = NULL
WHERE id = :id AND outcome IS DISTINCT FROM 'accepted';

-- name: mark_submission_unknown!
UPDATE submissions SET outcome = 'unknown', evidence = :evidence::text::jsonb
WHERE id = :id AND outcome IS NULL;

-- name: submission_time_left^
-- How long a job has waited for a submission: looks so far, and whether its time is over.
SELECT CASE WHEN j.submission = s.id THEN j.poll_attempts ELSE 0 END AS looks,
       clock_timestamp() >= s.accepted_at + make_interval(secs => :deadline) AS overdue
FROM execution_jobs j JOIN submissions s ON s.id = :submission
WHERE j.id = :job;

-- name: end_submission!
-- Keeps how a task ended, with what it cost, for the job as well.
WITH ended AS (
    UPDATE submissions
    SET ended = coalesce(ended, :ended), cost = coalesce(:cost, cost), seconds = coalesce(:seconds, seconds)
    WHERE id = :id
    RETURNING id, job, provider, provider_job_id, cost, seconds
)
UPDATE execution_jobs j
SET submission = e.id, provider = e.provider, provider_job_id = e.provider_job_id,
    cost = coalesce(e.cost + coalesce(o.cost, 0), o.cost), provider_job_status = :status,
    provider_seconds = coalesce(e.seconds + coalesce(o.seconds, 0), o.seconds)
FROM ended e LEFT JOIN LATERAL (
    SELECT sum(cost) AS cost, sum(seconds) AS seconds FROM submissions s WHERE s.job = e.job AND s.id <> e.id
) o ON true
WHERE j.id = e.job AND j.epoch = :epoch AND j.status = 'running';

-- name: time_out_submission!
-- Its task took too long: the provider is told to end it.
UPDATE submissions SET ended = 'given_up', cancel_at = clock_timestamp() WHERE id = :id AND ended IS NULL;

-- name: request_provider_cancel
-- The jobs were cancelled: providers are told to end what was ordered for them. Returns orders whose fate is unknown.
WITH off AS (
    UPDATE submissions SET ended = 'cancelled', cancel_at = clock_timestamp()
    WHERE job = ANY (:jobs::uuid[]) AND closed_at IS NULL AND ended IS NULL
    RETURNING id, job, provider, model, begun_at, task
)
SELECT id, job, provider, model, begun_at FROM off WHERE task IS NULL;

-- name: close_submissions!
-- Before another run by hand: what certainly came to nothing may be ordered anew, with :resubmit also what may not have.
-- Tasks that have not ended are to be ended: nobody waits for them any more.
UPDATE submissions
SET closed_at = clock_timestamp(), search_criteria = CASE WHEN cancel_at IS NOT NULL THEN search_criteria END,
    cancel_at = CASE WHEN task IS NOT NULL AND ended IS NULL THEN clock_timestamp() ELSE cancel_at END
WHERE job = ANY (:jobs::uuid[]) AND closed_at IS NULL
  AND (:resubmit::bool OR (task IS NOT NULL AND ended IN ('failed', 'cancelled', 'lost', 'given_up')));

-- name: withdraw_provider_cancel!
-- Before another run by hand: orders that were cancelled, and whose fate is unknown, are not to be ended any more.
UPDATE submissions SET ended = NULL, cancel_at = NULL, cancel_attempts = 0
WHERE job = ANY (:jobs::uuid[]) AND closed_at IS NULL AND task IS NULL AND ended IS NOT NULL;

-- name: claim_provider_cancels
-- Submissions whose provider is to be told, put off by :lease so that others leave them alone meanwhile.
UPDATE submissions s
SET cancel_attempts = cancel_attempts + 1, cancel_at = clock_timestamp() + make_interval(secs => :lease)
FROM (SELECT id FROM submissions c
      WHERE cancel_at <= statement_timestamp() AND provider <> ALL (:strange::text[])
        AND (:only::uuid IS NULL
             OR EXISTS (SELECT FROM execution_jobs j WHERE j.id = c.job AND j.execution_id = :only))
      ORDER BY cancel_at LIMIT :most FOR UPDATE SKIP LOCKED) due, execution_jobs j
WHERE s.id = due.id AND j.id = s.job
RETURNING s.id, s.job, j.execution_id, j.job_id, s.provider, s.model, s.begun_at, s.cancel_attempts,
          s.task::text AS task, s.search_criteria::text AS search_criteria,
          (SELECT i.task_id FROM inbox i WHERE i.submission = s.id AND i.task_id IS NOT NULL
           ORDER BY i.received_at LIMIT 1) AS named_task;

-- name: finish_provider_cancel!
-- Told, or given up.
UPDATE submissions SET cancel_at = NULL, search_criteria = CASE WHEN closed_at IS NULL THEN search_criteria END WHERE id = :id;

-- name: postpone_provider_cancel!
UPDATE submissions SET cancel_at = clock_timestamp() + make_interval(secs => :delay)
WHERE id = :id AND cancel_at IS NOT NULL;

-- name: delete_old_webhooks!
DELETE FROM inbox WHERE received_at < statement_timestamp() - interval '30 days';
