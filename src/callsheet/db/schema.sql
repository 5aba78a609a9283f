-- The current schema. The migrations produce the same; a test compares the two.
--
-- Lock order. Every transaction that changes an execution or its jobs first locks the row of the execution; several
-- executions in the order of their ids. Only the claim of queued jobs locks job rows before executions: it skips locked
-- rows, and transactions that hold an execution lock skip locked queued rows in turn. The claim of polls skips locked
-- rows, too, and takes no further lock. So no deadlock is possible.

CREATE TABLE executions (
    id                  uuid PRIMARY KEY,
    name                text,
    status              text NOT NULL DEFAULT 'queued'
                        CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    job_count           integer NOT NULL,
    unfinished          integer NOT NULL,           -- jobs that have not ended
    failed              integer NOT NULL DEFAULT 0, -- failed jobs without continue_on_failure
    cancelled           integer NOT NULL DEFAULT 0, -- cancelled jobs
    last_event          bigint NOT NULL DEFAULT 0,  -- number of the newest event; numbers have no gaps
    callback_url        text,
    metadata            jsonb NOT NULL DEFAULT '{}',
    cancel_requested_at timestamptz,
    created_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    finished_at         timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);

CREATE INDEX executions_by_status ON executions (status, id DESC);
CREATE INDEX executions_videos ON executions (id) WHERE metadata ->> 'videos' = 'shown';

-- Keys live as long as their execution.
CREATE TABLE idempotency_keys (
    key          text PRIMARY KEY,
    body_digest  bytea NOT NULL,
    execution_id uuid NOT NULL REFERENCES executions ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_keys_execution ON idempotency_keys (execution_id);

-- Sessions of the console that ended by a logout, until they would have expired.
CREATE TABLE ended_sessions (
    digest     bytea PRIMARY KEY,      -- SHA-256 of the cookie
    expires_at timestamptz NOT NULL
);

CREATE TABLE execution_jobs (
    id                   uuid PRIMARY KEY,
    number               bigint GENERATED ALWAYS AS IDENTITY, -- FIFO order within a priority
    execution_id         uuid NOT NULL,
    job_id               text NOT NULL,               -- id in the plan; of a child job: `<id of its parent>/<id>`
    operation            text NOT NULL,
    queue                text NOT NULL,
    priority             integer NOT NULL,            -- higher runs first
    status               text NOT NULL
                         CHECK (status IN ('pending', 'scheduled', 'queued', 'running', 'waiting',
                                           'succeeded', 'failed', 'cancelled', 'skipped')),
    params               jsonb NOT NULL,              -- as submitted, references unresolved
    result               jsonb,
    error                jsonb,                       -- of the last failed run: code, message, facts
    progress             real NOT NULL DEFAULT 0,     -- 0 to 1
    progress_message     text,
    wait_reason          jsonb,                       -- what a run waits for, or why job.blocked was recorded
    pending_dependencies integer NOT NULL DEFAULT 0,  -- upstream jobs that are not done
    has_downstream       boolean NOT NULL DEFAULT false,
    continue_on_failure  boolean NOT NULL DEFAULT false,
    on_worker_lost       text NOT NULL DEFAULT 'retry' -- policy of the operation at submission
                         CHECK (on_worker_lost IN ('retry', 'resume', 'park')),
    timeout_seconds      double precision NOT NULL,
    max_attempts         integer NOT NULL,
    attempts             integer NOT NULL DEFAULT 0,  -- runs that failed
    starts               integer NOT NULL DEFAULT 0,  -- starts since the last recorded outcome; detects crash loops
    epoch                integer NOT NULL DEFAULT 0,  -- fencing token: incremented by each claim
    worker_id            uuid,
    worker_name          text,                        -- kept after the worker has unregistered
    scheduled_at         timestamptz,                 -- status scheduled: earliest start
    cancel_requested_at  timestamptz,
    provider_job_id      text,
    provider_job_status  text,
    waiting_strategy     text CHECK (waiting_strategy IN ('webhook', 'polling')),
    next_poll_at         timestamptz,                 -- status waiting: next poll, or lease expiry of a running one
    poll_attempts        integer NOT NULL DEFAULT 0,
    created_at           timestamptz NOT NULL DEFAULT now(),
    queued_at            timestamptz,
    started_at           timestamptz,
    finished_at          timestamptz,
    provider             text,                        -- provider of the current or last submission
    submission           uuid,                        -- submissions.id of the current or last submission
    waiting_until        timestamptz,                 -- status waiting: deadline
    cost                 double precision,            -- US dollars, sum over its submissions, where reported
    provider_seconds     double precision,            -- run time at providers, sum over its submissions, where reported
    reserved_for         uuid,                        -- workers.id: no other worker claims it while this one is alive
    held_at              timestamptz,                 -- status waiting: its submission waits until a person releases it
    released_at          timestamptz,                 -- a person has released its submissions
    UNIQUE (execution_id, job_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);

-- Partial: only claimable rows, in claim order.
CREATE INDEX execution_jobs_queued ON execution_jobs (queue, priority DESC, number, operation)
    WHERE status = 'queued';
CREATE INDEX execution_jobs_running ON execution_jobs (queue, worker_id) WHERE status = 'running';
CREATE INDEX execution_jobs_scheduled ON execution_jobs (scheduled_at) WHERE status = 'scheduled';
CREATE INDEX execution_jobs_waiting ON execution_jobs (provider, next_poll_at) WHERE status = 'waiting';
CREATE INDEX execution_jobs_held ON execution_jobs (held_at) WHERE held_at IS NOT NULL;
CREATE INDEX execution_jobs_ended ON execution_jobs USING brin (finished_at) WITH (pages_per_range = 32);

-- Dependencies between jobs.
CREATE TABLE edges (
    upstream   uuid NOT NULL,
    downstream uuid NOT NULL,
    PRIMARY KEY (upstream, downstream)
);

CREATE INDEX edges_by_downstream ON edges (downstream);

CREATE TABLE events (
    execution_id uuid NOT NULL,
    number       bigint NOT NULL,
    job_id       text,              -- id in the plan; null: event of the execution itself
    type         text NOT NULL,     -- job.running, job.progress, execution.succeeded, …
    data         jsonb,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    data_bytes   integer GENERATED ALWAYS AS (coalesce(octet_length(data::text), 0)) STORED,
    PRIMARY KEY (execution_id, number)
);

-- What jobs print and log. Deleted with the execution.
CREATE TABLE job_logs (
    execution_id uuid NOT NULL REFERENCES executions ON DELETE CASCADE,
    number       bigint GENERATED ALWAYS AS IDENTITY,
    job          uuid NOT NULL,         -- execution_jobs.id
    attempt      integer NOT NULL,
    at           timestamptz NOT NULL,  -- clock of the worker
    level        text NOT NULL,
    logger       text NOT NULL,
    message      text NOT NULL,
    PRIMARY KEY (execution_id, number)
);

CREATE INDEX job_logs_by_job ON job_logs (job, number);

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

-- Files that clients send for their plans, which name them as `storage:uploads/…`.
CREATE TABLE uploads (
    id           uuid PRIMARY KEY,
    key          text NOT NULL UNIQUE,              -- uploads/<sha256><suffix>
    sha256       text NOT NULL,
    size         bigint NOT NULL,
    media_type   text,                              -- from the contents, once they are complete
    created_at   timestamptz NOT NULL DEFAULT now(),
    used_at      timestamptz NOT NULL DEFAULT now(), -- last announced, or named by a submitted plan
    completed_at timestamptz                        -- null: some or all bytes are missing
);

CREATE INDEX uploads_by_use ON uploads (used_at);

-- Steps with a side effect that run at most once in the life of a job (`Context.once`).
CREATE TABLE once_steps (
    job         uuid NOT NULL,      -- execution_jobs.id
    name        text NOT NULL,
    epoch       integer NOT NULL,   -- of the run that started it
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,        -- null: started, outcome unknown
    value       jsonb,
    PRIMARY KEY (job, name)
);

-- Requests to providers. The row is committed before the request is sent, so that no request is sent twice.
CREATE TABLE submissions (
    id                  uuid PRIMARY KEY,      -- also the client reference of the request
    job                 uuid NOT NULL,         -- execution_jobs.id
    step                text NOT NULL,
    epoch               integer NOT NULL,      -- of the run that sends it
    provider            text NOT NULL,
    model               text NOT NULL,
    token               text,                  -- authenticates the webhook; null: no webhook requested
    request_digest      bytea NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome             text CHECK (outcome IN ('accepted', 'rejected', 'unknown')), -- null: in flight, or sender died
    accepted_at         timestamptz,
    provider_job_id     text,
    task                jsonb,                 -- provider, id and handle of the task
    evidence            jsonb,                 -- error of a submission that was not accepted
    webhook_received_at timestamptz,           -- of the newest webhook
    ended               text CHECK (ended IN ('succeeded', 'failed', 'cancelled', 'lost', 'timed_out')),
    cost                double precision,
    seconds             double precision,
    closed_at           timestamptz,           -- set: its step may submit again
    cancel_at           timestamptz,           -- next attempt to cancel the task at the provider; null: no cancel due
    cancel_attempts     integer NOT NULL DEFAULT 0,
    search_criteria     jsonb,                 -- outcome unknown: the request, to search the provider's list
    CHECK ((outcome = 'accepted') = (task IS NOT NULL))
);

CREATE INDEX submissions_by_job ON submissions (job);
CREATE UNIQUE INDEX submissions_open ON submissions (job, step) WHERE closed_at IS NULL;
CREATE INDEX submissions_to_cancel ON submissions (cancel_at) WHERE cancel_at IS NOT NULL;

-- Received provider webhooks, without duplicates.
CREATE TABLE inbox (
    submission  uuid NOT NULL,
    message_id  text NOT NULL,             -- assigned by the provider
    task_id     text,
    status      text NOT NULL,             -- as the provider calls it
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (submission, message_id)
);

CREATE TABLE workers (
    id            uuid PRIMARY KEY,
    name          text NOT NULL,
    host          text NOT NULL,
    pid           integer NOT NULL,
    version       text NOT NULL,
    lanes         jsonb NOT NULL,      -- queue → slots; the worker follows changes
    operations    text[] NOT NULL,     -- operations whose needs this worker meets
    missing       jsonb NOT NULL,      -- other operations: name → need → why this worker does not meet it
    timeout       double precision NOT NULL, -- seconds without a heartbeat after which the worker counts as lost
    only_reserved boolean NOT NULL,    -- the worker runs only jobs that are reserved for it
    started_at    timestamptz NOT NULL DEFAULT now(),
    heartbeat_at  timestamptz NOT NULL DEFAULT now(),
    healthy_since timestamptz NOT NULL DEFAULT now(), -- no heartbeat has been late since then
    stopping      boolean NOT NULL DEFAULT false,
    lost_at       timestamptz
) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

-- Public base URLs of running API servers, for workers without one of their own.
CREATE TABLE public_urls (
    url     text PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp() -- a server repeats it every minute
);

-- Settings of queues. A queue without a row is neither paused nor limited.
CREATE TABLE queues (
    name          text PRIMARY KEY,
    paused_at     timestamptz,
    max_running   integer CHECK (max_running >= 0),                 -- over the whole fleet
    rate_limit    integer CHECK (rate_limit BETWEEN 1 AND 10000),   -- starts per period, over the whole fleet
    rate_period   double precision CHECK (rate_period > 0),         -- seconds
    recent_starts timestamptz[] NOT NULL DEFAULT '{}',              -- the newest rate_limit starts, oldest first
    CHECK ((rate_limit IS NULL) = (rate_period IS NULL))
) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

-- Webhooks to send.
CREATE TABLE outbox (
    id            uuid PRIMARY KEY,
    execution_id  uuid NOT NULL,
    type          text NOT NULL,     -- execution.succeeded, execution.failed, execution.cancelled
    url           text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    due_at        timestamptz NOT NULL DEFAULT now(),
    attempts      integer NOT NULL DEFAULT 0,
    delivered_at  timestamptz,
    failed_at     timestamptz,       -- set: no further attempt
    last_response text               -- HTTP status or error of the last attempt
) WITH (autovacuum_vacuum_scale_factor = 0.01);

CREATE INDEX outbox_due ON outbox (due_at) WHERE delivered_at IS NULL AND failed_at IS NULL;
CREATE INDEX outbox_by_execution ON outbox (execution_id);

-- Views in the words of other systems: `processing`, `completed`, `completed_at`. Callsheet does not read them.
CREATE SCHEMA IF NOT EXISTS reporting;

CREATE VIEW reporting.execution_jobs AS
SELECT id, execution_id, job_id, operation, queue, params,
       CASE status WHEN 'scheduled' THEN 'pending'
                   WHEN 'queued' THEN 'pending'
                   WHEN 'running' THEN 'processing'
                   WHEN 'waiting' THEN 'processing'
                   WHEN 'succeeded' THEN 'completed'
                   ELSE status END AS status, -- pending, processing, completed, failed, cancelled, skipped
       CASE WHEN status = 'succeeded' AND jsonb_typeof(result) = 'object' -- the time as in JavaScript: ISO 8601, UTC
            THEN jsonb_build_object('completedAt',
                     to_char(finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) || result
            ELSE result END AS result,
       error, provider, provider_job_id, provider_job_status, waiting_strategy, poll_attempts, next_poll_at,
       created_at, started_at,
       CASE WHEN status = 'succeeded' THEN finished_at END AS completed_at,
       finished_at
FROM execution_jobs;

CREATE VIEW reporting.executions AS
SELECT id, name,
       CASE status WHEN 'queued' THEN 'pending'
                   WHEN 'running' THEN 'processing'
                   WHEN 'succeeded' THEN 'completed'
                   ELSE status END AS status, -- pending, processing, completed, failed, cancelled
       job_count, metadata, created_at, started_at,
       CASE WHEN status = 'succeeded' THEN finished_at END AS completed_at,
       finished_at
FROM executions;
