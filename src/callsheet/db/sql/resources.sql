-- name: record_resources!
-- Stores a measurement of the machine of a worker. Repeating it changes nothing.
INSERT INTO resource_samples (worker_id, at, worker_name, seconds, levels, sample)
VALUES (:worker_id, :at, :worker_name, :seconds, :levels::text::jsonb, :sample::text::jsonb)
ON CONFLICT (worker_id, thinned, at) DO NOTHING;

-- name: resource_history
-- Measurements of workers, oldest first: of some by their ids, or of all with a name.
SELECT worker_id, at, seconds, levels::text AS levels
FROM resource_samples
WHERE (worker_id = ANY (:worker_ids::uuid[]) OR worker_name = :name::text) AND at >= :since
ORDER BY at, worker_id;

-- name: current_resources
-- The newest measurement of each live worker.
SELECT w.name, s.sample::text AS sample
FROM workers w
CROSS JOIN LATERAL (SELECT sample FROM resource_samples WHERE worker_id = w.id AND NOT thinned
                    ORDER BY at DESC LIMIT 1) s
WHERE w.lost_at IS NULL
ORDER BY w.name, w.id;

-- name: thin_resources^
-- Replaces the measurements before a time by their averages and highest values in periods of :seconds. The time is the
-- start of a period, so that each period is replaced as a whole.
WITH old AS (
    DELETE FROM resource_samples WHERE NOT thinned AND at < :before RETURNING worker_id, worker_name, at, levels
), of_period AS (
    SELECT worker_id, max(worker_name) AS worker_name, date_bin(make_interval(secs => :seconds::int), at, 'epoch') AS at,
           level.key, avg((level.value ->> 0)::float8) AS average, max((level.value ->> 1)::float8) AS highest
    FROM old, jsonb_each(levels) AS level
    GROUP BY 1, 3, 4
), stored AS (
    INSERT INTO resource_samples (worker_id, thinned, at, worker_name, seconds, levels)
    SELECT worker_id, true, at, max(worker_name), :seconds,
           jsonb_object_agg(key, jsonb_build_array(round(average::numeric, 1), highest))
    FROM of_period
    GROUP BY worker_id, at
    ON CONFLICT (worker_id, thinned, at) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM old) AS measurements, (SELECT count(*) FROM stored) AS periods;

-- name: delete_old_resources!
DELETE FROM resource_samples WHERE thinned AND at < :before;

-- name: delete_runs_of_schedule!
-- Deletes the history of one schedule before a time, but its newest run.
DELETE FROM schedule_runs r
WHERE r.schedule = :name AND r.due_at < :before
  AND r.due_at < (SELECT max(due_at) FROM schedule_runs WHERE schedule = :name);
