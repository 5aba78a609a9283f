"""Databases that other people own: missing privileges, other applications, other encodings, two installations."""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from callsheet.db.address import parse_address
from callsheet.db.database import Database
from callsheet.db.listener import Listener
from callsheet.db.migrations import HEAD
from callsheet.db.statements import sql
from callsheet.db.upgrade import check_revision, current_revision, upgrade
from callsheet.domain.errors import ConfigurationError, DatabaseUnavailable
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until


@pytest.fixture
def empty(new_database):
    """The DSN of an empty database, as the superuser."""
    return new_database(empty=True)


@pytest.fixture
async def role(empty):
    """A role without privileges of its own. It is dropped with all that it owns."""
    name = f"role_{uuid4().hex}"
    await execute(empty, f"CREATE ROLE {name} LOGIN")
    yield name
    await execute(empty, f"DROP OWNED BY {name}; DROP ROLE {name}")


async def execute(dsn, statements):
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


def as_role(dsn, role):
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))


def remedy_of(caught):
    return caught.value.message.partition("has to run: ")[2]


@asynccontextmanager
async def open_database(dsn, schema="callsheet"):
    async with Database(parse_address(dsn, schema=schema)) as database:
        yield database


async def test_a_role_that_may_not_create_schemas_gets_the_statements_that_help(empty, role):
    dsn = as_role(empty, role)

    with pytest.raises(ConfigurationError, match="may not create the schemas callsheet and reporting") as caught:
        await upgrade(dsn)

    await execute(empty, remedy_of(caught))
    assert await upgrade(dsn) is True
    assert await current_revision(dsn) == HEAD


async def test_a_role_that_may_not_create_in_the_schemas_gets_the_statements_that_help(empty, role):
    dsn = as_role(empty, role)
    await execute(empty, "CREATE SCHEMA callsheet; CREATE SCHEMA reporting")

    with pytest.raises(ConfigurationError, match="may not create tables in the schemas") as caught:
        await upgrade(dsn)

    await execute(empty, remedy_of(caught))
    assert await upgrade(dsn) is True


async def test_a_role_that_did_not_create_the_tables_gets_the_statements_that_help(empty, role):
    await upgrade(empty)
    async with open_database(as_role(empty, role)) as database:
        with pytest.raises(ConfigurationError, match="may not use the schema callsheet") as caught:
            await check_revision(database)
        await execute(empty, f'GRANT USAGE ON SCHEMA callsheet TO "{role}"')
        with pytest.raises(ConfigurationError, match="may not read and write the tables"):
            await check_revision(database)

        await execute(empty, remedy_of(caught))
        await check_revision(database)
        assert await database.retry(lambda c: sql.queue_settings(c)) == []


@pytest.mark.parametrize(
    "others",
    [
        "SET search_path TO public; CREATE TABLE alembic_version (version_num text); "
        "INSERT INTO alembic_version VALUES ('ab12')",
        "SET search_path TO public; CREATE TABLE events (id int); CREATE TABLE workers (id int)",
    ],
    ids=["its own Alembic", "tables of the same names"],
)
async def test_another_application_in_the_database_is_no_obstacle(empty, settings, others):
    await execute(empty, others)
    mine = settings.model_copy(update={"database_url": type(settings.database_url)(empty)})

    async with running_engine(ALL, settings=mine) as engine:
        assert (await engine.run({"jobs": [{"id": "a", "operation": "noop"}]})).status == "succeeded"

    with pytest.raises(ConfigurationError, match=r"already has the tables .*CALLSHEET_DATABASE_SCHEMA"):
        await upgrade(parse_address(empty, schema="public"))


@pytest.mark.parametrize("where", ["callsheet", "reporting"])
async def test_objects_of_another_application_in_the_schemas_are_left_alone(empty, where):
    name = "events" if where == "callsheet" else "executions"
    await execute(empty, f"CREATE SCHEMA {where}; CREATE TABLE {where}.{name} (id int)")

    with pytest.raises(ConfigurationError, match=rf"{name} in the schema .*CALLSHEET_DATABASE_SCHEMA"):
        await upgrade(empty)

    assert await upgrade(parse_address(empty, schema="films")) is True


async def test_another_encoding_is_refused_with_the_statement_that_helps(postgres):
    name = f"test_{uuid4().hex}"
    await execute(postgres, f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(ConfigurationError, match=r"encoding LATIN1.* CREATE DATABASE .* ENCODING 'UTF8'"):
            await upgrade(urlunsplit(urlsplit(postgres)._replace(path=f"/{name}")))
    finally:
        await execute(postgres, f"DROP DATABASE {name}")


async def test_a_read_only_database_is_named_as_one(empty):
    name = urlsplit(empty).path.removeprefix("/")
    await execute(empty, f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    with pytest.raises(DatabaseUnavailable, match=rf'is read-only .* ALTER DATABASE "{name}" RESET'):
        await upgrade(empty)


async def test_two_installations_share_a_database(empty, settings):
    for schema in ("callsheet", "films"):
        await upgrade(parse_address(empty, schema=schema))
    first = settings.model_copy(update={"database_url": type(settings.database_url)(empty)})
    second = first.model_copy(update={"database_schema": "films", "data_dir": settings.data_dir / "films"})
    received = []
    listener = Listener(
        parse_address(empty, schema="films"),
        ["films_events", "films_ready"],
        on_notify=lambda channel, _: received.append(channel),
        on_gap=lambda: None,
    )
    listening = asyncio.create_task(listener.run())
    await until(listener.connected.is_set, timeout=60)

    async with running_engine(ALL, settings=first) as engine:
        await engine.run({"jobs": [{"id": "a", "operation": "noop"}]})
    async with running_engine(ALL, settings=second) as engine:
        await execute(empty, "NOTIFY films_events, 'end of the first'")
        await until(lambda: received, timeout=60)
        assert received == ["films_events"], "notifications of the first installation reach the second"
        await engine.run({"jobs": [{"id": "a", "operation": "noop"}]})

    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    connection = await asyncpg.connect(empty)
    counts = [
        await connection.fetchval(f"SELECT count(*) FROM {schema}.execution_jobs")
        for schema in ("callsheet", "films", "reporting", "films_reporting")
    ]
    await connection.close()
    assert counts == [1, 1, 1, 1]
