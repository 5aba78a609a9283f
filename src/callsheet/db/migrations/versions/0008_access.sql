-- API keys with scopes and limits, users, sessions that can be listed and ended, an audit log, and costs.
-- The sessions of the console end: people log in again. No other data is lost. Workers of the previous version keep
-- working, but log an error instead of deleting expired rows, since a table is gone. Executions that wait for a place
-- have pending jobs, which a worker of this version, or a server, queues.

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
    disabled_at timestamptz
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

DROP TABLE ended_sessions;

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

-- Whose executions they are, and whether they wait until their key may have another one in progress.
ALTER TABLE executions
    ADD COLUMN api_key uuid,                                -- api_keys.id
    ADD COLUMN awaits_place boolean NOT NULL DEFAULT false; -- its first jobs are pending until it gets a place
CREATE INDEX executions_of_keys ON executions (api_key) WHERE api_key IS NOT NULL AND status IN ('queued', 'running');
CREATE INDEX executions_awaiting_place ON executions (api_key, id) WHERE awaits_place AND status = 'queued';

-- What jobs cost at providers: reported by the provider, or by the price of the model.
ALTER TABLE executions ADD COLUMN estimated_cost double precision; -- US dollars; null: no job at a provider
CREATE INDEX executions_paid ON executions (created_at, api_key) WHERE estimated_cost IS NOT NULL;
ALTER TABLE execution_jobs
    ADD COLUMN cost_source text CHECK (cost_source IN ('provider', 'price')); -- price: at least a part of the cost
ALTER TABLE submissions
    ADD COLUMN price double precision,                                        -- of a task that succeeds, in US dollars
    ADD COLUMN cost_source text CHECK (cost_source IN ('provider', 'price'));
UPDATE submissions SET cost_source = 'provider' WHERE cost IS NOT NULL;
UPDATE execution_jobs SET cost_source = 'provider' WHERE cost IS NOT NULL;
CREATE INDEX submissions_with_cost ON submissions (created_at) WHERE cost IS NOT NULL;
