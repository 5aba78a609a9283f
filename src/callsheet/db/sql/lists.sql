-- name: list_job_ids
-- One page of jobs, newest first. :before is the last id of the previous page.
-- Jobs that have ended, or wait for others, are read group by group from the index execution_jobs_listed, so that rare
-- values are found quickly in a long history: there are few groups of queue, operation and status.
WITH RECURSIVE groups AS (
    (SELECT queue, operation, status FROM execution_jobs
     WHERE status IN ('pending', 'succeeded', 'failed', 'cancelled', 'skipped')
     ORDER BY queue, operation, status LIMIT 1)
    UNION ALL
    SELECT n.queue, n.operation, n.status
    FROM groups g
    CROSS JOIN LATERAL (SELECT j.queue, j.operation, j.status FROM execution_jobs j
                        WHERE j.status IN ('pending', 'succeeded', 'failed', 'cancelled', 'skipped')
                          AND (j.queue, j.operation, j.status) > (g.queue, g.operation, g.status)
                        ORDER BY j.queue, j.operation, j.status LIMIT 1) n
), listed AS (
    SELECT f.id
    FROM groups g
    CROSS JOIN LATERAL (SELECT j.id FROM execution_jobs j
                        WHERE j.status IN ('pending', 'succeeded', 'failed', 'cancelled', 'skipped')
                          AND j.queue = g.queue AND j.operation = g.operation AND j.status = g.status
                          AND j.id < coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                          AND j.id >= coalesce(:first_id::uuid, '00000000-0000-0000-0000-000000000000')
                          AND j.id <= coalesce(:last_id::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                        ORDER BY j.id DESC LIMIT :limit) f
    WHERE (:statuses::text[] IS NULL OR g.status = ANY (:statuses::text[]))
      AND (:operation::text IS NULL OR g.operation = :operation)
      AND (:queue::text IS NULL OR g.queue = :queue)
), open AS MATERIALIZED ( -- or the planner would search the open jobs among all
    SELECT id FROM execution_jobs
    WHERE status = 'queued' AND (:statuses::text[] IS NULL OR 'queued' = ANY (:statuses::text[]))
      AND (:operation::text IS NULL OR operation = :operation) AND (:queue::text IS NULL OR queue = :queue)
    UNION ALL
    SELECT id FROM execution_jobs
    WHERE status = 'running' AND (:statuses::text[] IS NULL OR 'running' = ANY (:statuses::text[]))
      AND (:operation::text IS NULL OR operation = :operation) AND (:queue::text IS NULL OR queue = :queue)
    UNION ALL
    SELECT id FROM execution_jobs
    WHERE status = 'scheduled' AND (:statuses::text[] IS NULL OR 'scheduled' = ANY (:statuses::text[]))
      AND (:operation::text IS NULL OR operation = :operation) AND (:queue::text IS NULL OR queue = :queue)
    UNION ALL
    SELECT id FROM execution_jobs
    WHERE status = 'waiting' AND (:statuses::text[] IS NULL OR 'waiting' = ANY (:statuses::text[]))
      AND (:operation::text IS NULL OR operation = :operation) AND (:queue::text IS NULL OR queue = :queue)
)
SELECT id FROM (
    SELECT id FROM listed
    UNION ALL
    SELECT id FROM open
    WHERE id < coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
      AND id >= coalesce(:first_id::uuid, '00000000-0000-0000-0000-000000000000')
      AND id <= coalesce(:last_id::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
) found
ORDER BY id DESC
LIMIT :limit;

-- name: list_job_ids_of_execution
-- One page of the jobs of an execution, newest first.
SELECT id FROM execution_jobs
WHERE execution_id = :execution_id
  AND (:statuses::text[] IS NULL OR status = ANY (:statuses::text[]))
  AND (:operation::text IS NULL OR operation = :operation)
  AND (:queue::text IS NULL OR queue = :queue)
  AND (:error_code::text IS NULL OR (status = 'failed' AND error ->> 'code' = :error_code))
  AND id < coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND id >= coalesce(:first_id::uuid, '00000000-0000-0000-0000-000000000000')
  AND id <= coalesce(:last_id::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
ORDER BY id DESC
LIMIT :limit;

-- name: list_failed_job_ids
-- One page of the jobs that failed with a code, newest first.
SELECT id FROM execution_jobs
WHERE status = 'failed' AND error ->> 'code' = :error_code
  AND (:statuses::text[] IS NULL OR status = ANY (:statuses::text[]))
  AND (:operation::text IS NULL OR operation = :operation)
  AND (:queue::text IS NULL OR queue = :queue)
  AND id < coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND id >= coalesce(:first_id::uuid, '00000000-0000-0000-0000-000000000000')
  AND id <= coalesce(:last_id::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
ORDER BY id DESC
LIMIT :limit;

-- name: listed_jobs
-- What a list shows of jobs.
SELECT id, execution_id, job_id, operation, queue, priority, status, progress, progress_message,
       jsonb_build_object('message', left(error ->> 'message', 1000), 'code', error -> 'code')::text AS error,
       error IS NOT NULL AS has_error, wait_reason::text AS wait_reason, reserved_for, attempts, max_attempts, starts,
       epoch, worker_name, scheduled_at, start_at, on_hold_at, held_at, cancel_requested_at, provider, provider_job_id,
       provider_job_status, waiting_strategy, next_poll_at, cost, created_at, queued_at, started_at, finished_at
FROM execution_jobs
WHERE id = ANY (:ids::uuid[])
ORDER BY id DESC;

-- name: list_artifacts
-- One page of artifacts, newest first. :kind is the first part of the media type.
SELECT a.id, a.execution_id, a.job, j.job_id, a.name, a.key, a.media_type, a.size, a.sha256, a.probe::text AS probe,
       a.created_at, a.from_unfinished_run
FROM artifacts a JOIN execution_jobs j ON j.id = a.job
WHERE a.id < coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND a.id >= coalesce(:first_id::uuid, '00000000-0000-0000-0000-000000000000')
  AND a.id <= coalesce(:last_id::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND (:execution_id::uuid IS NULL OR a.execution_id = :execution_id)
  AND (:kind::text IS NULL OR split_part(a.media_type, '/', 1) = :kind)
  AND (:name::text IS NULL OR a.name = :name)
ORDER BY a.id DESC
LIMIT :limit;
