-- name: has_awaiting_executions$
SELECT EXISTS (SELECT FROM executions WHERE awaits_place AND status = 'queued');

-- name: lock_places
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' places of executions', 0));

-- name: executions_to_start
-- Executions that may start. Those of a key are numbered from the number of its executions in progress on, oldest first;
-- the lowest numbers over all keys come first, so that a place goes to the key with the fewest.
WITH running AS (
    SELECT api_key, count(*) AS executions FROM executions
    WHERE api_key IS NOT NULL AND status IN ('queued', 'running') AND NOT awaits_place
    GROUP BY 1
)
SELECT w.id
FROM api_keys k
LEFT JOIN running r ON r.api_key = k.id
CROSS JOIN LATERAL (
    SELECT e.id, coalesce(r.executions, 0) + row_number() OVER (ORDER BY e.id) AS place
    FROM executions e
    WHERE e.api_key = k.id AND e.awaits_place AND e.status = 'queued'
    ORDER BY e.id
    LIMIT least(:limit::bigint, k.max_running - coalesce(r.executions, 0))
) w
WHERE k.max_running IS NULL OR k.max_running > coalesce(r.executions, 0)
ORDER BY w.place, w.id
LIMIT CASE WHEN :max_running::bigint IS NULL THEN :limit::bigint
           ELSE least(:limit::bigint, greatest(0, :max_running - (SELECT coalesce(sum(executions), 0) FROM running))) END;

-- name: give_places
-- The caller holds the locks of lock_executions. Executions that were cancelled meanwhile are not returned.
UPDATE executions SET awaits_place = false
WHERE id = ANY (:ids::uuid[]) AND awaits_place AND status = 'queued'
RETURNING id;

-- name: queue_first_jobs
-- Releases the jobs whose upstream jobs are done: the place was what they waited for.
UPDATE execution_jobs j
SET pending_dependencies = j.pending_dependencies - 1,
    status = CASE WHEN j.pending_dependencies > 1 THEN 'pending'
                  WHEN j.start_at > clock_timestamp() THEN 'scheduled' ELSE 'queued' END,
    scheduled_at = CASE WHEN j.pending_dependencies = 1 AND j.start_at > clock_timestamp() THEN j.start_at END,
    queued_at = CASE WHEN j.pending_dependencies = 1 THEN clock_timestamp() END
WHERE j.execution_id = ANY (:ids::uuid[]) AND j.status = 'pending'
  AND NOT EXISTS (SELECT FROM edges e JOIN execution_jobs u ON u.id = e.upstream
                  WHERE e.downstream = j.id
                    AND NOT (u.status = 'succeeded' OR (u.status = 'failed' AND u.continue_on_failure)))
RETURNING j.id, j.execution_id, j.job_id, j.queue, j.status, j.scheduled_at;
