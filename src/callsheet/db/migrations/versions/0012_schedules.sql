-- Schedules, and what became of each of their times.
-- No data is lost. Workers and servers of the previous version keep working; they start no scheduled plans.

CREATE TABLE schedules (
    name       text PRIMARY KEY,
    origin     text NOT NULL CHECK (origin IN ('api', 'settings', 'included')),
    spec       jsonb NOT NULL,               -- ScheduleSpec
    due_at     timestamptz,                  -- the next time; null: none follows
    start_at   timestamptz,                  -- due_at with jitter
    paused_at  timestamptz,
    api_key    uuid,                         -- api_keys.id that its executions belong to
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE schedule_runs (
    schedule     text NOT NULL REFERENCES schedules ON DELETE CASCADE,
    due_at       timestamptz NOT NULL,
    decided_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome      text NOT NULL CHECK (outcome IN ('started', 'skipped', 'missed', 'refused')),
    reason       text,
    is_manual    boolean NOT NULL DEFAULT false,
    execution_id uuid,                       -- of executions, until it is deleted
    PRIMARY KEY (schedule, due_at)
);
CREATE INDEX schedule_runs_by_time ON schedule_runs (decided_at);
