-- name: begin_step^
-- Records that a once-only step starts, if the run still owns its job. A row: the step is new and may run.
INSERT INTO once_steps (job, name, epoch)
SELECT id, :name, :epoch FROM execution_jobs WHERE id = :job AND epoch = :epoch AND status = 'running'
ON CONFLICT (job, name) DO NOTHING
RETURNING job;

-- name: get_step^
SELECT epoch, started_at, finished_at, value::text AS value FROM once_steps WHERE job = :job AND name = :name;

-- name: end_step!
UPDATE once_steps SET finished_at = clock_timestamp(), value = :value::text::jsonb
WHERE job = :job AND name = :name AND epoch = :epoch;

-- name: undo_step!
-- Deletes the record of a step that certainly had no effect.
DELETE FROM once_steps WHERE job = :job AND name = :name AND epoch = :epoch AND finished_at IS NULL;
