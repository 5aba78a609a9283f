-- Winning ads.
-- No data is lost. Workers of the previous version keep working: they do not have the operations of winners, so they do
-- not claim their jobs.

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
