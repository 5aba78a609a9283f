-- name: claim_webhooks
-- Due notices, put off by :lease so that another sender leaves them alone meanwhile.
UPDATE outbox o
SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => :lease)
FROM (SELECT id FROM outbox
      WHERE delivered_at IS NULL AND given_up_at IS NULL AND due_at <= statement_timestamp()
      ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED) due
WHERE o.id = due.id
RETURNING o.id, o.execution_id, o.type, o.url, o.attempts, o.created_at;

-- name: webhook_delivered!
UPDATE outbox SET delivered_at = clock_timestamp(), last_answer = :answer WHERE id = :id;

-- name: webhook_failed!
-- Tried again after :delay seconds; null: given up.
UPDATE outbox
SET last_answer = :answer, given_up_at = CASE WHEN :delay::float8 IS NULL THEN clock_timestamp() END,
    due_at = clock_timestamp() + make_interval(secs => coalesce(:delay::float8, 0))
WHERE id = :id;
