"""Whether a database fits: what Callsheet needs of it, and the statement that provides what is missing."""

import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import asyncpg

from callsheet.db.address import DatabaseAddress
from callsheet.db.compatibility import accepts_this_version
from callsheet.db.pooler import refuse_transaction_pooling
from callsheet.db.session import open_session
from callsheet.domain.errors import CallsheetError, ConfigurationError, DatabaseUnavailable

MIN_VERSION = 15
"""The oldest major version of PostgreSQL that the tests run on."""

_STATE = """
    SELECT current_user AS role,
           current_database() AS database,
           split_part(current_setting('server_version'), ' ', 1) AS version,
           getdatabaseencoding() AS encoding,
           pg_is_in_recovery() AS is_standby,
           current_setting('default_transaction_read_only')::bool AS is_read_only,
           has_database_privilege(current_database(), 'CREATE') AS may_create_schemas,
           ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname = ANY($1)) AS schemas,
           ARRAY(SELECT nspname::text FROM pg_namespace
                 WHERE nspname = ANY($1) AND has_schema_privilege(oid, 'USAGE')) AS usable_schemas,
           ARRAY(SELECT nspname::text FROM pg_namespace
                 WHERE nspname = ANY($1) AND has_schema_privilege(oid, 'CREATE')
                   AND has_schema_privilege(oid, 'USAGE')) AS schemas_to_create_in,
           ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace::regnamespace = to_regnamespace($1[1])
                 AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1) AS tables,
           ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace::regnamespace = to_regnamespace($1[1])
                 AND relkind = 'r' AND NOT CASE relname WHEN 'alembic_version' THEN has_table_privilege(oid, 'SELECT')
                     ELSE has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                      AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE') END
                 ORDER BY 1) AS forbidden_tables,
           ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace::regnamespace = to_regnamespace($1[2])
                 AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1) AS views"""


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What a database is, and what the role may do in it."""

    version: str
    major_version: int
    role: str
    database: str
    encoding: str
    is_standby: bool
    is_read_only: bool
    may_create_schemas: bool
    schemas: list[str]
    """Those of the tables and of the views that exist."""
    usable_schemas: list[str]
    schemas_to_create_in: list[str]
    tables: list[str]
    """All in the schema of the tables, also those of other applications."""
    forbidden_tables: list[str]
    """Tables that the role may not read and write."""
    views: list[str]
    revision: str | None = None
    """Revision of the schema, or None if it has none or cannot be read."""
    oldest_code: str | None = None
    """Revision of the oldest version of Callsheet that the schema accepts; None if it does not say."""

    @property
    def accepts_this_version(self) -> bool:
        """Whether this version may use the schema."""
        return accepts_this_version(self.revision, self.oldest_code)


async def inspect(address: DatabaseAddress) -> DatabaseState:
    """Return the state of a database. Raises ConfigurationError behind a pooler in transaction mode."""
    connection = await _connect(address)
    try:
        await refuse_transaction_pooling(connection, address)
        return await _read_state(connection, address)
    finally:
        await connection.close(timeout=5)


async def _connect(address: DatabaseAddress) -> asyncpg.Connection:
    """Connect to the server that is used; without one that can write, to a standby, so that it is named as the problem.

    Of several servers, a standby can be behind, and lack what the primary has.
    """
    target = address.target_session_attrs
    if target is None and len(address.hosts) > 1:
        with suppress(asyncpg.TargetServerAttributeNotMatched):
            return await open_session(address, statement_cache_size=0, target_session_attrs="primary")
    return await open_session(address, statement_cache_size=0, target_session_attrs=target or "any")


async def _read_state(connection: asyncpg.Connection, address: DatabaseAddress) -> DatabaseState:
    row = await connection.fetchrow(_STATE, [address.schema, address.reporting_schema])
    revision = oldest_code = None
    readable = address.schema in row["usable_schemas"] and "alembic_version" not in row["forbidden_tables"]
    if readable and "alembic_version" in row["tables"]:
        revision = await connection.fetchval("SELECT version_num FROM alembic_version")
        if "schema_compatibility" in set(row["tables"]) - set(row["forbidden_tables"]):
            oldest_code = await connection.fetchval("SELECT oldest_code FROM schema_compatibility")
    version = connection.get_server_version().major
    return DatabaseState(major_version=version, **dict(row), revision=revision, oldest_code=oldest_code)


def require_writable(state: DatabaseState, address: DatabaseAddress) -> None:
    """Raise DatabaseUnavailable for a standby and for a read-only database: either may change."""
    if state.is_standby:
        raise DatabaseUnavailable(
            f"The database at {address} is a standby (a read-only replica). Set DATABASE_URL to the primary; after a "
            "failover, wait until this server is the primary."
        )
    if state.is_read_only:
        raise DatabaseUnavailable(
            f"The database at {address} is read-only (default_transaction_read_only is on). Hosters set this when the "
            f'disk is full. Afterwards: ALTER DATABASE "{state.database}" RESET default_transaction_read_only, or '
            f'ALTER ROLE "{state.role}" RESET default_transaction_read_only.'
        )


def require_fitness(state: DatabaseState, address: DatabaseAddress) -> None:
    """Raise ConfigurationError for a version or an encoding that Callsheet cannot use."""
    if state.major_version < MIN_VERSION:
        raise ConfigurationError(
            f"The database at {address} is PostgreSQL {state.version}. Callsheet needs PostgreSQL {MIN_VERSION} or "
            "newer."
        )
    if state.encoding != "UTF8":
        raise ConfigurationError(
            f"The database at {address} has the encoding {state.encoding}, and Callsheet needs UTF8. Create another "
            f"one: CREATE DATABASE callsheet OWNER \"{state.role}\" ENCODING 'UTF8' TEMPLATE template0; "
            "and set DATABASE_URL to it."
        )


def require_upgradable(state: DatabaseState, address: DatabaseAddress) -> None:
    """Raise a CallsheetError with the remedy if the schema cannot be created or upgraded."""
    require_fitness(state, address)
    require_writable(state, address)
    schemas = [address.schema, address.reporting_schema]
    missing = [name for name in schemas if name not in state.schemas]
    closed = [name for name in state.schemas if name not in state.schemas_to_create_in]
    if missing and not state.may_create_schemas:
        closed_too = [f'GRANT USAGE, CREATE ON SCHEMA "{name}" TO "{state.role}";' for name in closed]
        remedy = " ".join([f'CREATE SCHEMA "{name}" AUTHORIZATION "{state.role}";' for name in missing] + closed_too)
        raise _forbidden(state, address, f"create {_schemas(missing)}", remedy)
    if closed:
        remedy = " ".join(f'GRANT USAGE, CREATE ON SCHEMA "{name}" TO "{state.role}";' for name in closed)
        raise _forbidden(state, address, f"create tables in {_schemas(closed)}", remedy)
    if foreign := _foreign(state):
        raise foreign_objects(address, foreign)


def require_usable(state: DatabaseState, address: DatabaseAddress) -> None:
    """Raise ConfigurationError for what Callsheet cannot use, and for tables of this version that the role may not."""
    require_fitness(state, address)
    if address.schema in state.schemas and address.schema not in state.usable_schemas:
        raise _forbidden(state, address, f"use the schema {address.schema}", _grants(state, address))
    if foreign := _foreign(state):
        raise foreign_objects(address, foreign)
    if "alembic_version" in state.forbidden_tables or (state.accepts_this_version and state.forbidden_tables):
        tables = ", ".join(state.forbidden_tables[:3]) + (", …" if len(state.forbidden_tables) > 3 else "")
        raise _forbidden(state, address, f"read and write the tables {tables}", _grants(state, address))


def foreign_objects(address: DatabaseAddress, names: str) -> CallsheetError:
    """Return the error for tables or views of another application where those of Callsheet should be."""
    return ConfigurationError(
        f"The database at {address} already has {names}, which Callsheet did not create. Set "
        "CALLSHEET_DATABASE_SCHEMA to a schema that no other application uses; `callsheet db upgrade` creates it."
    )


def _foreign(state: DatabaseState) -> str | None:
    if {"alembic_version", "executions", "execution_jobs"} <= set(state.tables):
        return None
    if found := sorted({*_own_tables(), "alembic_version"} & set(state.tables)):
        return f"the tables {', '.join(found)} in the schema of the tables"
    if found := sorted({"executions", "execution_jobs"} & set(state.views)):
        return f"the views {', '.join(found)} in the schema of the views"
    return None


@cache
def _own_tables() -> frozenset[str]:
    schema = (Path(__file__).parent / "schema.sql").read_text()
    return frozenset(re.findall(r"^CREATE TABLE (\w+)", schema, re.MULTILINE))


def _forbidden(state: DatabaseState, address: DatabaseAddress, what: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(
        f"The role {state.role} may not {what} of the database at {address}. Its owner or a superuser has to run: "
        f"{remedy}"
    )


def _schemas(names: list[str]) -> str:
    return f"the {'schema' if len(names) == 1 else 'schemas'} {' and '.join(names)}"


def _grants(state: DatabaseState, address: DatabaseAddress) -> str:
    return (
        f'GRANT USAGE ON SCHEMA "{address.schema}" TO "{state.role}"; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL '
        f'TABLES IN SCHEMA "{address.schema}" TO "{state.role}";'
    )
