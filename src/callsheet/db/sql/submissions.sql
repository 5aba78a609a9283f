-- name: begin_submission^
-- Records a submission before it is sent, if the run still owns its job, no cancel is requested, and the step has no
-- open submission. No row: it must not be sent.
INSERT INTO submissions (id, job, step, epoch, provider, model, token, request_digest, search_criteria, price)
SELECT :id, j.id, :step, :epoch, :provider, :model, :token, :request_digest, :search_criteria::text::jsonb,
       :price::float8
FROM execution_jobs j
WHERE j.id = :job AND j.epoch = :epoch AND j.status = 'running' AND j.cancel_requested_at IS NULL
ON CONFLICT (job, step) WHERE closed_at IS NULL DO NOTHING
RETURNING id;

-- name: open_submission^
SELECT id, provider, model, token, request_digest, created_at, outcome, provider_job_id, task::text AS task,
       evidence::text AS evidence, extract(epoch FROM clock_timestamp() - created_at)::float8 AS age,
       (SELECT i.task_id FROM inbox i WHERE i.submission = s.id AND i.task_id IS NOT NULL
        ORDER BY i.received_at LIMIT 1) AS webhook_task_id
FROM submissions s
WHERE job = :job AND step = :step AND closed_at IS NULL;

-- name: identical_submissions^
-- Submissions with the same request: the ids of their tasks, and whether one of them has no response yet. A task that
-- is found for a lost submission could belong to one of these.
SELECT coalesce(array_agg(other.provider_job_id) FILTER (WHERE other.provider_job_id IS NOT NULL), '{}') AS tasks,
       coalesce(bool_or(other.outcome IS NULL), false) AS in_flight
FROM submissions mine
JOIN submissions other ON other.id >= :min_id AND other.id <> mine.id
    AND other.provider = mine.provider AND other.request_digest = mine.request_digest
WHERE mine.id = :id;

-- name: lock_identical_submissions!
-- Serializes the adoption of tasks among identical submissions until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended(encode(request_digest, 'hex'), 0)) FROM submissions WHERE id = :id;

-- name: accept_submission!
-- A task that is no longer wanted (cancelled or closed submission) is due for cancellation at once.
UPDATE submissions
SET outcome = 'accepted', accepted_at = clock_timestamp(), provider_job_id = :provider_job_id,
    task = :task::text::jsonb, search_criteria = NULL,
    cancel_at = CASE WHEN cancel_at IS NOT NULL OR closed_at IS NOT NULL THEN clock_timestamp() END
WHERE id = :id AND outcome IS DISTINCT FROM 'accepted';

-- name: reject_submission!
UPDATE submissions
SET outcome = 'rejected', evidence = :evidence::text::jsonb, closed_at = clock_timestamp(), cancel_at = NULL,
    search_criteria = NULL
WHERE id = :id AND outcome IS DISTINCT FROM 'accepted';

-- name: mark_submission_unknown!
UPDATE submissions SET outcome = 'unknown', evidence = :evidence::text::jsonb
WHERE id = :id AND outcome IS NULL;

-- name: submission_time_left^
-- Polls of a submission so far, and whether its deadline has passed.
SELECT CASE WHEN j.submission = s.id THEN j.poll_attempts ELSE 0 END AS polls,
       clock_timestamp() >= s.accepted_at + make_interval(secs => :deadline) AS overdue
FROM execution_jobs j JOIN submissions s ON s.id = :submission
WHERE j.id = :job;

-- name: end_submission!
-- Stores how a task ended and what it cost, and updates the totals of its job and of the metrics. The cost of a task
-- that succeeded is its price if the provider reports none.
WITH before AS (
    SELECT id, ended, cost FROM submissions WHERE id = :id FOR NO KEY UPDATE
), ended AS (
    UPDATE submissions s
    SET ended = coalesce(s.ended, :ended), seconds = coalesce(:seconds, s.seconds),
        cost = coalesce(:cost, s.cost, CASE WHEN :ended::text = 'succeeded' THEN s.price END),
        cost_source = CASE WHEN :cost::float8 IS NOT NULL THEN 'provider'
                           WHEN s.cost IS NOT NULL THEN s.cost_source
                           WHEN :ended = 'succeeded' AND s.price IS NOT NULL THEN 'price' END
    FROM before b
    WHERE s.id = b.id
    RETURNING s.id, s.job, s.provider, s.model, s.provider_job_id, s.cost, s.cost_source, s.seconds,
              b.ended IS NULL AS ends, coalesce(s.cost, 0) - coalesce(b.cost, 0) AS added_cost
), totals AS (
    INSERT INTO metric_totals AS t (name, labels, bound, value)
    SELECT name, labels, 'Infinity', value
    FROM (SELECT 'callsheet_provider_tasks_total' AS name, ARRAY[provider, left(model, 120), :ended] AS labels,
                 1.0::float8 AS value
          FROM ended WHERE ends
          UNION ALL
          SELECT 'callsheet_provider_cost_dollars_total', ARRAY[provider, left(model, 120), cost_source], added_cost
          FROM ended WHERE added_cost > 0) added
    ORDER BY name, labels
    ON CONFLICT (name, labels, bound) DO UPDATE SET value = t.value + excluded.value
)
UPDATE execution_jobs j
SET submission = e.id, provider = e.provider, provider_job_id = e.provider_job_id,
    cost = coalesce(e.cost + coalesce(o.cost, 0), o.cost),
    cost_source = CASE WHEN 'price' IN (e.cost_source, o.cost_source) THEN 'price'
                       ELSE coalesce(e.cost_source, o.cost_source) END,
    provider_job_status = :status,
    provider_seconds = coalesce(e.seconds + coalesce(o.seconds, 0), o.seconds)
FROM ended e LEFT JOIN LATERAL (
    -- 'price' comes before 'provider': a sum with an estimate is one.
    SELECT sum(cost) AS cost, sum(seconds) AS seconds, min(cost_source) AS cost_source FROM submissions s WHERE s.job = e.job AND s.id <> e.id
) o ON true
WHERE j.id = e.job AND j.epoch = :epoch AND j.status = 'running';

-- name: time_out_submission!
-- The task exceeded its deadline: requests its cancellation.
UPDATE submissions SET ended = 'timed_out', cancel_at = clock_timestamp() WHERE id = :id AND ended IS NULL;

-- name: request_provider_cancel
-- Requests the cancellation of the open submissions of cancelled jobs. Returns submissions of unknown outcome.
WITH cancelled AS (
    UPDATE submissions SET ended = 'cancelled', cancel_at = clock_timestamp()
    WHERE job = ANY (:jobs::uuid[]) AND closed_at IS NULL AND ended IS NULL
    RETURNING id, job, provider, model, created_at, task
)
SELECT id, job, provider, model, created_at FROM cancelled WHERE task IS NULL;

-- name: close_submissions!
-- Before a retry: closes submissions whose task certainly ended without success, so that their step may submit again.
-- With :resubmit closes all open ones, and requests the cancellation of tasks that have not ended.
UPDATE submissions
SET closed_at = clock_timestamp(), search_criteria = CASE WHEN cancel_at IS NOT NULL THEN search_criteria END,
    cancel_at = CASE WHEN task IS NOT NULL AND ended IS NULL THEN clock_timestamp() ELSE cancel_at END
WHERE job = ANY (:jobs::uuid[]) AND closed_at IS NULL
  AND (:resubmit::bool OR (task IS NOT NULL AND ended IN ('failed', 'cancelled', 'lost', 'timed_out')));

-- name: withdraw_provider_cancel!
-- Before a retry: withdraws the cancel request of submissions of unknown outcome, because the retry wants their task.
UPDATE submissions SET ended = NULL, cancel_at = NULL, cancel_attempts = 0
WHERE job = ANY (:jobs::uuid[]) AND closed_at IS NULL AND task IS NULL AND ended IS NOT NULL;

-- name: claim_provider_cancels
-- Claims due cancel requests with a lease of :lease seconds; skips providers that this worker cannot open
-- (:unconfigured).
UPDATE submissions s
SET cancel_attempts = cancel_attempts + 1, cancel_at = clock_timestamp() + make_interval(secs => :lease)
FROM (SELECT id FROM submissions c
      WHERE cancel_at <= statement_timestamp() AND provider <> ALL (:unconfigured::text[])
        AND (:only::uuid IS NULL
             OR EXISTS (SELECT FROM execution_jobs j WHERE j.id = c.job AND j.reserved_for = :only))
      ORDER BY cancel_at LIMIT :limit FOR UPDATE SKIP LOCKED) due, execution_jobs j
WHERE s.id = due.id AND j.id = s.job
RETURNING s.id, s.job, j.execution_id, j.job_id, s.provider, s.model, s.created_at, s.cancel_attempts,
          s.task::text AS task, s.search_criteria::text AS search_criteria,
          (SELECT i.task_id FROM inbox i WHERE i.submission = s.id AND i.task_id IS NOT NULL
           ORDER BY i.received_at LIMIT 1) AS webhook_task_id;

-- name: finish_provider_cancel!
-- The cancellation was sent, or the attempts are used up.
UPDATE submissions
SET cancel_at = NULL, search_criteria = CASE WHEN closed_at IS NULL THEN search_criteria END
WHERE id = :id;

-- name: postpone_provider_cancel!
UPDATE submissions SET cancel_at = clock_timestamp() + make_interval(secs => :delay)
WHERE id = :id AND cancel_at IS NOT NULL;

-- name: delete_old_webhooks!
DELETE FROM inbox WHERE received_at < statement_timestamp() - interval '30 days';
