"""Database migrations: apply them, and check the revision of a database."""

from pathlib import Path

import asyncpg

from callsheet.db.database import Database
from callsheet.db.migrations import HEAD
from callsheet.domain.errors import ConfigurationError

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x0CA1_15E7
"""Key of the advisory lock that serializes migrations."""


async def current_revision(dsn: str) -> str | None:
    """Return the schema revision of a database, or None if it has no Callsheet schema."""
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return revision
    finally:
        await connection.close()


async def upgrade(dsn: str) -> bool:
    """Apply missing migrations. Return whether there were any.

    Concurrent calls are safe: an advisory lock serializes them, and the later ones find nothing to do.
    Raises ConfigurationError for a database at a revision that this version does not know.
    """
    revision = await current_revision(dsn)
    if revision == HEAD:
        return False
    # Imported here, because importing Alembic and SQLAlchemy is slow and most starts do not migrate.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection, text
    from sqlalchemy.ext.asyncio import create_async_engine

    script = ScriptDirectory(str(_MIGRATIONS))
    if revision is not None and revision not in {known.revision for known in script.walk_revisions()}:
        raise _unknown_revision(revision)

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
    """Raise ConfigurationError unless the database is at the revision of this version."""
    revision = await current_revision(database.dsn)
    if revision is None:
        raise ConfigurationError("The database has no Callsheet schema; run `callsheet db upgrade`.")
    if revision != HEAD:
        raise _other_revision(revision)


def _other_revision(revision: str) -> ConfigurationError:
    # The file name of a migration is its revision. Reading the names avoids the slow import of Alembic.
    if any(path.stem == revision for path in (_MIGRATIONS / "versions").glob("*.py")):
        return ConfigurationError(
            f"The database is at schema revision '{revision}', and this version requires '{HEAD}'; "
            "run `callsheet db upgrade`."
        )
    return _unknown_revision(revision)


def _unknown_revision(revision: str) -> ConfigurationError:
    return ConfigurationError(
        f"The database is at schema revision '{revision}', which this version of Callsheet does not know (it uses "
        f"'{HEAD}'). Either a newer version of Callsheet created it: then upgrade Callsheet. Or a version from before "
        "0.1 created it, which cannot be migrated: then create a new database and set DATABASE_URL to it, or for the "
        "embedded PostgreSQL move the data directory away."
    )
