"""The schema: statements, migrations, and revisions."""

import asyncio
from importlib.resources import files

import asyncpg
import pytest
from alembic.script import ScriptDirectory

from callsheet.db.database import Database
from callsheet.db.migrations import HEAD
from callsheet.db.statements import sql
from callsheet.db.upgrade import check_revision, current_revision, upgrade
from callsheet.domain.errors import ConfigurationError

SCHEMA = files("callsheet.db").joinpath("schema.sql").read_text()
MIGRATIONS = files("callsheet.db").joinpath("migrations")

CATALOGS = {
    "columns": """
        SELECT table_name, column_name, data_type, is_nullable, column_default, identity_generation
        FROM information_schema.columns WHERE table_schema = 'callsheet' ORDER BY 1, ordinal_position""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'callsheet' ORDER BY 1, 2",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'callsheet'::regnamespace ORDER BY 1, 2""",
    "storage options": """
        SELECT relname, relkind, relpersistence, reloptions FROM pg_class
        WHERE relnamespace = 'callsheet'::regnamespace ORDER BY 1""",
    "functions": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc
        WHERE pronamespace = 'callsheet'::regnamespace ORDER BY 1""",
    "views": "SELECT viewname, schemaname, definition FROM pg_views WHERE schemaname = 'reporting' ORDER BY 1",
    "triggers": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
}


async def catalogs(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        return {
            what: [tuple(row) for row in await connection.fetch(query) if not row[0].startswith("alembic_version")]
            for what, query in CATALOGS.items()
        }
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def migrated(new_shared_database):
    """The DSN of a migrated database that no test changes."""
    return new_shared_database()


@pytest.mark.parametrize("statement", sql.all(), ids=lambda statement: statement.name)
async def test_every_statement_can_be_prepared(statement, migrated):
    connection = await asyncpg.connect(migrated)
    prepared = await connection.prepare(statement.text)
    parameters = prepared.get_parameters()
    await connection.close()

    assert len(parameters) == len(statement.parameters)


@pytest.mark.parametrize("what", CATALOGS)
async def test_a_fresh_schema_equals_a_migrated_one(what, migrated, new_database):
    fresh = new_database(empty=True)
    connection = await asyncpg.connect(fresh)
    await connection.execute("CREATE SCHEMA callsheet; CREATE SCHEMA reporting; SET search_path TO callsheet")
    await connection.execute(SCHEMA)
    await connection.close()

    assert (await catalogs(fresh))[what] == (await catalogs(migrated))[what]


def test_head_is_the_newest_migration():
    script = ScriptDirectory(str(MIGRATIONS))

    assert script.get_heads() == [HEAD]


async def test_concurrent_upgrades_migrate_once(new_database):
    dsn = new_database(empty=True)

    migrated = await asyncio.gather(*(upgrade(dsn) for _ in range(4)))

    assert True in migrated
    assert await current_revision(dsn) == HEAD
    assert await upgrade(dsn) is False


async def test_a_failed_upgrade_changes_nothing(new_database):
    dsn = new_database(empty=True)
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "CREATE SCHEMA callsheet; CREATE TYPE callsheet.outbox AS (a int)"
    )  # one of the last tables

    with pytest.raises(ConfigurationError, match="outbox"):
        await upgrade(dsn)

    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'callsheet'")
    schemas = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname = 'reporting'")
    await connection.close()
    assert (tables, schemas) == ([], [])
    assert await current_revision(dsn) is None


async def test_a_database_without_a_schema_or_with_another_one_is_refused(new_database):
    async with Database(new_database(empty=True)) as empty:
        with pytest.raises(ConfigurationError, match="callsheet db upgrade"):
            await check_revision(empty)

    async with Database(new_database()) as other:
        async with other.connection() as connection:
            await connection.execute(
                "UPDATE alembic_version SET version_num = '9999'; DELETE FROM schema_compatibility"
            )
        with pytest.raises(ConfigurationError, match="'9999', which this version of Callsheet does not know"):
            await check_revision(other)


async def test_an_unknown_revision_is_reported_with_what_to_do_and_changes_nothing(new_database):
    dsn = new_database()
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE alembic_version SET version_num = '0005'")
    before = await catalogs(dsn)

    with pytest.raises(ConfigurationError) as caught:
        await upgrade(dsn)

    await connection.close()
    assert "schema revision '0005', which this version of Callsheet does not know" in caught.value.message
    assert "upgrade Callsheet" in caught.value.message
    assert "create a new database" in caught.value.message
    assert await current_revision(dsn) == "0005"
    assert await catalogs(dsn) == before
