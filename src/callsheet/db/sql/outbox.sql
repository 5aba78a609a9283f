-- name: lock_due_webhooks
-- Locks the webhooks that have been due for longest, for lease_webhooks or postpone_webhooks in the same transaction.
-- :alerts: this process knows where alerts are sent.
SELECT o.id, o.endpoint_id, coalesce(o.url, w.url) AS url, w.secret_number,
       w.previous_secret_until > statement_timestamp() AS is_rotating, w.disabled_at IS NOT NULL AS disabled
FROM outbox o LEFT JOIN webhook_endpoints w ON w.id = o.endpoint_id
WHERE o.delivered_at IS NULL AND o.failed_at IS NULL AND o.due_at <= statement_timestamp()
  AND (:alerts::bool OR o.endpoint_id IS NOT NULL OR o.url IS NOT NULL)
ORDER BY o.due_at
LIMIT :limit
FOR UPDATE OF o SKIP LOCKED;

-- name: lease_webhooks
-- Claims webhooks for :lease seconds, so that no other sender takes them meanwhile.
UPDATE outbox
SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => :lease)
WHERE id = ANY (:ids::uuid[])
RETURNING id, execution_id, event_number, type, data::text AS data, attempts, resent_after, created_at;

-- name: postpone_webhooks!
UPDATE outbox o
SET due_at = clock_timestamp() + make_interval(secs => g.delay)
FROM unnest(:ids::uuid[], :delays::float8[]) AS g (id, delay)
WHERE o.id = g.id;

-- name: record_attempt!
-- Stores an attempt and its effect: delivered, failed (:delay is null), or due again in :delay seconds.
WITH webhook AS (
    SELECT id FROM outbox WHERE id = :id FOR UPDATE
), attempt AS (
    INSERT INTO webhook_attempts (webhook, number, at, duration, status, response)
    SELECT id, :number, clock_timestamp() - make_interval(secs => :duration::float8), :duration::float8, :status::int,
           :response
    FROM webhook
    ON CONFLICT DO NOTHING
)
UPDATE outbox o
SET last_response = :response,
    delivered_at = CASE WHEN :delivered::bool THEN clock_timestamp() END,
    failed_at = CASE WHEN NOT :delivered::bool AND :delay::float8 IS NULL THEN clock_timestamp() END,
    due_at = clock_timestamp() + make_interval(secs => coalesce(:delay::float8, 0))
FROM webhook w
WHERE o.id = w.id;

-- name: delete_old_outbox
-- Deletes webhooks that were written more than :max_age seconds ago and are not due any more, with their attempts.
-- Returns the number of deleted webhooks.
WITH old AS (
    DELETE FROM outbox
    WHERE id IN (SELECT id FROM outbox
                 WHERE created_at < statement_timestamp() - make_interval(secs => :max_age)
                   AND (delivered_at IS NOT NULL OR failed_at IS NOT NULL OR (endpoint_id IS NULL AND url IS NULL))
                 LIMIT :limit)
    RETURNING id
)
SELECT count(*) AS deleted FROM old;
