-- name: put_schedule^
-- Stores a schedule, or replaces it. :may_replace: the origins that it may replace; no row for another one.
INSERT INTO schedules AS s (name, origin, spec, due_at, start_at, paused_at, api_key, created_by)
VALUES (:name, :origin, :spec::jsonb, :due_at, :start_at, CASE WHEN :paused::bool THEN clock_timestamp() END, :api_key,
        :created_by)
ON CONFLICT (name) DO UPDATE
SET origin = excluded.origin, spec = excluded.spec, due_at = excluded.due_at, start_at = excluded.start_at,
    api_key = excluded.api_key, updated_at = clock_timestamp(),
    paused_at = CASE WHEN :paused::bool THEN coalesce(s.paused_at, excluded.paused_at)
                     WHEN :keep_paused::bool THEN s.paused_at END
WHERE s.origin = ANY (:may_replace::text[])
RETURNING name, origin, spec::text AS spec, due_at, start_at, paused_at, created_at, created_by, updated_at;

-- name: list_schedules
-- Schedules by name with their newest run; :name: only this one.
SELECT s.name, s.origin, s.spec::text AS spec, s.due_at, s.start_at, s.paused_at, s.created_at, s.created_by,
       s.updated_at, r.due_at AS run_due_at, r.decided_at, r.outcome, r.reason, r.is_manual, r.execution_id,
       e.status AS execution_status
FROM schedules s
LEFT JOIN LATERAL (SELECT * FROM schedule_runs WHERE schedule = s.name ORDER BY due_at DESC LIMIT 1) r ON true
LEFT JOIN executions e ON e.id = r.execution_id
WHERE :name::text IS NULL OR s.name = :name
ORDER BY s.name;

-- name: schedule_names
SELECT name, origin FROM schedules ORDER BY name;

-- name: lock_schedule^
SELECT name, origin, spec::text AS spec, due_at, start_at, paused_at, api_key, clock_timestamp() AS now
FROM schedules WHERE name = :name FOR UPDATE;

-- name: read_schedule^
SELECT name, origin, spec::text AS spec, paused_at, api_key, clock_timestamp() AS now FROM schedules WHERE name = :name;

-- name: postpone_schedule!
-- Looks again after a minute at a schedule whose time has come.
UPDATE schedules SET start_at = clock_timestamp() + interval '1 minute' WHERE name = :name;

-- name: due_schedules
-- Schedules that are due. Read only; lock_due_schedule takes one.
SELECT name FROM schedules WHERE paused_at IS NULL AND start_at <= clock_timestamp() ORDER BY start_at;

-- name: lock_due_schedule^
-- A due schedule; no row while another server decides about it.
SELECT name, origin, spec::text AS spec, due_at, start_at, api_key, clock_timestamp() AS now
FROM schedules WHERE name = :name AND paused_at IS NULL AND start_at <= clock_timestamp()
FOR UPDATE SKIP LOCKED;

-- name: unfinished_schedule_runs
-- Executions of a schedule that have not ended, among its last runs.
SELECT e.id FROM (SELECT execution_id FROM schedule_runs WHERE schedule = :name ORDER BY due_at DESC LIMIT 200) r
JOIN executions e ON e.id = r.execution_id
WHERE e.status IN ('queued', 'running')
ORDER BY e.id;

-- name: set_schedule_due!
UPDATE schedules SET due_at = :due_at, start_at = :start_at WHERE name = :name;

-- name: insert_schedule_run!
-- A repeated request for the same execution is one run.
INSERT INTO schedule_runs (schedule, due_at, outcome, reason, is_manual, execution_id)
SELECT :name, :due_at::timestamptz, :outcome, :reason, :is_manual::bool, :execution_id::uuid
WHERE NOT EXISTS (SELECT FROM schedule_runs WHERE schedule = :name AND execution_id = :execution_id::uuid)
ON CONFLICT (schedule, due_at) DO NOTHING;

-- name: set_schedule_run_reason!
UPDATE schedule_runs SET reason = :reason WHERE schedule = :name AND due_at = :due_at;

-- name: pause_schedule!
UPDATE schedules SET paused_at = coalesce(paused_at, clock_timestamp()) WHERE name = :name;

-- name: resume_schedule!
UPDATE schedules SET paused_at = NULL, due_at = :due_at, start_at = :start_at WHERE name = :name;

-- name: delete_schedules!
DELETE FROM schedules WHERE name = ANY (:names::text[]);

-- name: list_schedule_runs
-- Runs of a schedule, newest first, before a time.
SELECT r.due_at AS run_due_at, r.decided_at, r.outcome, r.reason, r.is_manual, r.execution_id,
       e.status AS execution_status
FROM schedule_runs r LEFT JOIN executions e ON e.id = r.execution_id
WHERE r.schedule = :name AND (:before::timestamptz IS NULL OR r.due_at < :before)
ORDER BY r.due_at DESC LIMIT :limit;

-- name: delete_old_schedule_runs!
DELETE FROM schedule_runs WHERE (schedule, due_at) IN (
    SELECT schedule, due_at FROM schedule_runs
    WHERE decided_at < clock_timestamp() - make_interval(secs => :max_age) LIMIT :limit
);

-- name: limits_of_key^
-- What limits the executions of an API key, and whether it may still be used.
SELECT name, max_running, monthly_budget, revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
       AS is_valid
FROM api_keys WHERE id = :id;

-- name: lock_schedules$
-- One server at a time stores the schedules of its settings.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/schedules', 0))::text;

-- name: schedule_specs
SELECT name, origin, spec::text AS spec, paused_at FROM schedules;

-- name: has_ad_metrics$
SELECT EXISTS (SELECT FROM ad_metrics);

-- name: has_ad_winners$
SELECT EXISTS (SELECT FROM ad_winners);
