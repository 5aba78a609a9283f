"""The PostgreSQL of Debian: the oldest version that the tests run on, its PgBouncer, and a standby."""

import asyncio
import contextlib

import asyncpg
import pytest

from callsheet.cli.diagnostics import run_checks
from callsheet.db.address import parse_address
from callsheet.db.connection_budget import read_connection_budget
from callsheet.db.fitness import MIN_VERSION, inspect
from callsheet.db.migrations import HEAD
from callsheet.db.session import open_session
from callsheet.db.statements import sql
from callsheet.db.upgrade import upgrade
from callsheet.domain.errors import ConfigurationError, DatabaseUnavailable
from callsheet.operation_api.catalog import Catalog
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until
from callsheet.wiring import open_runtime
from support import debian_postgres
from support.debian_postgres import dsn

PLAN = {
    "jobs": [
        {"id": "first", "operation": "noop", "params": {"value": "kept"}},
        {"id": "then", "operation": "noop", "dependsOn": ["first"]},
    ]
}


@pytest.fixture
def settings_for(settings):
    """Return a function that returns the settings for a database."""

    def settings_for(address):
        return settings.model_copy(update={"database_url": type(settings.database_url)(address)})

    return settings_for


@pytest.fixture
def pooler(debian_server):
    """Start PgBouncer in a mode: `pooler("session")` returns the folder of its socket."""
    if debian_postgres.PGBOUNCER is None:
        pytest.skip("needs PgBouncer: apt-get install pgbouncer")
    with contextlib.ExitStack() as stack:

        async def start(mode):
            folder = stack.enter_context(debian_postgres.running_pgbouncer(debian_server, mode=mode))
            await until((folder / ".s.PGSQL.6432").exists, timeout=60)
            return folder

        yield start


async def database_finding(address):
    findings = await run_checks({"database_url": address}, None)
    return next(finding for finding in findings if finding.subject == "database")


async def test_all_statements_and_a_plan_run_on_the_oldest_supported_version(
    debian_server, debian_database, settings_for
):
    address = dsn(debian_server, debian_database)
    async with running_engine(ALL, settings=settings_for(address)) as engine:
        execution = await engine.run(PLAN)

    state = await inspect(parse_address(address))
    connection = await open_session(parse_address(address))
    for statement in sql.all():
        await connection.prepare(statement.text)
    await connection.close()
    assert execution.status == "succeeded"
    assert state.major_version >= MIN_VERSION
    assert state.revision == HEAD


async def test_the_connection_budget_names_the_sessions_that_a_pooler_must_allow(
    pooler, debian_server, debian_database
):
    await upgrade(dsn(debian_server, debian_database))
    connection = await open_session(parse_address(dsn(await pooler("session"), debian_database, port=6432)))
    try:
        budget = await read_connection_budget(connection, pool_size=8)
    finally:
        await connection.close()

    assert budget.is_pooled
    assert str(budget).endswith("the pooler before the database must allow 9 sessions, too")


async def test_pgbouncer_in_session_mode_works_as_packaged_also_for_a_role_without_a_search_path(
    pooler, debian_server, debian_database, settings_for
):
    boss = await asyncpg.connect(dsn(debian_server, debian_database))
    await boss.execute("CREATE ROLE lost LOGIN SUPERUSER; ALTER ROLE lost SET search_path = ''")
    address = dsn(await pooler("session"), debian_database, user="lost", port=6432)
    try:
        async with running_engine(ALL, settings=settings_for(address)) as engine:
            execution = await engine.run(PLAN)
        finding = await database_finding(address)
    finally:
        await boss.execute("DROP OWNED BY lost; DROP ROLE lost")
        await boss.close()

    assert execution.status == "succeeded"
    assert finding.level == "ok", finding.message


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_pgbouncer_in_another_mode_is_refused_while_other_clients_use_it(
    mode, pooler, debian_server, debian_database, settings_for
):
    await upgrade(dsn(debian_server, debian_database))
    address = dsn(await pooler(mode), debian_database, port=6432)
    others = await asyncio.gather(*(asyncpg.connect(address, statement_cache_size=0) for _ in range(3)))
    await asyncio.gather(*(other.execute("SELECT pg_sleep(0.1)") for other in others))

    with pytest.raises(ConfigurationError, match="in transaction mode or statement mode") as caught:
        async with open_runtime(settings_for(address), Catalog(ALL)):
            pass
    finding = await database_finding(address)

    await asyncio.gather(*(other.close() for other in others))
    assert (finding.level, finding.message) == ("error", caught.value.message)


async def test_a_standby_is_named_as_one(debian_server, debian_database):
    await upgrade(dsn(debian_server, debian_database))
    with debian_postgres.running_standby(debian_server) as standby:
        address = dsn(standby, debian_database)
        finding = await database_finding(address)
        with pytest.raises(DatabaseUnavailable, match="is a standby"):
            await upgrade(dsn(standby, "postgres"))
        wants_primary = await database_finding(f"{address}&target_session_attrs=read-write")

    assert finding.level == "error"
    assert "is a standby (a read-only replica). Set DATABASE_URL to the primary" in finding.message
    assert "each is a standby or read-only" in wants_primary.message
