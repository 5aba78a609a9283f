-- The cancellation of a batch is stored with the batch, and carried out in parts by any server or worker.
-- No data is lost. Workers of the previous version keep working; they do not carry out cancellations of batches.

ALTER TABLE batches
    ADD COLUMN cancel_requested_at timestamptz, -- the newest request
    ADD COLUMN cancel_next integer;             -- first position that is not yet cancelled; null: no more to do
CREATE INDEX batches_cancelling ON batches (id) WHERE cancel_next IS NOT NULL;
