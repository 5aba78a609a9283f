-- The order in which a stored plan declares its inputs: jsonb sorts the keys of an object.
-- No data is lost. Servers and workers of the previous version keep working.
ALTER TABLE plans ADD COLUMN input_names text[];
