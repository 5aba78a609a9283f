"""Bringing a database to the present schema."""

from pathlib import Path

import asyncpg

from callsheet.db.database import Database
from callsheet.db.migrations import HEAD
from callsheet.domain.errors import ConfigurationError

_LOCK = 0x0CA1_15E7
"""Key of the advisory lock that lets one process migrate at a time."""


async def current_revision(dsn: str) -> str | None:
    """Return the schema revision of a database, or None when it has no schema of ours."""
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return revision
    finally:
        await connection.close()


async def upgrade(dsn: str) -> bool:
    """Apply the migrations that are missing; True if there were any.

    Two processes never migrate at once: the second waits, and finds nothing left to do.
    """
    if await current_revision(dsn) == HEAD:
        return False
    # Imported here: it takes longer than a start without migrations does.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection, text
    from sqlalchemy.ext.asyncio import create_async_engine

    folder = Path(__file__).parent / "migrations"
    script = ScriptDirectory(str(folder))

    def migrate(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        with EnvironmentContext(Config(), script, fn=lambda rev, _: script._upgrade_revs("head", rev)) as environment:
            environment.configure(connection=connection)
            environment.run_migrations()

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn, timeout=30))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()
    return True


async def check_revision(database: Database) -> None:
    """Raise ConfigurationError unless the database has the schema that this version works with."""
    found = await current_revision(database.dsn)
    if found is None:
        raise ConfigurationError("The database has no Callsheet schema yet; run `callsheet db upgrade`.")
    if found != HEAD:
        raise ConfigurationError(
            f"The database has schema revision {found}, and this version works with {HEAD}; "
            "run `callsheet db upgrade`, or upgrade Callsheet if the database is newer."
        )
