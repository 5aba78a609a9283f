-- Totals of metrics are stored, so that they survive restarts and are the same on every server. Jobs and executions are
-- counted by reading the new events now and then, which needs an index by time; the rest is added by each process.
-- No data is lost. What happened before is not counted. Workers of the previous version keep working; their jobs are
-- counted, but not their requests to providers.

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

-- The trace of the request that submitted an execution. The previous version stores none.
ALTER TABLE executions ADD COLUMN traceparent text;

CREATE INDEX events_by_time ON events USING brin (at) WITH (pages_per_range = 32);
