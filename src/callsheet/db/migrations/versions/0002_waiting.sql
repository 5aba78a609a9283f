-- Jobs that wait for providers: what was ordered, what they wait for, what providers call about.
-- Nothing is lost. Workers of the version before survive it: they neither order nor look.

ALTER TABLE execution_jobs
    ADD COLUMN provider         text,
    ADD COLUMN submission       uuid,
    ADD COLUMN waiting_until    timestamptz,
    ADD COLUMN cost             double precision,
    ADD COLUMN provider_seconds double precision;

CREATE TABLE submissions (
    id              uuid PRIMARY KEY,
    job             uuid NOT NULL,
    step            text NOT NULL,
    epoch           integer NOT NULL,
    provider        text NOT NULL,
    model           text NOT NULL,
    token           text,
    request_digest  bytea NOT NULL,
    begun_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome         text CHECK (outcome IN ('accepted', 'refused', 'unknown')),
    accepted_at     timestamptz,
    provider_job_id text,
    task            jsonb,
    evidence        jsonb,
    hinted_at       timestamptz,
    ended           text CHECK (ended IN ('succeeded', 'failed', 'cancelled', 'lost', 'given_up')),
    cost            double precision,
    seconds         double precision,
    closed_at       timestamptz,
    cancel_at       timestamptz,
    cancel_attempts integer NOT NULL DEFAULT 0,
    CHECK ((outcome = 'accepted') = (task IS NOT NULL))
);

CREATE INDEX submissions_by_job ON submissions (job);
CREATE UNIQUE INDEX submissions_open ON submissions (job, step) WHERE closed_at IS NULL;
CREATE INDEX submissions_to_cancel ON submissions (cancel_at) WHERE cancel_at IS NOT NULL;

CREATE TABLE inbox (
    submission  uuid NOT NULL,
    message_id  text NOT NULL,
    task_id     text,
    status      text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (submission, message_id)
);
