-- What is left of deleted executions: their files, until the storage has deleted them, and their costs.
-- No data is lost. Workers and servers of the previous version keep working; they delete no executions.

CREATE TABLE object_deletions (
    key       text PRIMARY KEY,
    size      bigint NOT NULL,
    requested timestamptz NOT NULL DEFAULT now()
);

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
