"""Database migrations: apply them, and check the revision of a database."""

from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog

from callsheet.db.address import DatabaseAddress
from callsheet.db.compatibility import known_revisions, other_revision
from callsheet.db.database import Database
from callsheet.db.fitness import DatabaseState, foreign_objects, inspect, require_upgradable, require_usable
from callsheet.db.migrations import HEAD, OLDEST_COMPATIBLE
from callsheet.db.session import as_address, open_session
from callsheet.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = structlog.get_logger(__name__)

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x0CA1_15E7
"""Key of the advisory lock that serializes migrations."""
_STORE_COMPATIBILITY = """
    INSERT INTO schema_compatibility (oldest_code) VALUES (:oldest)
    ON CONFLICT (only_row) DO UPDATE SET oldest_code = excluded.oldest_code"""


async def current_revision(address: DatabaseAddress | str) -> str | None:
    """Return the schema revision of a database, or None if it has no Callsheet schema."""
    return (await inspect(as_address(address))).revision


async def upgrade(address: DatabaseAddress | str, *, to: str = HEAD) -> bool:
    """Apply missing migrations, up to the revision `to`. Return whether there were any.

    Concurrent calls are safe: an advisory lock serializes them, and the later ones find nothing to do. A newer schema
    that accepts this version stays as it is.
    Raises ConfigurationError for a database at a revision that this version does not know, and for one that does not
    fit or forbids it, with the remedy; DatabaseUnavailable for a standby.
    """
    address = as_address(address)
    state = await inspect(address)
    if state.accepts_this_version or "alembic_version" in state.forbidden_tables:
        require_usable(state, address)
        _warn_about_newer(state)
        return False
    require_upgradable(state, address)
    if state.revision is not None and state.revision not in known_revisions():
        raise other_revision(state.revision, state.oldest_code)
    try:
        await _migrate(address, to)
    except (asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError) as error:
        raise foreign_objects(address, f"an object of the same name ({error})") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigurationError(f"The database at {address} rejects a statement of the migration: {error}.") from None
    return True


async def _migrate(address: DatabaseAddress, to: str) -> None:
    # Imported here, because importing Alembic and SQLAlchemy is slow and most starts do not migrate.
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: open_session(address))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(lambda sync: _run_migrations(sync, address, to))
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
            raise cause from None
        raise
    finally:
        await engine.dispose()


def _run_migrations(connection: "Connection", address: DatabaseAddress, to: str) -> None:
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
    with EnvironmentContext(config, script, fn=lambda rev, _: script._upgrade_revs(to, rev)) as environment:
        environment.configure(connection=connection, version_table_schema=address.schema)
        environment.run_migrations()
    if to == HEAD:
        connection.execute(text(_STORE_COMPATIBILITY), {"oldest": OLDEST_COMPATIBLE})


async def check_revision(database: Database) -> None:
    """Raise ConfigurationError unless the database fits, and its schema accepts this version."""
    state = await inspect(database.address)
    require_usable(state, database.address)
    if state.revision is None:
        raise ConfigurationError(
            f"The database at {database.address} has no Callsheet schema; run `callsheet db upgrade`."
        )
    if not state.accepts_this_version:
        raise other_revision(state.revision, state.oldest_code)


def _warn_about_newer(state: DatabaseState) -> None:
    if state.revision not in (None, HEAD):
        log.warning("the schema is of a newer version, which accepts this one", schema=state.revision, version=HEAD)
