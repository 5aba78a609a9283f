"""Database migrations: apply them, and check the revision of a database."""

from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from callsheet.db.address import DatabaseAddress
from callsheet.db.database import Database
from callsheet.db.fitness import foreign_objects, inspect, require_upgradable, require_usable
from callsheet.db.migrations import HEAD
from callsheet.db.session import as_address, open_session
from callsheet.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x0CA1_15E7
"""Key of the advisory lock that serializes migrations."""


async def current_revision(address: DatabaseAddress | str) -> str | None:
    """Return the schema revision of a database, or None if it has no Callsheet schema."""
    return (await inspect(as_address(address))).revision


async def upgrade(address: DatabaseAddress | str) -> bool:
    """Apply missing migrations. Return whether there were any.

    Concurrent calls are safe: an advisory lock serializes them, and the later ones find nothing to do.
    Raises ConfigurationError for a database at a revision that this version does not know, and for one that does not
    fit or forbids it, with the remedy; DatabaseUnavailable for a standby.
    """
    address = as_address(address)
    state = await inspect(address)
    if state.revision == HEAD or "alembic_version" in state.forbidden_tables:
        require_usable(state, address)
        return False
    require_upgradable(state, address)
    # The file name of a migration is its revision. Reading the names avoids the slow import of Alembic.
    if state.revision is not None and state.revision not in _known_revisions():
        raise _unknown_revision(state.revision)
    try:
        await _migrate(address)
    except (asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError) as error:
        raise foreign_objects(address, f"an object of the same name ({error})") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigurationError(f"The database at {address} rejects a statement of the migration: {error}.") from None
    return True


async def _migrate(address: DatabaseAddress) -> None:
    # Imported here, because importing Alembic and SQLAlchemy is slow and most starts do not migrate.
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: open_session(address))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(lambda sync: _run_migrations(sync, address))
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
            raise cause from None
        raise
    finally:
        await engine.dispose()


def _run_migrations(connection: "Connection", address: DatabaseAddress) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import text

    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    for name in (address.schema, address.reporting_schema):
        # CREATE SCHEMA IF NOT EXISTS needs the privilege to create schemas even when it exists.
        if connection.scalar(text("SELECT to_regnamespace(:name)"), {"name": name}) is None:
            connection.execute(text(f'CREATE SCHEMA "{name}"'))
    script = ScriptDirectory(str(_MIGRATIONS))
    config = Config(attributes={"reporting_schema": address.reporting_schema})
    with EnvironmentContext(config, script, fn=lambda rev, _: script._upgrade_revs("head", rev)) as environment:
        environment.configure(connection=connection, version_table_schema=address.schema)
        environment.run_migrations()


async def check_revision(database: Database) -> None:
    """Raise ConfigurationError unless the database fits and is at the revision of this version."""
    state = await inspect(database.address)
    require_usable(state, database.address)
    if state.revision is None:
        raise ConfigurationError(
            f"The database at {database.address} has no Callsheet schema; run `callsheet db upgrade`."
        )
    if state.revision != HEAD:
        raise other_revision(state.revision)


def other_revision(revision: str) -> ConfigurationError:
    """Return the error for a database at another revision."""
    if revision in _known_revisions():
        return ConfigurationError(
            f"The database is at schema revision '{revision}', and this version requires '{HEAD}'; "
            "run `callsheet db upgrade`."
        )
    return _unknown_revision(revision)


def _known_revisions() -> set[str]:
    return {path.stem for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")}


def _unknown_revision(revision: str) -> ConfigurationError:
    return ConfigurationError(
        f"The database is at schema revision '{revision}', which this version of Callsheet does not know (it uses "
        f"'{HEAD}'). Either a newer version of Callsheet created it: then upgrade Callsheet. Or a version from before "
        "0.1 created it, which cannot be migrated: then create a new database and set DATABASE_URL to it, or for the "
        "embedded PostgreSQL move the data directory away."
    )
