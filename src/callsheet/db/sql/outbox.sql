-- name: claim_webhooks
-- Claims due webhooks with a lease of :lease seconds, so that no other sender takes them meanwhile.
UPDATE outbox o
SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => :lease)
FROM (SELECT id FROM outbox
      WHERE delivered_at IS NULL AND failed_at IS NULL AND due_at <= statement_timestamp()
      ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED) due
WHERE o.id = due.id
RETURNING o.id, o.execution_id, o.type, o.url, o.attempts, o.created_at;

-- name: webhook_delivered!
UPDATE outbox SET delivered_at = clock_timestamp(), last_response = :response WHERE id = :id;

-- name: webhook_failed!
-- Schedules the next attempt in :delay seconds; null: no further attempt.
UPDATE outbox
SET last_response = :response, failed_at = CASE WHEN :delay::float8 IS NULL THEN clock_timestamp() END,
    due_at = clock_timestamp() + make_interval(secs => coalesce(:delay::float8, 0))
WHERE id = :id;
