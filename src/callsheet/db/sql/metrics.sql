-- name: lock_event_count^
-- Locks the cursor, and returns which events can be counted: those since :counted_until that no transaction can add to
-- any more. An event is younger than its transaction. One second is left for a transaction that has just begun. No row:
-- another process counts.
SELECT counted_until,
       least(clock_timestamp() - interval '1 second',
             (SELECT min(xact_start) FROM pg_stat_activity
              WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid())) AS countable_until
FROM metric_cursor
FOR UPDATE SKIP LOCKED;

-- name: move_event_count!
UPDATE metric_cursor SET counted_until = :until;

-- name: count_events
-- Counts the changes of status since :since, up to :until, by type, operation and queue (null: of executions). `kind` is
-- the type, or `change.retried` and `change.rescued` (:worker_lost: the reason of that event). The histogram buckets are those
-- of :bounds: of the run of an ended job, of the wait of a started one, and of an ended execution; null: not known,
-- because the job has been started again since.
SELECT kind, operation, queue, width_bucket(seconds, :bounds::float8[]) AS bucket, count(*) AS events,
       coalesce(sum(seconds), 0)::float8 AS seconds
FROM (
    SELECT CASE WHEN v.type = 'job.scheduled' AND v.data ? 'error' THEN 'change.retried'
                WHEN v.type = 'job.queued' AND v.data ->> 'reason' = :worker_lost::text THEN 'change.rescued'
                ELSE v.type END AS kind,
           j.operation, j.queue,
           extract(epoch FROM CASE
               WHEN v.type IN ('job.succeeded', 'job.failed', 'job.cancelled') AND j.started_at <= v.at
                   THEN v.at - j.started_at
               WHEN v.type = 'job.running' AND j.queued_at <= j.started_at AND j.started_at <= v.at
                   THEN j.started_at - j.queued_at
               WHEN v.job_id IS NULL AND v.type <> 'execution.queued' THEN v.at - e.created_at END)::float8 AS seconds
    FROM events v
    LEFT JOIN execution_jobs j ON v.job_id IS NOT NULL AND j.execution_id = v.execution_id AND j.job_id = v.job_id
    LEFT JOIN executions e ON v.job_id IS NULL AND e.id = v.execution_id
    WHERE v.at > :since AND v.at <= :until
      AND v.type IN ('job.running', 'job.succeeded', 'job.failed', 'job.cancelled', 'job.skipped', 'job.scheduled',
                     'job.queued', 'execution.queued', 'execution.succeeded', 'execution.failed',
                     'execution.cancelled')
) counted
WHERE kind NOT IN ('job.scheduled', 'job.queued')
GROUP BY 1, 2, 3, 4;

-- name: add_metric_totals!
-- Adds to totals. The rows are locked in the order of their keys, so that no two transactions wait for each other.
INSERT INTO metric_totals AS t (name, labels, bound, value)
SELECT name, labels, bound, value
FROM (SELECT g.name, ARRAY(SELECT jsonb_array_elements_text(g.labels::jsonb)) AS labels, g.bound, g.value
      FROM unnest(:names::text[], :labels::text[], :bounds::float8[], :values::float8[])
          AS g (name, labels, bound, value)) given
ORDER BY name, labels, bound
ON CONFLICT (name, labels, bound) DO UPDATE SET value = t.value + excluded.value;

-- name: add_queue_minutes!
-- Adds to the minute of :at, one row for each queue; :durations are JSON lists. Minutes before :oldest are deleted.
WITH old AS (DELETE FROM queue_minutes WHERE minute < :oldest)
INSERT INTO queue_minutes AS m (queue, minute, started, ended, durations)
SELECT g.queue, date_trunc('minute', :at::timestamptz), g.started, g.ended,
       ARRAY(SELECT jsonb_array_elements_text(g.durations::jsonb)::bigint)
FROM unnest(:queues::text[], :started::bigint[], :ended::bigint[], :durations::text[])
    AS g (queue, started, ended, durations)
ON CONFLICT (queue, minute) DO UPDATE
SET started = m.started + excluded.started, ended = m.ended + excluded.ended,
    durations = ARRAY(SELECT coalesce(b.mine, 0) + coalesce(b.added, 0)
                      FROM unnest(m.durations, excluded.durations) WITH ORDINALITY AS b (mine, added, place)
                      ORDER BY b.place);

-- name: queue_minutes
-- The minutes since :since by queue: jobs that started and ended in the minutes since :rates_since, and the runs in each
-- bucket of the histograms since :since.
SELECT queue,
       (coalesce(sum(started) FILTER (WHERE minute >= :rates_since), 0))::bigint AS started,
       (coalesce(sum(ended) FILTER (WHERE minute >= :rates_since), 0))::bigint AS ended,
       ARRAY(SELECT coalesce(sum(b.runs), 0)::bigint
             FROM queue_minutes o, unnest(o.durations) WITH ORDINALITY AS b (runs, place)
             WHERE o.queue = m.queue AND o.minute >= :since GROUP BY b.place ORDER BY b.place) AS durations
FROM queue_minutes m
WHERE minute >= :since
GROUP BY queue;

-- name: metric_totals
SELECT name, labels, bound, value FROM metric_totals ORDER BY name, labels, bound;

-- name: metric_gauges^
-- States that no other read of a scrape has. Lags are seconds.
SELECT clock_timestamp() AS now,
       pg_database_size(current_database()) AS database_bytes,
       (SELECT count(*) FROM executions WHERE status = 'queued') AS executions_queued,
       (SELECT count(*) FROM executions WHERE status = 'running') AS executions_running,
       (SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND failed_at IS NULL) AS webhooks_waiting,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 FROM outbox
        WHERE delivered_at IS NULL AND failed_at IS NULL) AS webhooks_oldest,
       (SELECT count(*) FROM approvals a JOIN execution_jobs j ON j.id = a.job
        WHERE a.outcome IS NULL AND j.status = 'waiting' AND j.epoch = a.epoch) AS approvals_open,
       (SELECT count(*) FROM execution_jobs WHERE held_at IS NOT NULL) AS submissions_held;

-- name: provider_waits
-- Jobs that wait for a task, and how late the most overdue poll is, by provider.
SELECT provider, count(*) AS jobs,
       greatest(extract(epoch FROM clock_timestamp() - min(next_poll_at)), 0)::float8 AS lag
FROM execution_jobs
WHERE status = 'waiting' AND provider IS NOT NULL
GROUP BY provider
ORDER BY provider;
