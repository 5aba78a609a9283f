-- Plans that are run by name, and batches of executions.
-- No data is lost. Workers of the previous version keep working: the new tables are written by servers only.

-- Plans that are run by name. A changed plan is a new version.
CREATE TABLE plans (
    name       text NOT NULL,
    version    integer NOT NULL,
    document   jsonb NOT NULL,         -- the plan with its inputs
    digest     bytea NOT NULL,         -- SHA-256 of the document
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);

-- Executions that one request made from a table of inputs.
CREATE TABLE batches (
    id              uuid PRIMARY KEY,
    name            text,
    plan_name       text,              -- null: the plan was part of the request
    plan_version    integer,
    size            integer NOT NULL,  -- executions at the start
    idempotency_key text UNIQUE,
    body_digest     bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- The stored plan, the inputs and the batch that an execution was made from.
CREATE TABLE plan_runs (
    execution_id uuid PRIMARY KEY REFERENCES executions ON DELETE CASCADE,
    plan_name    text,
    plan_version integer,
    inputs       jsonb NOT NULL,
    batch_id     uuid REFERENCES batches ON DELETE SET NULL,
    position     integer               -- row of the table of inputs, from 0
);
CREATE INDEX plan_runs_by_plan ON plan_runs (plan_name, execution_id DESC) WHERE plan_name IS NOT NULL;
CREATE INDEX plan_runs_by_batch ON plan_runs (batch_id, position) WHERE batch_id IS NOT NULL;
