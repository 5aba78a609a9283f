-- name: insert_bulk_action!
INSERT INTO bulk_actions (id, action, filter, matched, up_to, requested_by)
VALUES (:id, :action, :filter::text::jsonb, :matched, :up_to, :requested_by);

-- name: bulk_action^
SELECT id, action, filter::text AS filter, matched, processed, changed, failed, failures::text AS failures, requested_by,
       created_at, finished_at, stopped
FROM bulk_actions WHERE id = :id;

-- name: list_bulk_actions
-- One page, newest first. :before is the last id of the previous page.
SELECT id, action, filter::text AS filter, matched, processed, changed, failed, failures::text AS failures, requested_by,
       created_at, finished_at, stopped
FROM bulk_actions
WHERE :before::uuid IS NULL OR id < :before
ORDER BY id DESC
LIMIT :limit;

-- name: stop_bulk_action!
UPDATE bulk_actions SET finished_at = clock_timestamp(), stopped = true WHERE id = :id AND finished_at IS NULL;

-- name: lock_open_bulk_action^
-- A bulk action that no other transaction carries out at the moment.
SELECT id, action, filter::text AS filter, up_to, next_before FROM bulk_actions
WHERE finished_at IS NULL
ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;

-- name: record_bulk_part!
-- Adds what a part has done. Only the first :most failures are kept.
UPDATE bulk_actions
SET next_before = :next_before, processed = processed + :processed, changed = changed + :changed,
    failed = failed + jsonb_array_length(:failures::text::jsonb),
    failures = (SELECT coalesce(jsonb_agg(f.failure ORDER BY f.place), '[]')
                FROM (SELECT failure, place
                      FROM jsonb_array_elements(failures || :failures::text::jsonb) WITH ORDINALITY AS g (failure, place)
                      ORDER BY place LIMIT :most) f),
    finished_at = CASE WHEN :is_last::bool THEN clock_timestamp() END
WHERE id = :id;

-- name: delete_old_bulk_actions$
-- Deletes bulk actions that ended more than :max_age seconds ago. Returns their number.
WITH old AS (
    DELETE FROM bulk_actions
    WHERE id IN (SELECT id FROM bulk_actions
                 WHERE finished_at < statement_timestamp() - make_interval(secs => :max_age)
                 LIMIT :limit)
    RETURNING id
)
SELECT count(*) AS deleted FROM old;

-- name: count_matching_executions
-- Number of the executions that a filter matches, by status. The condition is that of list_executions.
SELECT status, count(*) AS executions
FROM executions LEFT JOIN plan_runs ON execution_id = id
WHERE (:statuses::text[] IS NULL OR status = ANY (:statuses::text[]))
  AND (:before::uuid IS NULL OR id < :before)
  AND id >= coalesce(:first_id::uuid, '00000000-0000-0000-0000-000000000000')
  AND id <= coalesce(:last_id::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND (:search::text IS NULL OR name ILIKE :name_pattern OR id::text = :search OR metadata::text ILIKE :metadata_pattern)
  AND (:created_after::timestamptz IS NULL OR created_at >= :created_after)
  AND (:created_before::timestamptz IS NULL OR created_at < :created_before)
  AND (:operation::text IS NULL AND :queue::text IS NULL AND :error_code::text IS NULL
       OR EXISTS (SELECT FROM execution_jobs j
                  WHERE j.execution_id = executions.id
                    AND (:operation::text IS NULL OR j.operation = :operation)
                    AND (:queue::text IS NULL OR j.queue = :queue)
                    AND (:error_code::text IS NULL OR j.status = 'failed' AND j.error ->> 'code' = :error_code)))
  AND (:plan::text IS NULL OR plan_name = :plan)
  AND (:batch::uuid IS NULL OR batch_id = :batch)
  AND (:source::text IS NULL
       OR EXISTS (SELECT FROM intake_messages m WHERE m.execution_id = executions.id AND m.source = :source))
  AND (:api_key::uuid IS NULL OR api_key = :api_key)
GROUP BY status;

-- name: next_matching_executions
-- The next executions that a filter matches, newest first. The condition is that of list_executions.
SELECT id, name, status, job_count
FROM executions LEFT JOIN plan_runs ON execution_id = id
WHERE (:statuses::text[] IS NULL OR status = ANY (:statuses::text[]))
  AND (:before::uuid IS NULL OR id < :before)
  AND id >= coalesce(:first_id::uuid, '00000000-0000-0000-0000-000000000000')
  AND id <= coalesce(:last_id::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND (:search::text IS NULL OR name ILIKE :name_pattern OR id::text = :search OR metadata::text ILIKE :metadata_pattern)
  AND (:created_after::timestamptz IS NULL OR created_at >= :created_after)
  AND (:created_before::timestamptz IS NULL OR created_at < :created_before)
  AND (:operation::text IS NULL AND :queue::text IS NULL AND :error_code::text IS NULL
       OR EXISTS (SELECT FROM execution_jobs j
                  WHERE j.execution_id = executions.id
                    AND (:operation::text IS NULL OR j.operation = :operation)
                    AND (:queue::text IS NULL OR j.queue = :queue)
                    AND (:error_code::text IS NULL OR j.status = 'failed' AND j.error ->> 'code' = :error_code)))
  AND (:plan::text IS NULL OR plan_name = :plan)
  AND (:batch::uuid IS NULL OR batch_id = :batch)
  AND (:source::text IS NULL
       OR EXISTS (SELECT FROM intake_messages m WHERE m.execution_id = executions.id AND m.source = :source))
  AND (:api_key::uuid IS NULL OR api_key = :api_key)
ORDER BY id DESC
LIMIT :limit;

-- name: count_ready_jobs$
-- Number of jobs of a queue that have not started.
SELECT (SELECT count(*) FROM execution_jobs WHERE queue = :queue AND status = 'queued')
     + (SELECT count(*) FROM execution_jobs WHERE queue = :queue AND status = 'scheduled');

-- name: ready_jobs
-- Some jobs of a queue that have not started, of executions up to :up_to.
SELECT q.id, q.execution_id FROM (
    (SELECT id, execution_id FROM execution_jobs
     WHERE queue = :queue AND status = 'queued' AND execution_id <= :up_to
     ORDER BY priority DESC, number LIMIT :limit)
    UNION ALL
    (SELECT id, execution_id FROM execution_jobs
     WHERE queue = :queue AND status = 'scheduled' AND execution_id <= :up_to
     ORDER BY scheduled_at LIMIT :limit)) q
LIMIT :limit;

-- name: cancel_ready_jobs
-- Cancels those of the jobs that have not started. Skips rows that a claim has locked.
WITH free AS (
    SELECT id FROM execution_jobs
    WHERE id = ANY (:ids::uuid[]) AND queue = :queue AND status IN ('queued', 'scheduled')
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE execution_jobs j
SET status = 'cancelled', finished_at = clock_timestamp(), cancel_requested_at = clock_timestamp(), scheduled_at = NULL
FROM free
WHERE j.id = free.id
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status, j.has_downstream, j.continue_on_failure;
