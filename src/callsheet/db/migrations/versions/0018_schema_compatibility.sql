-- Which versions may use the schema, so that servers and workers of an earlier version can start after an upgrade.
-- No data is lost. Processes of the previous version keep working, but do not start again: they do not read it.

-- One row, written by each upgrade.
CREATE TABLE schema_compatibility (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_code text NOT NULL -- revision of the oldest version of Callsheet that may use this schema
);
