-- Executions that were created through `/v1/videos`; each has exactly one job.

-- name: get_video^
SELECT e.id, e.metadata::text AS metadata, e.created_at, j.status, j.progress, j.params::text AS params,
       j.result::text AS result, j.error::text AS error, j.finished_at
FROM executions e JOIN execution_jobs j ON j.execution_id = e.id AND j.job_id = 'video' AND j.operation = 'generate'
WHERE e.id = :id AND e.metadata ->> 'videos' = 'shown';

-- name: newest_videos
-- One page, newest first. :after is the last id of the previous page.
SELECT e.id, e.metadata::text AS metadata, e.created_at, j.status, j.progress, j.params::text AS params,
       j.result::text AS result, j.error::text AS error, j.finished_at
FROM executions e JOIN execution_jobs j ON j.execution_id = e.id AND j.job_id = 'video' AND j.operation = 'generate'
WHERE e.metadata ->> 'videos' = 'shown' AND (:after::uuid IS NULL OR e.id < :after)
ORDER BY e.id DESC
LIMIT :limit;

-- name: oldest_videos
-- One page, oldest first.
SELECT e.id, e.metadata::text AS metadata, e.created_at, j.status, j.progress, j.params::text AS params,
       j.result::text AS result, j.error::text AS error, j.finished_at
FROM executions e JOIN execution_jobs j ON j.execution_id = e.id AND j.job_id = 'video' AND j.operation = 'generate'
WHERE e.metadata ->> 'videos' = 'shown' AND (:after::uuid IS NULL OR e.id > :after)
ORDER BY e.id
LIMIT :limit;

-- name: mark_video_deleted!
UPDATE executions SET metadata = metadata || '{"videos": "hidden"}'::jsonb WHERE id = :id;
