-- Approvals of people.
-- No data is lost. Workers of the previous version keep working: they do not have the operation `approve`, so they do
-- not claim its jobs.

-- What jobs of the operation `approve` ask a person, and the decisions. One row for each run that asks: a retry asks
-- again. An approval is open while its outcome is null and its job still waits in that run.
CREATE TABLE approvals (
    id               uuid PRIMARY KEY,
    execution_id     uuid NOT NULL REFERENCES executions ON DELETE CASCADE,
    job              uuid NOT NULL,            -- execution_jobs.id
    epoch            integer NOT NULL,         -- the run that asks
    title            text NOT NULL,
    text             text,
    previews         uuid[] NOT NULL,          -- artifacts
    deadline         timestamptz NOT NULL,
    default_decision text NOT NULL CHECK (default_decision IN ('approve', 'reject', 'fail')),
    on_reject        text NOT NULL CHECK (on_reject IN ('fail', 'continue')),
    created_at       timestamptz NOT NULL DEFAULT now(),
    outcome          text CHECK (outcome IN ('approved', 'rejected', 'expired', 'withdrawn')),
    decided_by       text,                     -- name of the person
    comment          text,
    how              text CHECK (how IN ('api', 'console', 'cli', 'link', 'deadline')),
    decided_at       timestamptz,
    request          uuid                      -- of the decision: its repetition after a lost response is no second one
);
CREATE INDEX approvals_undecided ON approvals (deadline) WHERE outcome IS NULL;
CREATE INDEX approvals_by_execution ON approvals (execution_id);
