-- An order whose fate nobody knows is looked for when its job was cancelled as well.
-- Nothing is lost. Workers of the version before survive it; what they have sent is not looked for then.

ALTER TABLE submissions ADD COLUMN sought jsonb;
