-- Named filters of the lists of executions and jobs, rates and durations of queues, and the index of the executions that
-- reserve a part of a budget.
-- No data is lost. Servers and workers of the previous version keep working.
CREATE TABLE saved_views (
    id         uuid PRIMARY KEY,
    owner      text,                  -- user:ID, key:ID or local; null: shared by all
    list       text NOT NULL CHECK (list IN ('executions', 'jobs')),
    name       text NOT NULL,
    filter     jsonb NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (owner, list, name)
);

CREATE TABLE queue_minutes (
    queue     text NOT NULL,
    minute    timestamptz NOT NULL,
    started   bigint NOT NULL,
    ended     bigint NOT NULL,
    durations bigint[] NOT NULL, -- runs that succeeded or failed, in each bucket of the histograms
    PRIMARY KEY (queue, minute)
) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

DROP INDEX executions_paid;
CREATE INDEX executions_reserving ON executions (api_key)
    WHERE estimated_cost IS NOT NULL AND status IN ('queued', 'running');
