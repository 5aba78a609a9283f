-- name: lock_state
-- Locks what the state writes of a batch change, until the end of the transaction. All transactions take these locks in
-- the order of their numbers, after the locks of their executions, so no deadlock is possible.
SELECT pg_advisory_xact_lock(number)
FROM (SELECT DISTINCT hashtextextended(current_schema() || ':' || key, 0) AS number
      FROM unnest(:keys::text[]) AS key ORDER BY number) AS ordered;
