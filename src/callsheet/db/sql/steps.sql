-- name: begin_step^
-- Writes down that a once-only step begins, if its job is still ours. A row: it is new, and may be done.
INSERT INTO once_steps (job, name, epoch)
SELECT id, :name, :epoch FROM execution_jobs WHERE id = :job AND epoch = :epoch AND status = 'running'
ON CONFLICT (job, name) DO NOTHING
RETURNING job;

-- name: get_step^
SELECT epoch, begun_at, done_at, value::text AS value FROM once_steps WHERE job = :job AND name = :name;

-- name: end_step!
UPDATE once_steps SET done_at = clock_timestamp(), value = :value::text::jsonb
WHERE job = :job AND name = :name AND epoch = :epoch;

-- name: undo_step!
-- The step certainly had no effect.
DELETE FROM once_steps WHERE job = :job AND name = :name AND epoch = :epoch AND done_at IS NULL;
