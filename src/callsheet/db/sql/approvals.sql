-- name: store_approvals!
-- For jobs that just became waiting: stores what they ask, and the reason of their wait. They are not polled.
WITH given AS (
    SELECT * FROM unnest(:ids::uuid[], :jobs::uuid[], :epochs::int[], :titles::text[], :texts::text[],
                         :previews::text[], :deadlines::timestamptz[], :defaults::text[], :on_rejects::text[],
                         :reasons::text[])
        AS g (id, job, epoch, title, text, previews, deadline, default_decision, on_reject, reason)
), waits AS (
    UPDATE execution_jobs j
    SET wait_reason = g.reason::jsonb, waiting_until = g.deadline, provider = NULL, submission = NULL,
        provider_job_id = NULL, provider_job_status = NULL, waiting_strategy = NULL, next_poll_at = NULL
    FROM given g
    WHERE j.id = g.job AND j.epoch = g.epoch AND j.status = 'waiting'
    RETURNING j.id, j.execution_id
)
INSERT INTO approvals (id, execution_id, job, epoch, title, text, previews, deadline, default_decision, on_reject)
SELECT g.id, w.execution_id, g.job, g.epoch, g.title, g.text, g.previews::uuid[], g.deadline, g.default_decision,
       g.on_reject
FROM given g JOIN waits w ON w.id = g.job;

-- name: approval_execution$
SELECT execution_id FROM approvals WHERE id = :id;

-- name: decide_approval
-- Stores the decision of a person, if the approval is open. The caller holds the lock of the execution.
UPDATE approvals a
SET outcome = :outcome, decided_by = :by, comment = :comment, how = :how, decided_at = clock_timestamp(),
    request = :request
FROM execution_jobs j
WHERE a.id = :id AND a.outcome IS NULL AND a.deadline > clock_timestamp()
  AND j.id = a.job AND j.epoch = a.epoch AND j.status = 'waiting'
RETURNING a.id, a.job, a.epoch, a.title, a.outcome, a.decided_by, a.comment, a.how, a.decided_at, a.on_reject,
          j.attempts;

-- name: due_approvals
-- Undecided approvals whose deadline has passed. Read only; expire_approvals ends them.
SELECT id, execution_id FROM approvals
WHERE outcome IS NULL AND deadline <= statement_timestamp()
ORDER BY deadline
LIMIT :limit;

-- name: expire_approvals
-- Decides approvals at their deadline by their default. Those whose job no longer waits are withdrawn.
-- The caller holds the locks of the executions.
UPDATE approvals a
SET outcome = CASE WHEN j.status <> 'waiting' OR j.epoch <> a.epoch THEN 'withdrawn'
                   WHEN a.default_decision = 'approve' THEN 'approved'
                   WHEN a.default_decision = 'reject' THEN 'rejected'
                   ELSE 'expired' END,
    how = 'deadline', decided_at = clock_timestamp()
FROM execution_jobs j
WHERE a.id = ANY (:ids::uuid[]) AND a.outcome IS NULL AND a.deadline <= clock_timestamp() AND j.id = a.job
RETURNING a.id, a.job, a.epoch, a.title, a.outcome, a.decided_by, a.comment, a.how, a.decided_at, a.on_reject,
          j.attempts;

-- name: end_waiting_jobs
-- Ends jobs that wait for a decision.
UPDATE execution_jobs j
SET status = g.status, result = g.result::jsonb,
    error = CASE WHEN g.status = 'failed' THEN coalesce(g.error::jsonb, j.error) END,
    progress = CASE WHEN g.status = 'succeeded' THEN 1 ELSE j.progress END,
    attempts = j.attempts + (g.error IS NOT NULL)::int, finished_at = clock_timestamp()
FROM unnest(:ids::uuid[], :epochs::int[], :statuses::text[], :results::text[], :errors::text[])
    AS g (id, epoch, status, result, error)
WHERE j.id = g.id AND j.epoch = g.epoch AND j.status = 'waiting'
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status, j.has_downstream, j.continue_on_failure;

-- name: get_approval^
SELECT a.id, a.execution_id, j.job_id, a.job AS job_record_id, a.title, a.text, a.previews, a.deadline,
       a.default_decision AS default, a.on_reject, a.created_at, a.decided_by AS by, a.comment, a.decided_at, a.how,
       a.request,
       CASE WHEN a.outcome IS NOT NULL THEN a.outcome
            WHEN j.status = 'waiting' AND j.epoch = a.epoch THEN 'open'
            ELSE 'withdrawn' END AS status
FROM approvals a JOIN execution_jobs j ON j.id = a.job
WHERE a.id = :id;

-- name: list_approvals
-- One page, newest first. :before is the last id of the previous page.
SELECT * FROM (
    SELECT a.id, a.execution_id, j.job_id, a.job AS job_record_id, a.title, a.text, a.previews, a.deadline,
           a.default_decision AS default, a.on_reject, a.created_at, a.decided_by AS by, a.comment, a.decided_at,
           a.how,
           CASE WHEN a.outcome IS NOT NULL THEN a.outcome
                WHEN j.status = 'waiting' AND j.epoch = a.epoch THEN 'open'
                ELSE 'withdrawn' END AS status
    FROM approvals a JOIN execution_jobs j ON j.id = a.job
    WHERE (:before::uuid IS NULL OR a.id < :before)) listed
WHERE :status::text IS NULL OR status = :status
ORDER BY id DESC
LIMIT :limit;

-- name: approval_previews
-- The files that approvals show.
SELECT a.id, a.execution_id, a.job, j.job_id, a.name, a.key, a.media_type, a.size, a.sha256, a.probe::text AS probe,
       a.created_at, a.from_unfinished_run
FROM artifacts a JOIN execution_jobs j ON j.id = a.job
WHERE a.id = ANY (:ids::uuid[]);
