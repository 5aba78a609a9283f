"""Videos are found without a scan of all executions."""

import asyncpg
import pytest

from callsheet.db.statements import sql

MANY = """
    INSERT INTO executions (id, job_count, unfinished, metadata)
    SELECT gen_random_uuid(), 1, 1, CASE WHEN n % 1000 = 0 THEN '{"videos": "shown"}' ELSE '{}' END::jsonb
    FROM generate_series(1, 20000) AS n"""


@pytest.mark.parametrize("statement", ["newest_videos", "oldest_videos"])
async def test_the_list_of_videos_uses_its_index(database_url, statement):
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(MANY)
        await connection.execute("ANALYZE")
        query = getattr(sql, statement)
        values = {"after": None, "limit": 21}

        rows = await connection.fetch(f"EXPLAIN {query.text}", *[values[name] for name in query.parameters])
    finally:
        await connection.close()

    plan = "\n".join(row[0] for row in rows)
    assert "executions_videos" in plan
    assert "Seq Scan on executions" not in plan
