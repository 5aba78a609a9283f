-- name: is_known_message$
SELECT EXISTS (SELECT FROM intake_messages
               WHERE intake = :intake AND source = :source AND message_id = :message_id AND attempt = :attempt);

-- name: take_messages
-- Stores taken messages. One that is already stored joins its execution, and is open again with the new claim.
-- `place` is the position in the arguments.
WITH given AS (
    SELECT * FROM unnest(:intakes::text[], :sources::text[], :message_ids::text[], :attempts::text[],
                         :execution_ids::uuid[], :claims::text[], :product_ids::text[], :owners::uuid[])
        WITH ORDINALITY AS g (intake, source, message_id, attempt, execution_id, claim, product_id, owner, place)
), taken AS (
    INSERT INTO intake_messages AS m (intake, source, message_id, attempt, execution_id, claim, product_id, owner,
                                      owned_until)
    SELECT intake, source, message_id, attempt, execution_id, claim::jsonb, product_id, owner,
           clock_timestamp() + make_interval(secs => :lease)
    FROM given
    ORDER BY intake, source, message_id, attempt
    ON CONFLICT (intake, source, message_id, attempt) DO UPDATE
    SET claim = excluded.claim, owner = excluded.owner, owned_until = excluded.owned_until, reported_event = 0,
        closed_at = NULL
    RETURNING intake, source, message_id, attempt, execution_id
)
SELECT g.place, t.execution_id
FROM given g JOIN taken t USING (intake, source, message_id, attempt);

-- name: adopt_messages
-- Takes over open messages of intake processes that have ended.
UPDATE intake_messages m
SET owner = :owner, owned_until = clock_timestamp() + make_interval(secs => :lease)
FROM (
    SELECT intake, source, message_id, attempt
    FROM intake_messages
    WHERE closed_at IS NULL AND intake = :intake AND owned_until < clock_timestamp()
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
) free
WHERE (m.intake, m.source, m.message_id, m.attempt) = (free.intake, free.source, free.message_id, free.attempt)
RETURNING m.source, m.message_id, m.attempt, m.execution_id, m.claim, m.product_id, m.reported_event;

-- name: renew_messages
-- Extends the ownership of open messages and stores what was reported. Returns those that are still owned.
-- Intake and owner are arrays: as constants they look selective, and a plan that was made while the table was small
-- then compares each given message with all messages of the intake.
UPDATE intake_messages m
SET owned_until = clock_timestamp() + make_interval(secs => :lease),
    reported_event = greatest(m.reported_event, g.reported)
FROM unnest(:intakes::text[], :sources::text[], :message_ids::text[], :attempts::text[], :owners::uuid[],
            :reported::bigint[]) AS g (intake, source, message_id, attempt, owner, reported)
WHERE m.intake = g.intake AND m.source = g.source AND m.message_id = g.message_id AND m.attempt = g.attempt
  AND m.owner = g.owner AND m.closed_at IS NULL
RETURNING m.execution_id;

-- name: close_messages!
-- Closes messages whose end was reported. Intake and owner are arrays as in `renew_messages`.
UPDATE intake_messages m
SET closed_at = clock_timestamp(), reported_event = greatest(m.reported_event, g.reported)
FROM unnest(:intakes::text[], :sources::text[], :message_ids::text[], :attempts::text[], :owners::uuid[],
            :reported::bigint[]) AS g (intake, source, message_id, attempt, owner, reported)
WHERE m.intake = g.intake AND m.source = g.source AND m.message_id = g.message_id AND m.attempt = g.attempt
  AND m.owner = g.owner;

-- name: release_messages!
-- Gives all open messages of a process up at once, for its successor.
UPDATE intake_messages SET owned_until = clock_timestamp() WHERE intake = :intake AND owner = :owner AND closed_at IS NULL;

-- name: find_message^
-- The newest execution of a message, whatever its attempt.
SELECT execution_id, closed_at FROM intake_messages
WHERE intake = :intake AND source = :source AND message_id = :message_id
ORDER BY received_at DESC
LIMIT 1;

-- name: find_attempts
-- The attempt of the open message with each source and id, or the number of a new attempt, in their order.
-- The intake is an array as in `renew_messages`.
SELECT coalesce(min(m.attempt) FILTER (WHERE m.closed_at IS NULL), (count(m.attempt) + 1)::text) AS attempt
FROM unnest(:intakes::text[], :sources::text[], :message_ids::text[]) WITH ORDINALITY
    AS g (intake, source, message_id, place)
LEFT JOIN intake_messages m USING (intake, source, message_id)
GROUP BY g.place
ORDER BY g.place;

-- name: record_intake!
-- Registers an intake process, or stores its heartbeat.
INSERT INTO intakes AS i (id, name, sources, host, pid, accepted, closed, rejected, backlog, last_error, last_error_at)
VALUES (:id, :name, :sources, :host, :pid, :accepted, :closed, :rejected, :backlog, :last_error,
        CASE WHEN :last_error::text IS NULL THEN NULL ELSE clock_timestamp() END)
ON CONFLICT (id) DO UPDATE
SET heartbeat_at = clock_timestamp(), sources = excluded.sources, accepted = excluded.accepted,
    closed = excluded.closed, rejected = excluded.rejected, backlog = excluded.backlog,
    last_error = excluded.last_error,
    last_error_at = CASE WHEN excluded.last_error IS NULL THEN NULL
                         WHEN excluded.last_error = i.last_error THEN i.last_error_at
                         ELSE clock_timestamp() END;

-- name: remove_intake!
-- Removes an intake process that has ended.
DELETE FROM intakes WHERE id = :id;

-- name: list_intakes
-- All intake processes with their open messages. Those without a heartbeat for a day are not shown.
SELECT i.id, i.name, i.sources, i.host, i.pid, i.started_at, i.heartbeat_at, i.accepted, i.closed, i.rejected,
       i.backlog, i.last_error, i.last_error_at,
       i.heartbeat_at > clock_timestamp() - make_interval(secs => :timeout) AS alive,
       (SELECT count(*) FROM intake_messages m WHERE m.intake = i.name AND m.owner = i.id AND m.closed_at IS NULL)
           AS open,
       (SELECT min(received_at) FROM intake_messages m
        WHERE m.intake = i.name AND m.owner = i.id AND m.closed_at IS NULL) AS oldest_open_at
FROM intakes i
WHERE i.heartbeat_at > clock_timestamp() - interval '1 day'
ORDER BY i.name, i.started_at;

-- name: delete_old_intakes!
-- Removes intake processes that ended without a word.
DELETE FROM intakes WHERE heartbeat_at < clock_timestamp() - interval '1 day';
