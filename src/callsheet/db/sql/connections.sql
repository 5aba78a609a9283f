-- name: connection_facts^
-- How many connections the server allows, and what uses them. Sessions of this role in this database are ours; of
-- those, servers and workers each have one that follows events.
SELECT current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int
           + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database_limit,
       (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role_limit,
       (SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend'
          AND (usename IS DISTINCT FROM current_user OR datname IS DISTINCT FROM current_database())) AS others,
       (SELECT count(*) FROM pg_stat_activity
        WHERE usename = current_user AND datname = current_database()
          AND application_name = 'callsheet events') AS followers,
       (SELECT count(*) FROM workers WHERE lost_at IS NULL AND pid <> 0) AS workers,
       pg_backend_pid() AS backend;
