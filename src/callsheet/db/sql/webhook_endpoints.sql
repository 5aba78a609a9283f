-- name: create_endpoint^
INSERT INTO webhook_endpoints (id, url, description, event_types)
VALUES (:id, :url, :description, :event_types::text[])
RETURNING id, url, description, event_types, secret_number, previous_secret_until, failing_since, disabled_at,
          disabled_reason, created_at;

-- name: list_endpoints
SELECT id, url, description, event_types, secret_number, previous_secret_until, failing_since, disabled_at,
       disabled_reason, created_at
FROM webhook_endpoints ORDER BY id;

-- name: get_endpoint^
SELECT id, url, description, event_types, secret_number, previous_secret_until, failing_since, disabled_at,
       disabled_reason, created_at
FROM webhook_endpoints WHERE id = :id;

-- name: count_endpoints$
SELECT count(*) FROM webhook_endpoints;

-- name: change_endpoint^
-- Changes what is not null. An endpoint that is enabled has not failed yet.
UPDATE webhook_endpoints
SET url = coalesce(:url, url), description = coalesce(:description, description),
    event_types = coalesce(:event_types::text[], event_types),
    disabled_at = CASE WHEN :enabled::bool IS NULL THEN disabled_at
                       WHEN NOT :enabled::bool THEN coalesce(disabled_at, clock_timestamp()) END,
    disabled_reason = CASE WHEN :enabled::bool IS NULL THEN disabled_reason
                           WHEN NOT :enabled::bool THEN coalesce(disabled_reason, 'request') END,
    failing_since = CASE WHEN :enabled::bool THEN NULL ELSE failing_since END
WHERE id = :id
RETURNING id, url, description, event_types, secret_number, previous_secret_until, failing_since, disabled_at,
          disabled_reason, created_at;

-- name: rotate_endpoint_secret^
UPDATE webhook_endpoints
SET secret_number = secret_number + 1,
    previous_secret_until = clock_timestamp() + make_interval(secs => :overlap::float8)
WHERE id = :id
RETURNING id, url, description, event_types, secret_number, previous_secret_until, failing_since, disabled_at,
          disabled_reason, created_at;

-- name: delete_endpoint^
-- Deletes an endpoint with its webhooks and their attempts.
WITH deleted AS (
    DELETE FROM webhook_endpoints WHERE id = :id RETURNING id
), webhooks AS (
    DELETE FROM outbox WHERE endpoint_id = :id
)
SELECT id FROM deleted;

-- name: endpoint_succeeded!
UPDATE webhook_endpoints SET failing_since = NULL WHERE id = :id AND failing_since IS NOT NULL;

-- name: endpoint_failed!
UPDATE webhook_endpoints SET failing_since = clock_timestamp() WHERE id = :id AND failing_since IS NULL;

-- name: disable_failing_endpoint^
-- Disables an endpoint that is gone, or has failed for :after seconds; null: it is never disabled for that.
UPDATE webhook_endpoints SET disabled_at = clock_timestamp(), disabled_reason = :reason::text
WHERE id = :id AND disabled_at IS NULL
  AND (:reason::text = 'gone' OR failing_since <= clock_timestamp() - make_interval(secs => :after::float8))
RETURNING failing_since;

-- name: fail_webhooks_of_endpoint!
-- Those that are being claimed now fail when they are sent.
UPDATE outbox o
SET failed_at = clock_timestamp(), last_response = coalesce(o.last_response, 'not sent: the endpoint is disabled')
FROM (SELECT id FROM outbox
      WHERE endpoint_id = :id AND delivered_at IS NULL AND failed_at IS NULL
      FOR UPDATE SKIP LOCKED) waiting
WHERE o.id = waiting.id;

-- name: store_test_webhook^
INSERT INTO outbox (endpoint_id, type, data)
SELECT id, 'webhook.test', :data::text::jsonb FROM webhook_endpoints WHERE id = :id
RETURNING id;

-- name: store_alert!
-- Writes an alert for the alert URL in the settings (:has_url) and for the endpoints that receive its type.
INSERT INTO outbox (endpoint_id, type, data)
SELECT NULL::uuid, :type::text, :data::text::jsonb WHERE :has_url::bool
UNION ALL
SELECT id, :type::text, :data::text::jsonb FROM webhook_endpoints
WHERE disabled_at IS NULL AND event_types && ARRAY[:type::text, 'alert.*'];

-- name: claim_failure_streaks
-- Marks streaks of :threshold failures as alerted, if there is a receiver.
UPDATE failure_streaks s SET alerted_at = clock_timestamp()
FROM (SELECT id FROM failure_streaks
      WHERE alerted_at IS NULL AND failures >= :threshold
        AND (:has_url::bool OR EXISTS (SELECT FROM webhook_endpoints
                                       WHERE disabled_at IS NULL
                                         AND event_types && ARRAY['alert.queue_failing', 'alert.*']))
      ORDER BY queue FOR UPDATE SKIP LOCKED) reached
WHERE s.id = reached.id
RETURNING s.queue, s.failures, s.last_failure::text AS last_failure, s.started_at;

-- name: delete_old_failure_streaks!
-- Deletes streaks that have ended: those that were alerted or too short for it at once, others after an hour.
DELETE FROM failure_streaks
WHERE ended_at IS NOT NULL
  AND (alerted_at IS NOT NULL OR failures < :threshold OR ended_at < statement_timestamp() - interval '1 hour');
