-- The current schema. The migrations produce the same; a test compares the two. The tables are in the schema of the
-- setting DATABASE_SCHEMA, which each session has as its search path. `callsheet db upgrade` creates both schemas.
--
-- Lock order. Every transaction that changes an execution or its jobs first locks the row of the execution; several
-- executions in the order of their ids. Only the claim of queued jobs locks job rows before executions: it skips locked
-- rows, and transactions that hold an execution lock skip locked queued rows in turn. The claim of polls skips locked
-- rows, too, and takes no further lock. The cancellation of a batch, a bulk action, and a server that decides about a
-- schedule lock their own row before the executions, and skip locked ones; nothing that holds the lock of an execution
-- waits for one of these locks. Rows of failure_streaks are locked last, in the order of their queues. So no deadlock
-- is possible.

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
    finished_at         timestamptz,
    api_key             uuid,                       -- api_keys.id
    awaits_place        boolean NOT NULL DEFAULT false, -- its first jobs are pending until it gets a place
    estimated_cost      double precision,           -- US dollars; null: no job at a provider
    traceparent         text                        -- W3C trace context of the request; null: it was not traced
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);

CREATE INDEX executions_by_status ON executions (status, id DESC);
CREATE INDEX executions_with_callback ON executions (id) WHERE callback_url IS NOT NULL;
CREATE INDEX executions_videos ON executions (id) WHERE metadata ->> 'videos' = 'shown';
CREATE INDEX executions_of_keys ON executions (api_key) WHERE api_key IS NOT NULL AND status IN ('queued', 'running');
CREATE INDEX executions_reserving ON executions (api_key)
    WHERE estimated_cost IS NOT NULL AND status IN ('queued', 'running');
CREATE INDEX executions_awaiting_place ON executions (api_key, id) WHERE awaits_place AND status = 'queued';

-- Keys live as long as their execution. That of an API key: its id, a line break, the key.
CREATE TABLE idempotency_keys (
    key          text PRIMARY KEY,
    body_digest  bytea NOT NULL,
    execution_id uuid NOT NULL REFERENCES executions ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_keys_execution ON idempotency_keys (execution_id);

-- Messages that intakes have taken from other queues, and the executions they became. Kept as long as the execution,
-- so that a message that is delivered again joins it.
CREATE TABLE intake_messages (
    intake         text NOT NULL,            -- name of the intake
    source         text NOT NULL,            -- queue or stream that the message came from
    message_id     text NOT NULL,            -- id in the source
    attempt        text NOT NULL,            -- attempt of the source: a retry by the source is a new execution
    execution_id   uuid NOT NULL REFERENCES executions ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    claim          jsonb NOT NULL,           -- what the intake needs to report to the source
    product_id     text NOT NULL,            -- id of the job in the product that sent the message
    reported_event bigint NOT NULL DEFAULT 0, -- number of the newest event that was reported
    owner          uuid NOT NULL,            -- intake process that follows the execution
    owned_until    timestamptz NOT NULL,     -- after this time, another process takes the message over
    received_at    timestamptz NOT NULL DEFAULT now(),
    closed_at      timestamptz,              -- the end was reported, and the claim released
    PRIMARY KEY (intake, source, message_id, attempt)
) WITH (fillfactor = 70);
CREATE INDEX intake_messages_by_execution ON intake_messages (execution_id);
CREATE INDEX intake_messages_open ON intake_messages (intake, owned_until) WHERE closed_at IS NULL;

-- Statuses of messages for the API of the product, in order for each of its jobs. They outlive the message: a push may
-- be repeated after its message was closed.
CREATE TABLE status_pushes (
    number           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- order of the pushes of a job
    intake           text NOT NULL,
    source           text NOT NULL,
    message_id       text NOT NULL,
    attempt          text NOT NULL,
    status           text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed')),
    product_id       text NOT NULL,   -- id of the job in the product
    body             text NOT NULL,   -- JSON
    created_at       timestamptz NOT NULL DEFAULT now(),
    due_at           timestamptz NOT NULL DEFAULT now(),
    attempts         integer NOT NULL DEFAULT 0,
    first_attempt_at timestamptz,
    delivered_at     timestamptz,
    failed_at        timestamptz,     -- set: no further attempt
    last_response    text,            -- HTTP status or error of the last attempt
    UNIQUE (intake, source, message_id, attempt, status)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX status_pushes_due ON status_pushes (intake, due_at) WHERE delivered_at IS NULL AND failed_at IS NULL;
CREATE INDEX status_pushes_of_job ON status_pushes (intake, product_id, number)
    WHERE delivered_at IS NULL AND failed_at IS NULL;
CREATE INDEX status_pushes_by_age ON status_pushes USING brin (created_at) WITH (pages_per_range = 32);

-- Running intake processes.
CREATE TABLE intakes (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    sources      text[] NOT NULL,
    host         text NOT NULL,
    pid          integer NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    accepted     bigint NOT NULL DEFAULT 0,  -- messages that became executions
    closed       bigint NOT NULL DEFAULT 0,  -- messages whose end was reported
    rejected     bigint NOT NULL DEFAULT 0,  -- invalid messages
    backlog      bigint,                     -- messages that wait in the source; null: unknown
    last_error   text,
    last_error_at timestamptz
);

-- Plans that are run by name. A changed plan is a new version.
CREATE TABLE plans (
    name       text NOT NULL,
    version    integer NOT NULL,
    document   jsonb NOT NULL,         -- the plan with its inputs
    digest     bytea NOT NULL,         -- SHA-256 of the document
    created_at timestamptz NOT NULL DEFAULT now(),
    input_names text[],                -- its inputs in the order of the plan; null: stored by an earlier version
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
    created_at      timestamptz NOT NULL DEFAULT now(),
    cancel_requested_at timestamptz,   -- the newest request
    cancel_next     integer            -- first position that is not yet cancelled; null: no more to do
);
CREATE INDEX batches_cancelling ON batches (id) WHERE cancel_next IS NOT NULL;

-- Cancellations and retries of all executions that match a filter, and emptied queues.
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

-- Named filters of lists. The names are those of the API, and the values as in its query.
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

-- Plans that are run at times, and what became of each time.
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

-- API keys. A key is random, so that a digest of it suffices.
CREATE TABLE api_keys (
    id             uuid PRIMARY KEY,
    name           text NOT NULL,
    prefix         text NOT NULL,              -- its first characters, which people recognize it by
    digest         bytea NOT NULL UNIQUE,      -- SHA-256
    scopes         text[] NOT NULL,
    rate_limit     integer CHECK (rate_limit > 0),             -- requests per minute, of each server process
    max_running    integer CHECK (max_running > 0),            -- executions in progress
    monthly_budget numeric(14, 4) CHECK (monthly_budget >= 0), -- US dollars
    created_at     timestamptz NOT NULL DEFAULT now(),
    created_by     text NOT NULL,
    expires_at     timestamptz,
    revoked_at     timestamptz,
    last_used_at   timestamptz                 -- to the minute
) WITH (fillfactor = 70);

-- One row. Its version is raised by every change of what gives access, so that servers notice it.
CREATE TABLE access_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL
);
INSERT INTO access_version (version) VALUES (1);

CREATE FUNCTION raise_access_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE access_version SET version = version + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER raise_access_version
    AFTER INSERT OR DELETE OR UPDATE OF scopes, rate_limit, max_running, monthly_budget, expires_at, revoked_at ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION raise_access_version();

-- People who sign in to the console.
CREATE TABLE users (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE,     -- in lower case
    password    text NOT NULL,            -- Argon2id, in the PHC format
    scopes      text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  text NOT NULL,
    disabled_at timestamptz,
    issuer      text,                     -- of the OpenID Connect provider by which they sign in; null: by password
    subject     text,                     -- the id of the person there
    CHECK ((issuer IS NULL) = (subject IS NULL)),
    UNIQUE (issuer, subject)
);

-- Sessions of the console. The end of a session deletes its row.
CREATE TABLE sessions (
    id         uuid PRIMARY KEY,
    digest     bytea NOT NULL UNIQUE,      -- SHA-256 of the cookie
    name       text NOT NULL,              -- of the user or the key
    user_id    uuid REFERENCES users ON DELETE CASCADE,
    api_key    uuid REFERENCES api_keys ON DELETE CASCADE,
    credential bytea,                      -- of a session by the settings: another key or password there ends it
    address    text NOT NULL,              -- of the browser
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK (num_nonnulls(user_id, api_key, credential) = 1)
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TRIGGER raise_access_version
    AFTER INSERT OR DELETE OR UPDATE ON users FOR EACH STATEMENT EXECUTE FUNCTION raise_access_version();
CREATE TRIGGER raise_access_version
    AFTER INSERT OR DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION raise_access_version();

-- Who changed what. Written right after each request that changes something.
CREATE TABLE audit_entries (
    id          uuid PRIMARY KEY,              -- UUIDv7: in the order of time
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    caller_kind text NOT NULL,
    caller_id   uuid,                          -- of the key or the user
    caller_name text NOT NULL,
    session_id  uuid,
    action      text NOT NULL,                 -- name of the route, or of the command
    target      text NOT NULL,                 -- path of what was changed or created
    status      integer,                       -- of the response; null: a command
    request_id  text,
    address     text                           -- of the client
);
CREATE INDEX audit_entries_by_age ON audit_entries USING brin (at) WITH (pages_per_range = 32);

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
    error                jsonb,                       -- of the last failed run; null if it ended otherwise
    progress             real NOT NULL DEFAULT 0,     -- 0 to 1
    progress_message     text,
    wait_reason          jsonb,                       -- what a run waits for, or why job.blocked was recorded
    pending_dependencies integer NOT NULL DEFAULT 0,  -- upstream jobs that are not done; 1 more: a place, a hold
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
    cost                 double precision,            -- US dollars, sum over its submissions, where known
    provider_seconds     double precision,            -- run time at providers, sum over its submissions, where reported
    reserved_for         uuid,                        -- workers.id: no other worker claims it while this one is alive
    held_at              timestamptz,                 -- status waiting: its submission waits until a person releases it
    released_at          timestamptz,                 -- a person has released its submissions
    cost_source          text CHECK (cost_source IN ('provider', 'price')), -- price: at least a part of the cost
    start_at             timestamptz,                 -- earliest start: it is scheduled, not queued, until then
    on_hold_at           timestamptz,                 -- a person holds it: one more dependency of a pending job
    UNIQUE (execution_id, job_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);

-- Partial: only claimable rows, in claim order.
CREATE INDEX execution_jobs_queued ON execution_jobs (queue, priority DESC, number, operation)
    WHERE status = 'queued';
CREATE INDEX execution_jobs_running ON execution_jobs (queue, worker_id) WHERE status = 'running';
CREATE INDEX execution_jobs_scheduled ON execution_jobs (scheduled_at) WHERE status = 'scheduled';
CREATE INDEX execution_jobs_waiting ON execution_jobs (provider, next_poll_at) WHERE status = 'waiting';
CREATE INDEX execution_jobs_held ON execution_jobs (held_at) WHERE held_at IS NOT NULL;
CREATE INDEX execution_jobs_on_hold ON execution_jobs (queue, on_hold_at) WHERE on_hold_at IS NOT NULL;
-- For lists: what has ended, and what waits for other jobs. The other statuses have indexes of their own.
CREATE INDEX execution_jobs_listed ON execution_jobs (queue, operation, status, id)
    WHERE status IN ('pending', 'succeeded', 'failed', 'cancelled', 'skipped');
CREATE INDEX execution_jobs_failed ON execution_jobs ((error ->> 'code'), id) WHERE status = 'failed';
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

CREATE INDEX events_by_time ON events USING brin (at) WITH (pages_per_range = 32);

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
    created_at   timestamptz NOT NULL DEFAULT now(),
    from_unfinished_run boolean NOT NULL DEFAULT false -- stored before the end of a run that has not succeeded
);

CREATE INDEX artifacts_by_execution ON artifacts (execution_id, job);
CREATE INDEX artifacts_by_kind ON artifacts (split_part(media_type, '/', 1), id);
CREATE INDEX artifacts_by_name ON artifacts (name, id);

-- Files of deleted executions, until the storage has deleted them.
CREATE TABLE object_deletions (
    key       text PRIMARY KEY,
    size      bigint NOT NULL,
    requested timestamptz NOT NULL DEFAULT now()
);

-- Temporary files of each machine, as the processes there have measured them, and the last clean-up that removed some.
CREATE TABLE scratch_spaces (
    host            text NOT NULL,
    folder          text NOT NULL,
    measured_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    bytes           bigint NOT NULL,          -- of everything
    live_bytes      bigint NOT NULL,          -- of it, what live processes have
    removable_files bigint NOT NULL,          -- what the next clean-up removes
    removable_bytes bigint NOT NULL,
    max_bytes       bigint NOT NULL,
    cleaned_at      timestamptz,
    removed_files   bigint NOT NULL DEFAULT 0,
    removed_bytes   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (host, folder)
);

-- Searches of the storage for files that nothing names. Only the newest one is kept.
CREATE TABLE orphan_searches (
    id             uuid PRIMARY KEY,
    status         text NOT NULL DEFAULT 'searching'
                   CHECK (status IN ('searching', 'found', 'deleting', 'deleted', 'failed')),
    modified_before timestamptz NOT NULL,     -- younger files are no orphans
    listed         bigint NOT NULL DEFAULT 0, -- files of the storage that were compared with the tables
    deleted        bigint NOT NULL DEFAULT 0,
    deleted_bytes  bigint NOT NULL DEFAULT 0,
    kept           bigint NOT NULL DEFAULT 0, -- orphans that were replaced or named between search and deletion
    error          text,
    requested_by   text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    found_at       timestamptz,               -- end of the search
    finished_at    timestamptz,               -- end of the deletion
    owner          uuid,                      -- server process that searches or deletes
    owned_until    timestamptz NOT NULL DEFAULT '-infinity' -- after this time, another one takes it over
);

CREATE TABLE orphaned_objects (
    search      uuid NOT NULL REFERENCES orphan_searches ON DELETE CASCADE,
    key         text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('job', 'upload', 'direct_upload', 'check', 'unfinished')),
    token       text NOT NULL,     -- id of the job or upload, or SHA-256: part of every text that names the file
    texts       text[] NOT NULL,   -- the key as JSON and URLs contain it
    size        bigint NOT NULL,
    modified_at timestamptz NOT NULL,
    PRIMARY KEY (search, key)
);
CREATE INDEX orphaned_objects_by_token ON orphaned_objects (search, token);

-- Costs of deleted executions by day, key and model, so that sums and budgets stay right.
CREATE TABLE deleted_costs (
    day         date NOT NULL,     -- of the submissions, in UTC
    api_key     uuid,
    provider    text NOT NULL,
    model       text NOT NULL,
    amount      double precision NOT NULL,
    submissions bigint NOT NULL,
    from_price  bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (day, api_key, provider, model)
);

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
    price               double precision,      -- of a task that succeeds, in US dollars
    cost_source         text CHECK (cost_source IN ('provider', 'price')),
    CHECK ((outcome = 'accepted') = (task IS NOT NULL))
);

CREATE INDEX submissions_with_cost ON submissions (created_at) WHERE cost IS NOT NULL;
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
    pid           integer NOT NULL,    -- 0: a polled worker, which is elsewhere
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
    lost_at       timestamptz,
    stop_requested_at timestamptz,     -- a person wants the process to end
    configured_lanes jsonb NOT NULL DEFAULT '{}' -- queue → slots without what was set by hand
) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

-- Measurements of the machines of workers, for a day. No foreign key: the history of a worker outlives it.
CREATE TABLE resource_samples (
    worker_id   uuid NOT NULL,    -- of workers, as long as the worker runs
    thinned     boolean NOT NULL DEFAULT false, -- several measurements as one: their average and their highest values
    at          timestamptz NOT NULL, -- of the measurement; thinned: start of the period
    worker_name text NOT NULL,
    seconds     integer NOT NULL, -- length of the period
    levels      jsonb NOT NULL,   -- resource → [average, highest] in percent
    sample      jsonb,            -- the whole measurement; null: thinned
    PRIMARY KEY (worker_id, thinned, at),
    CHECK (thinned = (sample IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX resource_samples_by_time ON resource_samples (thinned, at);
CREATE INDEX resource_samples_by_name ON resource_samples (worker_name, at);

-- Lanes that were set by hand. They apply to later workers of the same name, too.
CREATE TABLE worker_lanes (
    worker_name text NOT NULL,
    queue       text NOT NULL,
    slots       integer NOT NULL CHECK (slots >= 0),
    seen_at     timestamptz NOT NULL DEFAULT now(), -- when there last was a worker of this name
    PRIMARY KEY (worker_name, queue)
);

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

-- Totals of metrics, for all processes together. Those of jobs and executions are counted from the events, the others
-- are added by each process.
CREATE TABLE metric_totals (
    name   text NOT NULL,
    labels text[] NOT NULL,           -- values of the labels, in the order of the catalog
    bound  double precision NOT NULL, -- of a bucket: the largest value in it; Infinity: of the last bucket, or no bucket
    value  double precision NOT NULL,
    PRIMARY KEY (name, labels, bound)
) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

-- One row: the time up to which events are counted in metric_totals.
CREATE TABLE metric_cursor (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    counted_until timestamptz NOT NULL
);
INSERT INTO metric_cursor (counted_until) VALUES (now());

-- What happened in each queue in each minute of the last hour, counted together with metric_totals.
CREATE TABLE queue_minutes (
    queue     text NOT NULL,
    minute    timestamptz NOT NULL,
    started   bigint NOT NULL,
    ended     bigint NOT NULL,
    durations bigint[] NOT NULL, -- runs that succeeded or failed, in each bucket of the histograms
    PRIMARY KEY (queue, minute)
) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

-- Receivers of chosen events. Their secrets are derived from the signing key, and not stored.
CREATE TABLE webhook_endpoints (
    id                    uuid PRIMARY KEY,
    url                   text NOT NULL,
    description           text NOT NULL,
    event_types           text[] NOT NULL,   -- types, or all types of a kind: `job.*`
    secret_number         integer NOT NULL DEFAULT 1, -- raised by each rotation
    previous_secret_until timestamptz,       -- until then, the previous secret signs too
    failing_since         timestamptz,       -- first failed attempt since the last delivery
    disabled_at           timestamptz,
    disabled_reason       text CHECK (disabled_reason IN ('request', 'failing', 'gone')),
    created_at            timestamptz NOT NULL DEFAULT now(),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

-- Webhooks to send, to the callback URL of an execution (url), to an endpoint (endpoint_id), or alerts to the URL in the
-- settings (neither).
CREATE TABLE outbox (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number         bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    endpoint_id    uuid,
    url            text,
    execution_id   uuid,              -- null: an alert or a test
    event_number   bigint,            -- number of the event in its execution
    type           text NOT NULL,     -- execution.succeeded, job.failed, …
    data           jsonb NOT NULL,    -- what was true when the webhook was written
    created_at     timestamptz NOT NULL DEFAULT now(),
    due_at         timestamptz NOT NULL DEFAULT now(),
    attempts       integer NOT NULL DEFAULT 0,
    resent_after   integer NOT NULL DEFAULT 0, -- attempts made before it was last sent again by hand
    delivered_at   timestamptz,
    failed_at      timestamptz,       -- set: no further attempt
    last_response  text               -- HTTP status or error of the last attempt
) WITH (autovacuum_vacuum_scale_factor = 0.01);

CREATE INDEX outbox_due ON outbox (due_at) WHERE delivered_at IS NULL AND failed_at IS NULL;
CREATE INDEX outbox_by_execution ON outbox (execution_id);
CREATE INDEX outbox_by_endpoint ON outbox (endpoint_id, number) WHERE endpoint_id IS NOT NULL;
CREATE INDEX outbox_failed ON outbox (failed_at) WHERE failed_at IS NOT NULL;
CREATE INDEX outbox_by_age ON outbox USING brin (created_at) WITH (pages_per_range = 32);

CREATE TABLE webhook_attempts (
    webhook  uuid NOT NULL REFERENCES outbox ON DELETE CASCADE,
    number   integer NOT NULL,
    at       timestamptz NOT NULL,
    duration double precision NOT NULL, -- seconds
    status   integer,                   -- HTTP status; null: no response
    response text NOT NULL,             -- HTTP status or error
    PRIMARY KEY (webhook, number)
);

-- Jobs that failed one after the other on a queue, without a success between them.
CREATE TABLE failure_streaks (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue        text NOT NULL,
    failures     integer NOT NULL,
    last_failure jsonb NOT NULL,       -- execution, job, operation, error
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,          -- a job succeeded
    alerted_at   timestamptz
) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

CREATE UNIQUE INDEX failure_streaks_open ON failure_streaks (queue) WHERE ended_at IS NULL;

-- The files of an execution, or of one of its jobs, for a webhook. Null: more than fit into one.
CREATE FUNCTION webhook_artifacts(given uuid, only_job uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN count(*) <= 60 THEN coalesce(jsonb_agg(f.artifact ORDER BY f.id), '[]') END
    FROM (SELECT a.id, jsonb_build_object(
              'artifact_id', a.id, 'name', a.name, 'key', a.key, 'media_type', a.media_type, 'size', a.size,
              'sha256', a.sha256, 'probe', a.probe, 'execution_id', a.execution_id, 'job_id', j.job_id,
              'job_record_id', a.job, 'created_at', a.created_at,
              'from_unfinished_run', a.from_unfinished_run) AS artifact
          FROM artifacts a JOIN execution_jobs j ON j.id = a.job
          WHERE a.execution_id = given AND (only_job IS NULL OR a.job = only_job)
          ORDER BY a.id LIMIT 61) f
$$;

-- What a webhook says about an execution that has ended. It is at most some 60 kB, because no webhook has more than
-- 20 kB: metadata, results, jobs or files that do not fit in any case are left out.
CREATE FUNCTION webhook_execution(given uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'name', e.name, 'status', e.status, 'job_count', e.job_count, 'last_event', e.last_event,
        'metadata', CASE WHEN octet_length(e.metadata::text) <= 20000 THEN e.metadata END,
        'cancel_requested_at', e.cancel_requested_at, 'created_at', e.created_at, 'started_at', e.started_at,
        'finished_at', e.finished_at, 'has_results', r.size <= 20000,
        'job_counts', (SELECT jsonb_object_agg(c.status, c.jobs)
                       FROM (SELECT status, count(*) AS jobs FROM execution_jobs
                             WHERE execution_id = e.id GROUP BY 1) c),
        'jobs', (SELECT coalesce(jsonb_agg(f.job ORDER BY f.number), '[]')
                 FROM (SELECT j.number, jsonb_build_object(
                           'id', j.id, 'job_id', j.job_id, 'operation', j.operation, 'status', j.status,
                           'attempts', j.attempts, 'started_at', j.started_at, 'finished_at', j.finished_at,
                           'error', CASE WHEN octet_length((j.error - 'traceback')::text) > 20000
                                         THEN jsonb_build_object('code', j.error -> 'code',
                                                  'message', left(j.error ->> 'message', 1000))
                                         ELSE j.error - 'traceback' END,
                           'result', CASE WHEN r.size <= 20000 THEN j.result END) AS job
                       FROM execution_jobs j
                       WHERE j.execution_id = e.id AND (e.job_count <= 120 OR j.status = 'failed')
                       ORDER BY j.number
                       LIMIT CASE WHEN e.job_count <= 120 THEN 120 ELSE 20 END) f),
        'artifacts', webhook_artifacts(e.id, NULL))
    FROM executions e
    CROSS JOIN LATERAL (SELECT coalesce(sum(octet_length(j.result::text)), 0) AS size
                        FROM execution_jobs j WHERE j.execution_id = e.id AND e.job_count <= 120) r
    WHERE e.id = given
$$;

-- What a webhook says about any other event.
CREATE FUNCTION webhook_event(given uuid, given_job text, event jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'name', e.name, 'job_id', given_job,
        'metadata', CASE WHEN octet_length(e.metadata::text) <= 20000 THEN e.metadata END,
        'event', CASE WHEN coalesce(octet_length(event::text), 0) <= 20000 THEN coalesce(event, '{}') END,
        'has_results', coalesce(octet_length(event::text), 0) <= 20000
                       AND coalesce(octet_length(j.result::text), 0) <= 20000,
        'job', CASE WHEN j.id IS NOT NULL THEN jsonb_build_object(
                   'id', j.id, 'job_id', j.job_id, 'operation', j.operation, 'queue', j.queue, 'status', j.status,
                   'attempts', j.attempts, 'started_at', j.started_at, 'finished_at', j.finished_at,
                   'result', CASE WHEN octet_length(j.result::text) <= 20000 THEN j.result END) END,
        'artifacts', CASE WHEN j.status = 'succeeded' THEN webhook_artifacts(e.id, j.id) ELSE '[]' END)
    FROM executions e LEFT JOIN execution_jobs j ON j.execution_id = e.id AND j.job_id = given_job
    WHERE e.id = given
$$;

-- Counts the failures of jobs that have ended, in their order. Called with at least one failure. Queues are locked in
-- the order of their names, after all executions, so that no two transactions wait for each other.
CREATE FUNCTION count_failures(ends jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    -- Each part is a run of failures, and the success that ends it, if there is one.
    FOR part IN
        SELECT queue, island, count(*) FILTER (WHERE failed)::int AS failures, bool_or(NOT failed) AS has_success,
               (array_agg(last_failure ORDER BY place DESC) FILTER (WHERE failed))[1] AS last_failure
        FROM (SELECT place, item ->> 'queue' AS queue, (item ->> 'failed')::bool AS failed, item - 'failed' AS last_failure,
                     count(*) FILTER (WHERE NOT (item ->> 'failed')::bool)
                         OVER (PARTITION BY item ->> 'queue' ORDER BY place
                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS island
              FROM jsonb_array_elements(ends) WITH ORDINALITY AS g (item, place)) numbered
        GROUP BY queue, island
        ORDER BY queue, island
    LOOP
        IF part.failures > 0 THEN
            INSERT INTO failure_streaks AS s (queue, failures, last_failure)
            VALUES (part.queue, part.failures, part.last_failure)
            ON CONFLICT (queue) WHERE ended_at IS NULL
            DO UPDATE SET failures = s.failures + excluded.failures, last_failure = excluded.last_failure;
        END IF;
        IF part.has_success THEN
            UPDATE failure_streaks SET ended_at = clock_timestamp() WHERE queue = part.queue AND ended_at IS NULL;
        END IF;
    END LOOP;
END
$$;

-- Runs in every transaction that stores events, and sees all its changes: writes the webhooks of these events, and counts
-- failures. Without endpoints, callback URLs and failures, it costs a few lookups per statement.
CREATE FUNCTION after_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (url, execution_id, event_number, type, data, created_at)
    SELECT e.callback_url, v.execution_id, v.number, v.type, webhook_execution(v.execution_id), v.at
    FROM new_events v
    JOIN LATERAL (SELECT callback_url FROM executions
                  WHERE id = v.execution_id AND callback_url IS NOT NULL OFFSET 0) e ON true -- a lookup per end
    WHERE v.type IN ('execution.succeeded', 'execution.failed', 'execution.cancelled');

    IF EXISTS (SELECT FROM webhook_endpoints WHERE disabled_at IS NULL) THEN
        INSERT INTO outbox (endpoint_id, execution_id, event_number, type, data, created_at)
        SELECT w.id, x.execution_id, x.number, x.type, x.facts, x.at
        FROM (SELECT v.execution_id, v.number, v.type, v.at,
                     CASE WHEN v.type IN ('execution.succeeded', 'execution.failed', 'execution.cancelled')
                          THEN webhook_execution(v.execution_id)
                          ELSE webhook_event(v.execution_id, v.job_id, v.data) END AS facts
              FROM new_events v
              WHERE EXISTS (SELECT FROM webhook_endpoints e
                            WHERE e.disabled_at IS NULL
                              AND e.event_types && ARRAY[v.type, split_part(v.type, '.', 1) || '.*'])
              OFFSET 0) x
        JOIN webhook_endpoints w
            ON w.disabled_at IS NULL AND w.event_types && ARRAY[x.type, split_part(x.type, '.', 1) || '.*']
        ORDER BY x.execution_id, x.number;
    END IF;

    IF EXISTS (SELECT FROM new_events WHERE type = 'job.failed') THEN
        PERFORM count_failures(jsonb_agg(ended.item ORDER BY ended.at, ended.execution_id, ended.number))
        FROM (SELECT v.at, v.execution_id, v.number, jsonb_build_object(
                         'queue', j.queue, 'failed', v.type = 'job.failed', 'execution_id', v.execution_id,
                         'job_id', v.job_id, 'operation', j.operation, 'at', v.at,
                         'code', v.data #> '{error,code}',
                         'message', left(v.data #>> '{error,message}', 1000)) AS item
              FROM new_events v
              JOIN LATERAL (SELECT queue, operation FROM execution_jobs
                            WHERE execution_id = v.execution_id AND job_id = v.job_id OFFSET 0) j ON true
              WHERE v.type IN ('job.failed', 'job.succeeded')) ended;
    ELSIF EXISTS (SELECT FROM failure_streaks WHERE ended_at IS NULL) THEN
        UPDATE failure_streaks s SET ended_at = clock_timestamp()
        FROM (SELECT id FROM failure_streaks
              WHERE ended_at IS NULL AND queue IN (
                  SELECT (SELECT queue FROM execution_jobs WHERE execution_id = v.execution_id AND job_id = v.job_id)
                  FROM new_events v WHERE v.type = 'job.succeeded')
              ORDER BY queue FOR UPDATE) succeeded
        WHERE s.id = succeeded.id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER after_events AFTER INSERT ON events REFERENCING NEW TABLE AS new_events
    FOR EACH STATEMENT EXECUTE FUNCTION after_events();

-- Ads. A tenant is a client of the product, an ad is the product's id of it. Amounts are decimal, in the currency of the
-- tenant. Locks: writes of jobs hold advisory locks on what they change, in the order of their keys (lock_state), after
-- the lock of the execution.

-- Contacts of a deal, or of a person, with an ad.
CREATE TABLE ad_touches (
    tenant       text NOT NULL,
    subject_kind text NOT NULL CHECK (subject_kind IN ('deal', 'contact')),
    subject      text NOT NULL,              -- id of the deal or of the contact
    touched_at   timestamptz NOT NULL,
    ad           text NOT NULL,
    kind         text NOT NULL,              -- click, view, form…
    PRIMARY KEY (tenant, subject_kind, subject, touched_at, ad, kind)
);

-- The newest known state of each deal.
CREATE TABLE ad_deals (
    tenant       text NOT NULL,
    deal         text NOT NULL,
    stage        text,
    stage_at     timestamptz,                -- time of the newest change of the stage
    value        numeric(20, 2),
    value_at     timestamptz,                -- time of the newest change of the value
    contacts     text[] NOT NULL DEFAULT '{}',
    version      integer NOT NULL,           -- number of changes; a change names the version that it was computed from
    execution_id uuid NOT NULL,              -- execution of the newest change; it may be deleted since
    PRIMARY KEY (tenant, deal)
);

-- Credit of deals to ads. Rows are only added: a change of the credit adds rows that reverse the earlier ones.
CREATE TABLE ad_credits (
    tenant      text NOT NULL,
    deal        text NOT NULL,
    version     integer NOT NULL,            -- version of the deal that added the row
    kind        text NOT NULL CHECK (kind IN ('credit', 'reversal')),
    stage       text NOT NULL,               -- stage whose credit is given, or reversed
    model       text NOT NULL,               -- attribution model
    ad          text NOT NULL,
    served_on   date NOT NULL,               -- day of the touch, in UTC
    amount      numeric(20, 2) NOT NULL,     -- negative in a reversal
    conversions double precision NOT NULL,   -- part of one deal; negative in a reversal
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, deal, version, kind, model, ad, served_on)
);
CREATE INDEX ad_credits_by_ad ON ad_credits (tenant, ad, model) INCLUDE (served_on, amount, conversions);

-- The probability that a deal in a stage is won. A tenant without rows has the defaults of the program.
CREATE TABLE ad_stages (
    tenant      text NOT NULL,
    stage       text NOT NULL,
    probability numeric(5, 4) NOT NULL CHECK (probability BETWEEN 0 AND 1),
    PRIMARY KEY (tenant, stage)
);

-- Daily figures of ads, as their platform reports them. The newest report of a day counts.
CREATE TABLE ad_metrics (
    tenant      text NOT NULL,
    ad          text NOT NULL,
    day         date NOT NULL,
    impressions bigint NOT NULL,
    clicks      bigint NOT NULL,
    spend       numeric(20, 2) NOT NULL,
    reach       bigint,                      -- different people; impressions / reach is the frequency
    engagements bigint,
    conversions double precision NOT NULL,
    revenue     numeric(20, 2) NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, ad, day)
);

-- What the sampler knows of each ad: sums that lose half of their weight in each half-life.
CREATE TABLE ad_arms (
    tenant               text NOT NULL,
    ad                   text NOT NULL,
    as_of                date NOT NULL,      -- the sums are discounted to the start of this day, in UTC
    trials               double precision NOT NULL, -- impressions
    immature             double precision NOT NULL, -- the part of `trials` whose rewards are still to come
    spend                double precision NOT NULL,
    reported_conversions double precision NOT NULL,
    reported_revenue     double precision NOT NULL,
    deal_conversions     double precision NOT NULL,
    deal_revenue         double precision NOT NULL,
    share                double precision,   -- share of the budget that was adopted last
    PRIMARY KEY (tenant, ad)
);

-- The state of the winners of each tenant. Servers compare it with their index.
CREATE TABLE ad_winner_versions (
    tenant  text PRIMARY KEY,
    id      uuid NOT NULL DEFAULT gen_random_uuid(), -- names the files of the index
    version bigint NOT NULL                  -- number of changes
);

-- The facts of winning creatives, with their vectors. A deleted one keeps its row without facts, so that each index
-- learns of it.
CREATE TABLE ad_winners (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- id in the index
    tenant     text NOT NULL,
    ad         text NOT NULL,
    facts      jsonb NOT NULL,               -- text, tags, script, attributes, metrics as they were given
    look       text,                         -- how its frames look, in words
    digest     text NOT NULL,                -- of facts and look
    model      text NOT NULL,                -- embedding model
    vector     bytea,                        -- 32-bit floats, little-endian, of unit length; null: deleted
    version    bigint NOT NULL,              -- change of the tenant that wrote the row
    indexed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, ad)
);
CREATE INDEX ad_winners_changes ON ad_winners (tenant, version, number);
CREATE INDEX ad_winners_by_model ON ad_winners (tenant, model, ad) WHERE vector IS NOT NULL;

-- Which versions may use the schema. One row, written by each upgrade.
CREATE TABLE schema_compatibility (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_code text NOT NULL -- revision of the oldest version of Callsheet that may use this schema
);

-- Views in the words of other systems: `processing`, `completed`, `completed_at`. Callsheet does not read them.

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
