-- The whole schema as it is now. Migrations lead here; a test compares the two.
--
-- Locks. Everything that changes an execution or its jobs first locks the execution's row, several in the order of
-- their ids. The claim alone takes job rows first: it skips locked ones, and whoever holds an execution's row and
-- wants its queued jobs skips locked ones too. So does the look at waiting jobs, which takes nothing else. So nobody
-- waits in a circle.

CREATE TABLE executions (
    id                  uuid PRIMARY KEY,
    name                text,
    status              text NOT NULL DEFAULT 'queued'
                        CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    job_count           integer NOT NULL,
    unfinished          integer NOT NULL,           -- jobs that have not ended
    failed              integer NOT NULL DEFAULT 0, -- jobs whose failure fails the execution
    cancelled           integer NOT NULL DEFAULT 0, -- jobs that were cancelled
    last_event          bigint NOT NULL DEFAULT 0,  -- number of its newest event; counts without gaps
    callback_url        text,
    metadata            jsonb NOT NULL DEFAULT '{}',
    cancel_requested_at timestamptz,
    created_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    finished_at         timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);

CREATE INDEX executions_by_status ON executions (status, id DESC);
CREATE INDEX executions_videos ON executions (id) WHERE metadata ->> 'videos' = 'shown';

CREATE TABLE idempotency_keys (
    key          text PRIMARY KEY,
    body_digest  bytea NOT NULL,
    execution_id uuid NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE execution_jobs (
    id                  uuid PRIMARY KEY,
    number              bigint GENERATED ALWAYS AS IDENTITY, -- first come, first served
    execution_id        uuid NOT NULL,
    job_id              text NOT NULL,               -- the job's id in its plan
    operation           text NOT NULL,
    queue               text NOT NULL,
    priority            integer NOT NULL,            -- bigger is sooner
    status              text NOT NULL
                        CHECK (status IN ('pending', 'scheduled', 'queued', 'running', 'waiting',
                                          'succeeded', 'failed', 'cancelled', 'skipped')),
    params              jsonb NOT NULL,              -- as submitted, references included
    result              jsonb,
    error               jsonb,                       -- why it failed: code, message, facts
    progress            real NOT NULL DEFAULT 0,     -- 0 to 1
    progress_message    text,
    pending_dependencies               integer NOT NULL DEFAULT 0,  -- upstream jobs that have not ended well
    has_downstream      boolean NOT NULL DEFAULT false,
    continue_on_failure boolean NOT NULL DEFAULT false,
    on_worker_lost      text NOT NULL DEFAULT 'retry' -- what to do when the worker dies: the operation's word at submission
                        CHECK (on_worker_lost IN ('retry', 'resume', 'park')),
    timeout_seconds     double precision NOT NULL,
    max_attempts        integer NOT NULL,
    attempts            integer NOT NULL DEFAULT 0,  -- runs that ended in a failure
    starts              integer NOT NULL DEFAULT 0,  -- starts since the last run that ended; counted before the work
    epoch               integer NOT NULL DEFAULT 0,  -- raised by every claim; a write with an older one changes nothing
    worker_id           uuid,
    worker_name         text,                        -- kept when the worker has left
    scheduled_at              timestamptz,                 -- scheduled: not before this
    cancel_requested_at timestamptz,
    provider_job_id     text,
    provider_job_status text,
    waiting_strategy    text CHECK (waiting_strategy IN ('webhook', 'polling')),
    next_poll_at        timestamptz,                 -- waiting: somebody looks then
    poll_attempts       integer NOT NULL DEFAULT 0,
    created_at          timestamptz NOT NULL DEFAULT now(),
    queued_at           timestamptz,
    started_at          timestamptz,
    finished_at         timestamptz,
    provider            text,                        -- whom it waits for, or waited
    submission          uuid,                        -- submissions.id: what it waits for, or waited
    waiting_until       timestamptz,                 -- then its patience ends
    cost                double precision,            -- US dollars that its submissions took, as far as is known
    provider_seconds    double precision,            -- that providers worked for it, as far as is known
    UNIQUE (execution_id, job_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);

-- Only rows that can be claimed stand here, in the order they are claimed in.
CREATE INDEX execution_jobs_queued ON execution_jobs (queue, priority DESC, number, operation)
    WHERE status = 'queued';
CREATE INDEX execution_jobs_running ON execution_jobs (queue, worker_id) WHERE status = 'running';
CREATE INDEX execution_jobs_scheduled ON execution_jobs (scheduled_at) WHERE status = 'scheduled';
CREATE INDEX execution_jobs_waiting ON execution_jobs (provider, next_poll_at) WHERE status = 'waiting';
CREATE INDEX execution_jobs_ended ON execution_jobs USING brin (finished_at) WITH (pages_per_range = 32);

CREATE TABLE edges (
    upstream   uuid NOT NULL,
    downstream uuid NOT NULL,
    PRIMARY KEY (upstream, downstream)
);

CREATE INDEX edges_by_downstream ON edges (downstream);

CREATE TABLE events (
    execution_id uuid NOT NULL,
    number       bigint NOT NULL,
    job_id       text,              -- the job's id in its plan; null: the execution itself
    type         text NOT NULL,     -- job.running, job.progress, execution.succeeded, …
    data         jsonb,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (execution_id, number)
);

CREATE TABLE artifacts (
    id           uuid PRIMARY KEY,
    execution_id uuid NOT NULL,
    job          uuid NOT NULL,     -- execution_jobs.id
    name         text NOT NULL,
    key          text NOT NULL UNIQUE,
    media_type   text NOT NULL,
    size         bigint NOT NULL,
    sha256       text NOT NULL,
    probe        jsonb,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX artifacts_by_execution ON artifacts (execution_id, job);

CREATE TABLE once_steps (
    job        uuid NOT NULL,       -- execution_jobs.id
    name       text NOT NULL,
    epoch      integer NOT NULL,    -- of the run that began it
    begun_at   timestamptz NOT NULL DEFAULT now(),
    done_at    timestamptz,         -- null: begun, outcome unknown
    value      jsonb,
    PRIMARY KEY (job, name)
);

-- What was ordered of a provider. The row is there before the order is sent.
CREATE TABLE submissions (
    id              uuid PRIMARY KEY,      -- also the mark that the order carries
    job             uuid NOT NULL,         -- execution_jobs.id
    step            text NOT NULL,
    epoch           integer NOT NULL,      -- of the run that sends it
    provider        text NOT NULL,
    model           text NOT NULL,
    token           text,                  -- opens our webhook; null: none was asked for
    request_digest  bytea NOT NULL,
    begun_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome         text CHECK (outcome IN ('accepted', 'rejected', 'unknown')), -- null: on its way, or its sender died
    accepted_at     timestamptz,
    provider_job_id text,
    task            jsonb,                 -- what it takes to ask for it again
    evidence        jsonb,                 -- what was seen when it was not accepted
    webhook_received_at       timestamptz,           -- of the newest webhook
    ended           text CHECK (ended IN ('succeeded', 'failed', 'cancelled', 'lost', 'given_up')), -- as we saw it
    cost            double precision,
    seconds         double precision,
    closed_at       timestamptz,           -- since then the step may be ordered anew
    cancel_at       timestamptz,           -- the provider is to be told to end it, not before this
    cancel_attempts integer NOT NULL DEFAULT 0,
    search_criteria          jsonb,                 -- what it takes to find it in its provider's list, while its fate is unknown
    CHECK ((outcome = 'accepted') = (task IS NOT NULL))
);

CREATE INDEX submissions_by_job ON submissions (job);
CREATE UNIQUE INDEX submissions_open ON submissions (job, step) WHERE closed_at IS NULL;
CREATE INDEX submissions_to_cancel ON submissions (cancel_at) WHERE cancel_at IS NOT NULL;

-- Webhooks of providers, each once.
CREATE TABLE inbox (
    submission  uuid NOT NULL,
    message_id  text NOT NULL,             -- by the provider
    task_id     text,
    status      text NOT NULL,             -- by the provider's own word
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (submission, message_id)
);

CREATE TABLE workers (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    host       text NOT NULL,
    pid        integer NOT NULL,
    version    text NOT NULL,
    lanes      jsonb NOT NULL,      -- queue → how many of its jobs at once; the worker follows changes
    operations text[] NOT NULL,     -- those whose needs it meets
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at    timestamptz NOT NULL DEFAULT now(),
    steady_since timestamptz NOT NULL DEFAULT now(), -- its beats have come in time since then
    stopping   boolean NOT NULL DEFAULT false,
    lost_at    timestamptz
) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

-- A queue needs a row only when it is paused or limited.
CREATE TABLE queues (
    name        text PRIMARY KEY,
    paused_at   timestamptz,
    max_running integer CHECK (max_running >= 0),  -- over the whole fleet
    rate_limit  integer CHECK (rate_limit BETWEEN 1 AND 10000), -- starts in a period, over the whole fleet
    rate_period double precision CHECK (rate_period > 0), -- seconds
    recent_starts timestamptz[] NOT NULL DEFAULT '{}',    -- the last rate_limit of them, oldest first
    CHECK ((rate_limit IS NULL) = (rate_period IS NULL))
) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE outbox (
    id           uuid PRIMARY KEY,
    execution_id uuid NOT NULL,
    type         text NOT NULL,     -- execution.succeeded, execution.failed, execution.cancelled
    url          text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz NOT NULL DEFAULT now(),
    attempts     integer NOT NULL DEFAULT 0,
    delivered_at timestamptz,
    given_up_at  timestamptz,
    last_answer  text               -- status or error of the last attempt
) WITH (autovacuum_vacuum_scale_factor = 0.01);

CREATE INDEX outbox_due ON outbox (due_at) WHERE delivered_at IS NULL AND given_up_at IS NULL;
CREATE INDEX outbox_by_execution ON outbox (execution_id);
