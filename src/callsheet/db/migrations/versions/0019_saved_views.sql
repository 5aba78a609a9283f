-- Named filters of the lists of executions and jobs, and the index of the executions that reserve a part of a budget.
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

DROP INDEX executions_paid;
CREATE INDEX executions_reserving ON executions (api_key)
    WHERE estimated_cost IS NOT NULL AND status IN ('queued', 'running');
