-- name: committed_costs$
-- US dollars of one key or of all (null) since :since: what submissions have cost since then, whenever their execution
-- was submitted, and what is left of the estimates of executions that have not ended. With the costs of deleted
-- executions, which are kept by day. Exact: sums of binary fractions are not, so that the last dollar would be refused.
SELECT coalesce(sum(amount), 0)
FROM (SELECT s.cost::numeric AS amount
      FROM submissions s
      WHERE s.cost IS NOT NULL AND s.created_at >= :since
        AND (:api_key::uuid IS NULL
             OR EXISTS (SELECT FROM execution_jobs j JOIN executions e ON e.id = j.execution_id
                        WHERE j.id = s.job AND e.api_key = :api_key))
      UNION ALL
      SELECT greatest(e.estimated_cost::numeric - coalesce(c.cost, 0), 0)
      FROM executions e
      LEFT JOIN LATERAL (SELECT sum(cost::numeric) AS cost FROM execution_jobs WHERE execution_id = e.id) c ON true
      WHERE e.estimated_cost IS NOT NULL AND e.status IN ('queued', 'running')
        AND (:api_key::uuid IS NULL OR e.api_key = :api_key)
      UNION ALL
      SELECT amount::numeric FROM deleted_costs
      WHERE day >= (:since::timestamptz AT TIME ZONE 'UTC')::date
        AND (:api_key::uuid IS NULL OR api_key = :api_key)) committed;

-- name: lock_budgets
-- One transaction at a time, over all servers, compares costs with budgets and stores what it adds. It is locked after
-- all executions.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' budgets', 0));

-- name: sum_costs
-- Sums of submissions with a known cost since :since, by execution, key, model or day. The key of an execution can be
-- null. With the costs of deleted executions, which are kept by day; they belong to no execution.
SELECT s.group, max(s.name) AS name, sum(s.cost)::float8 AS amount, sum(s.submissions)::bigint AS submissions,
       sum(s.from_price)::bigint AS from_price
FROM (SELECT CASE :by::text WHEN 'execution' THEN j.execution_id::text
                            WHEN 'key' THEN e.api_key::text
                            WHEN 'model' THEN u.provider || '/' || u.model
                            ELSE to_char(u.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS group,
             CASE :by::text WHEN 'key' THEN k.name WHEN 'execution' THEN e.name END AS name, u.cost,
             1 AS submissions, (u.cost_source = 'price')::int AS from_price
      FROM submissions u
      JOIN execution_jobs j ON j.id = u.job
      JOIN executions e ON e.id = j.execution_id
      LEFT JOIN api_keys k ON k.id = e.api_key
      WHERE u.cost IS NOT NULL AND u.created_at >= :since
        AND (:until::timestamptz IS NULL OR u.created_at < :until)
      UNION ALL
      SELECT CASE :by::text WHEN 'key' THEN d.api_key::text
                            WHEN 'model' THEN d.provider || '/' || d.model
                            ELSE to_char(d.day, 'YYYY-MM-DD') END,
             k.name, d.amount, d.submissions, d.from_price
      FROM deleted_costs d
      LEFT JOIN api_keys k ON k.id = d.api_key AND :by::text = 'key'
      WHERE :by::text <> 'execution' AND d.day >= (:since AT TIME ZONE 'UTC')::date
        AND (:until::timestamptz IS NULL OR d.day < (:until AT TIME ZONE 'UTC')::date)) s
GROUP BY s.group
ORDER BY CASE WHEN :by::text = 'day' THEN s.group END, sum(s.cost) DESC
LIMIT :limit;
