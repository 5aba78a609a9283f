"""The connection budget of running processes, read from a real server."""

import asyncpg
import pytest
from structlog.testing import capture_logs

from callsheet.cli.diagnostics import run_checks
from callsheet.db.connection_budget import read_connection_budget, warn_about_connections
from callsheet.testing.engine import Engine

WARNING = "the database may run out of connections"


async def test_it_counts_the_servers_and_workers_that_run_and_the_connections_of_others(runtime, postgres):
    engine = Engine(runtime)
    await runtime.event_stream._listener.connected.wait()
    other = await asyncpg.connect(postgres)
    try:
        async with runtime.database.connection() as connection:
            alone = await read_connection_budget(connection, pool_size=8)
        worker = await engine.start_worker()
        await worker.registered.wait()
        async with runtime.database.connection() as connection:
            found = await read_connection_budget(connection, pool_size=8, starting_workers=2)
    finally:
        await other.close()
        await engine.close()

    assert (alone.servers, alone.workers) == (1, 0)
    # The worker of the test shares the process of the "server": it follows events only once.
    assert (found.servers, found.workers, found.is_pooled) == (1, 3, False)
    assert (found.max_connections, found.reserved) == (400, 3)
    assert found.others >= 1


async def test_a_limit_of_the_database_counts(runtime):
    async with runtime.database.connection() as connection:
        database = await connection.fetchval("SELECT current_database()")
        await connection.execute(f'ALTER DATABASE "{database}" CONNECTION LIMIT 20')
        found = await read_connection_budget(connection, pool_size=8)

    assert (found.max_connections, found.reserved, found.others, found.is_enough) == (20, 0, 0, True)


@pytest.mark.parametrize(("pool_size", "warned"), [(8, False), (1_000, True)])
async def test_a_start_warns_if_the_pools_are_too_large(runtime, pool_size, warned):
    with capture_logs() as logs:
        await warn_about_connections(runtime.database, pool_size=pool_size, starting_workers=1)

    found = [line for line in logs if line["event"] == WARNING]
    assert bool(found) is warned
    assert all("lower CALLSHEET_DATABASE_POOL_SIZE" in line["remedy"] for line in found)


@pytest.mark.parametrize(("pool_size", "level"), [(8, "ok"), (1_000, "warning")])
async def test_the_check_shows_the_calculation(settings, pool_size, level):
    options = {
        "data_dir": settings.data_dir,
        "database_url": settings.database_url.get_secret_value(),
        "database_pool_size": pool_size,
    }

    findings = await run_checks(options, None)

    [finding] = [each for each in findings if each.subject == "connections"]
    assert finding.level == level
    assert "1 server (each up to " in finding.message
