-- Measurements of the machines of workers.
-- No data is lost. Workers and servers of the previous version keep working; such workers are not measured.

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
