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
RETURNING id, execution_id, event_number, type, data::text AS data, attempts, resent_after, created_at,
          (SELECT traceparent FROM executions e WHERE e.id = execution_id) AS traceparent;

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

-- name: delete_old_outbox$
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

-- name: list_webhooks
-- One page, newest first. :before is the last number of the previous page.
SELECT o.id, o.number, o.endpoint_id, o.url, o.execution_id, o.event_number, o.type, o.created_at, o.due_at, o.attempts,
       o.delivered_at, o.failed_at, o.last_response
FROM outbox o
WHERE (:before::bigint IS NULL OR o.number < :before)
  AND (:endpoint_id::uuid IS NULL OR o.endpoint_id = :endpoint_id)
  AND (:execution_id::uuid IS NULL OR o.execution_id = :execution_id)
  AND (:status::text IS NULL
       OR :status = CASE WHEN o.delivered_at IS NOT NULL THEN 'delivered'
                         WHEN o.failed_at IS NOT NULL THEN 'failed' ELSE 'pending' END)
ORDER BY o.number DESC
LIMIT :limit;

-- name: get_webhook^
SELECT id, number, endpoint_id, url, execution_id, event_number, type, created_at, due_at, attempts, delivered_at,
       failed_at, last_response
FROM outbox WHERE id = :id;

-- name: attempts_of_webhook
SELECT number, at, duration, status, response FROM webhook_attempts WHERE webhook = :id ORDER BY number;

-- name: resend_webhook^
-- Makes a webhook due now, with all its attempts before it. Returns nothing for one of a disabled endpoint.
UPDATE outbox o
SET due_at = clock_timestamp(), delivered_at = NULL, failed_at = NULL, resent_after = o.attempts
WHERE o.id = :id
  AND NOT EXISTS (SELECT FROM webhook_endpoints w WHERE w.id = o.endpoint_id AND w.disabled_at IS NOT NULL)
RETURNING o.id;

-- name: resend_failed_webhooks
-- Makes webhooks due that failed at :since or later, up to :limit, oldest first; skips those of disabled endpoints.
WITH resent AS (
    UPDATE outbox o
    SET due_at = clock_timestamp(), failed_at = NULL, resent_after = o.attempts
    FROM (SELECT f.id FROM outbox f
          WHERE f.failed_at >= :since AND (:endpoint_id::uuid IS NULL OR f.endpoint_id = :endpoint_id)
            AND NOT EXISTS (SELECT FROM webhook_endpoints w WHERE w.id = f.endpoint_id AND w.disabled_at IS NOT NULL)
          ORDER BY f.failed_at LIMIT :limit FOR UPDATE SKIP LOCKED) failed
    WHERE o.id = failed.id
    RETURNING o.id
)
SELECT id FROM resent;

-- name: approvals_by_persons
-- What persons have approved in an execution.
SELECT decided_by, decided_at FROM approvals
WHERE execution_id = :execution_id AND outcome = 'approved' AND how <> 'deadline'
LIMIT 10000;

-- name: add_action_webhook!
-- Stores the webhook of an approved action, with the id of its job: a job sends one.
INSERT INTO outbox (id, url, execution_id, type, data)
VALUES (:id, :url, :execution_id, 'ad.action', :data::text::jsonb)
ON CONFLICT (id) DO NOTHING;
