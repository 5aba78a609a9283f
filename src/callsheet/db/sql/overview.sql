-- name: waiting_jobs
-- Some jobs that wait: of each status up to :limit, with what their wait reasons need.
SELECT q.* FROM (
    (SELECT id, execution_id, job_id, operation, queue, status, wait_reason::text AS wait_reason, reserved_for, attempts,
            max_attempts, starts, epoch, scheduled_at, provider, provider_job_id, provider_job_status, waiting_strategy,
            next_poll_at, held_at, start_at, on_hold_at, error::text AS error, queued_at, created_at
     FROM execution_jobs WHERE status = 'queued' ORDER BY queue, priority DESC, number LIMIT :limit)
    UNION ALL
    (SELECT id, execution_id, job_id, operation, queue, status, wait_reason::text, reserved_for, attempts,
            max_attempts, starts, epoch, scheduled_at, provider, provider_job_id, provider_job_status, waiting_strategy,
            next_poll_at, held_at, start_at, on_hold_at, error::text, queued_at, created_at
     FROM execution_jobs WHERE status = 'waiting' LIMIT :limit)
    UNION ALL
    (SELECT id, execution_id, job_id, operation, queue, status, wait_reason::text, reserved_for, attempts,
            max_attempts, starts, epoch, scheduled_at, provider, provider_job_id, provider_job_status, waiting_strategy,
            next_poll_at, held_at, start_at, on_hold_at, error::text, queued_at, created_at
     FROM execution_jobs WHERE status = 'scheduled' ORDER BY scheduled_at LIMIT :limit)
    UNION ALL
    (SELECT id, execution_id, job_id, operation, queue, status, wait_reason::text, reserved_for, attempts,
            max_attempts, starts, epoch, scheduled_at, provider, provider_job_id, provider_job_status, waiting_strategy,
            next_poll_at, held_at, start_at, on_hold_at, error::text, queued_at, created_at
     FROM execution_jobs WHERE on_hold_at IS NOT NULL LIMIT :limit)) q;

-- name: failures_by_code
-- The failed jobs of the newest failed executions, up to :limit, that were created from the id :first on, by code.
SELECT j.error ->> 'code' AS code, count(*) AS jobs, max(left(j.error ->> 'message', 300)) AS message
FROM (SELECT id FROM executions WHERE status = 'failed' AND id >= :first::uuid ORDER BY id DESC LIMIT :limit) e
JOIN execution_jobs j ON j.execution_id = e.id AND j.status = 'failed'
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT 50;

-- name: running_jobs
-- Running jobs, up to :limit, with their workers.
SELECT id, execution_id, job_id, operation, queue, worker_id, progress, started_at
FROM execution_jobs WHERE status = 'running'
ORDER BY queue, worker_id
LIMIT :limit;

-- name: provider_outcomes
-- How the newest submissions, up to :limit, ended, by provider; with the job and the error of the newest failure.
SELECT n.provider, n.submissions, n.newest, n.rejected, n.unknown, n.failed, n.succeeded, n.open,
       j.id AS failed_job, f.created_at AS failed_at, coalesce(j.error ->> 'message', f.evidence ->> 'message') AS error
FROM (SELECT provider, count(*) AS submissions, max(created_at) AS newest,
             count(*) FILTER (WHERE outcome = 'rejected') AS rejected,
             count(*) FILTER (WHERE outcome = 'unknown') AS unknown,
             count(*) FILTER (WHERE ended IN ('failed', 'lost', 'timed_out')) AS failed,
             count(*) FILTER (WHERE ended = 'succeeded') AS succeeded,
             count(*) FILTER (WHERE outcome = 'accepted' AND ended IS NULL AND closed_at IS NULL) AS open,
             max(id::text) FILTER (WHERE outcome = 'rejected' OR ended IN ('failed', 'lost', 'timed_out'))::uuid AS failure
      FROM (SELECT id, provider, created_at, outcome, ended, closed_at
            FROM submissions ORDER BY id DESC LIMIT :limit) newest
      GROUP BY provider) n
LEFT JOIN submissions f ON f.id = n.failure
LEFT JOIN execution_jobs j ON j.id = f.job
ORDER BY n.provider;

-- name: database_size$
-- Bytes of the database with all its tables and indexes.
SELECT pg_database_size(current_database());

-- name: search_artifacts
-- One page of artifacts, newest first, whose name, job, operation, prompt or execution contains a text, among the newest
-- :newest ones. :pattern is that of LIKE.
SELECT a.id, a.execution_id, a.job, j.job_id, a.name, a.key, a.media_type, a.size, a.sha256, a.probe::text AS probe,
       a.created_at, a.from_unfinished_run
FROM (SELECT * FROM artifacts
      WHERE (:before::uuid IS NULL OR id < :before)
        AND (:execution_id::uuid IS NULL OR execution_id = :execution_id)
        AND (:kind::text IS NULL OR starts_with(media_type, :kind::text || '/'))
      ORDER BY id DESC LIMIT :newest) a
JOIN execution_jobs j ON j.id = a.job
JOIN executions e ON e.id = a.execution_id
WHERE a.name ILIKE :pattern OR j.job_id ILIKE :pattern OR j.operation ILIKE :pattern OR e.name ILIKE :pattern
   OR j.params ->> 'prompt' ILIKE :pattern OR j.params ->> 'text' ILIKE :pattern
ORDER BY a.id DESC
LIMIT :limit;

-- name: similar_artifacts
-- Artifacts of the kind of an example, among the newest :newest ones: those whose jobs have most words of its prompt in
-- common first, then those of the same model, operation, shape and length.
WITH example AS (
    SELECT x.id, split_part(x.media_type, '/', 1) || '/' AS kind, x.probe, j.operation,
           j.params ->> 'modelId' AS model,
           (SELECT string_agg(quote_literal(word), ' | ') FROM unnest(tsvector_to_array(to_tsvector('simple',
               coalesce(j.params ->> 'prompt', j.params ->> 'text', e.name, '')))) word)::tsquery AS words
    FROM artifacts x JOIN execution_jobs j ON j.id = x.job JOIN executions e ON e.id = x.execution_id
    WHERE x.id = :example)
SELECT a.id, a.execution_id, a.job, j.job_id, a.name, a.key, a.media_type, a.size, a.sha256, a.probe::text AS probe,
       a.created_at, a.from_unfinished_run
FROM example
CROSS JOIN LATERAL (SELECT * FROM artifacts WHERE starts_with(media_type, example.kind) ORDER BY id DESC LIMIT :newest) a
JOIN execution_jobs j ON j.id = a.job
JOIN executions e ON e.id = a.execution_id
CROSS JOIN LATERAL (
    SELECT coalesce(ts_rank(to_tsvector('simple', coalesce(j.params ->> 'prompt', j.params ->> 'text', e.name, '')),
                            example.words), 0) AS words) rank
WHERE a.id <> example.id
ORDER BY rank.words DESC, (j.params ->> 'modelId' = example.model) DESC NULLS LAST, (j.operation = example.operation) DESC,
         abs(ln(greatest((a.probe ->> 'width')::float8, 1) / greatest((a.probe ->> 'height')::float8, 1))
             - ln(greatest((example.probe ->> 'width')::float8, 1) / greatest((example.probe ->> 'height')::float8, 1))),
         abs((a.probe ->> 'duration')::float8 - (example.probe ->> 'duration')::float8), a.id DESC
LIMIT :limit;
