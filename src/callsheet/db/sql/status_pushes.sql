-- name: record_status_pushes!
-- Stores pushes in the order of the arguments. One that is already stored is not changed.
INSERT INTO status_pushes (intake, source, message_id, attempt, status, product_id, body)
SELECT :intake, source, message_id, attempt, status, product_id, body
FROM unnest(:sources::text[], :message_ids::text[], :attempts::text[], :statuses::text[], :product_ids::text[],
            :bodies::text[]) WITH ORDINALITY AS g (source, message_id, attempt, status, product_id, body, place)
ORDER BY place
ON CONFLICT (intake, source, message_id, attempt, status) DO NOTHING;

-- name: claim_status_pushes
-- Claims due pushes for :lease seconds. A push waits until those before it for the same job have ended.
UPDATE status_pushes p
SET attempts = attempts + 1, first_attempt_at = coalesce(first_attempt_at, clock_timestamp()),
    due_at = clock_timestamp() + make_interval(secs => :lease)
FROM (
    SELECT d.number FROM status_pushes d
    WHERE d.intake = :intake AND d.delivered_at IS NULL AND d.failed_at IS NULL AND d.due_at <= statement_timestamp()
      AND NOT EXISTS (SELECT FROM status_pushes e
                      WHERE e.intake = d.intake AND e.product_id = d.product_id AND e.number < d.number
                        AND e.delivered_at IS NULL AND e.failed_at IS NULL)
    ORDER BY d.due_at, d.number
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
) due
WHERE p.number = due.number
RETURNING p.number, p.product_id, p.status, p.body, p.attempts,
          extract(epoch FROM clock_timestamp() - p.first_attempt_at)::float8 AS age;

-- name: record_status_push_attempts!
-- Stores the results of attempts: delivered, given up (the delay is null), or due again after the delay in seconds.
UPDATE status_pushes p
SET last_response = g.response,
    delivered_at = CASE WHEN g.delivered THEN clock_timestamp() END,
    failed_at = CASE WHEN NOT g.delivered AND g.delay IS NULL THEN clock_timestamp() END,
    due_at = clock_timestamp() + make_interval(secs => coalesce(g.delay, 0))
FROM unnest(:numbers::bigint[], :responses::text[], :delivered::bool[], :delays::float8[])
    AS g (number, response, delivered, delay)
WHERE p.number = g.number;

-- name: delete_old_status_pushes$
-- Deletes pushes that were written more than :max_age seconds ago and have ended. Returns their number.
WITH old AS (
    DELETE FROM status_pushes
    WHERE number IN (SELECT number FROM status_pushes
                     WHERE created_at < statement_timestamp() - make_interval(secs => :max_age)
                       AND (delivered_at IS NOT NULL OR failed_at IS NOT NULL)
                     LIMIT :limit)
    RETURNING number
)
SELECT count(*) AS deleted FROM old;
