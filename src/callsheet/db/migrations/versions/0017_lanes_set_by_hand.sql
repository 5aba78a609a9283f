-- Lanes set by hand apply to later workers of the same name, too.
-- No data is lost. Servers and workers of the previous version keep working; they know nothing of the table.
ALTER TABLE workers
    ADD COLUMN configured_lanes jsonb NOT NULL DEFAULT '{}'; -- queue → slots without what was set by hand

CREATE TABLE worker_lanes (
    worker_name text NOT NULL,
    queue       text NOT NULL,
    slots       integer NOT NULL CHECK (slots >= 0),
    seen_at     timestamptz NOT NULL DEFAULT now(), -- when there last was a worker of this name
    PRIMARY KEY (worker_name, queue)
);
