-- Bulk actions are stored with how far they are, and carried out in parts by any server or worker.
-- No data is lost. Workers of the previous version keep working; they do not carry out bulk actions.

CREATE TABLE bulk_actions (
    id             uuid PRIMARY KEY,
    action         text NOT NULL CHECK (action IN ('cancel', 'retry', 'empty_queue')),
    filter         jsonb NOT NULL,               -- as it was requested
    matched        bigint NOT NULL,              -- executions or jobs that matched at the request
    up_to          uuid NOT NULL,                -- newer executions are left alone
    next_before    uuid,                         -- executions from this id on are processed; null: none is
    processed      bigint NOT NULL DEFAULT 0,
    changed        bigint NOT NULL DEFAULT 0,
    failed         bigint NOT NULL DEFAULT 0,
    failures       jsonb NOT NULL DEFAULT '[]',  -- the first ones, with the reasons
    requested_by   text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    finished_at    timestamptz,
    stopped        boolean NOT NULL DEFAULT false -- a person has ended it early
);
CREATE INDEX bulk_actions_open ON bulk_actions (id) WHERE finished_at IS NULL;

-- Jobs that start later, and jobs that a person holds. A worker of the previous version starts a job at the end of its
-- upstream jobs, although it is to start later.
ALTER TABLE execution_jobs
    ADD COLUMN start_at timestamptz,   -- earliest start: it is scheduled, not queued, until then
    ADD COLUMN on_hold_at timestamptz; -- a person holds it: one more dependency of a pending job
CREATE INDEX execution_jobs_on_hold ON execution_jobs (queue, on_hold_at) WHERE on_hold_at IS NOT NULL;

-- Workers of the previous version do not follow it.
ALTER TABLE workers ADD COLUMN stop_requested_at timestamptz; -- a person wants the process to end

-- For lists of jobs and artifacts with rare values in a long history. On a large database, this takes minutes.
CREATE INDEX execution_jobs_listed ON execution_jobs (queue, operation, status, id)
    WHERE status IN ('pending', 'succeeded', 'failed', 'cancelled', 'skipped');
CREATE INDEX execution_jobs_failed ON execution_jobs ((error ->> 'code'), id) WHERE status = 'failed';
CREATE INDEX artifacts_by_kind ON artifacts (split_part(media_type, '/', 1), id);
CREATE INDEX artifacts_by_name ON artifacts (name, id);
