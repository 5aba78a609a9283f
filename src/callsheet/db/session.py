"""Connections whose session is as all statements expect it: the schema, time limits, no JIT compiler."""

from typing import Any

import asyncpg

from callsheet.db.address import DatabaseAddress, parse_address

CONNECT_TIMEOUT = 30.0
"""Seconds, unless the address says otherwise."""
_DEFAULTS = {"jit": "off", "lock_timeout": "10s"}


def as_address(address: DatabaseAddress | str) -> DatabaseAddress:
    """Return an address that may still be a text."""
    return address if isinstance(address, DatabaseAddress) else parse_address(address)


async def open_session(
    address: DatabaseAddress, *, application_name: str = "callsheet", timeout: float | None = None, **options: Any
) -> asyncpg.Connection:
    """Connect. `timeout` is in seconds; `options` are further arguments of `asyncpg.connect`."""
    limit = address.connect_timeout or timeout or CONNECT_TIMEOUT
    connection = await asyncpg.connect(**{**address.arguments(application_name), **options}, timeout=limit)
    try:
        await prepare_session(connection, address)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def prepare_session(connection: asyncpg.Connection, address: DatabaseAddress) -> None:
    """Set up a new session.

    With SET, not with startup parameters: a pooler such as PgBouncer rejects those that it does not know. The
    search path of the role does not count, so that all statements find the tables of this installation.
    """
    settings = {**_DEFAULTS, **address.session, "search_path": address.schema}
    await connection.execute("; ".join(f"SET {_name(name)} TO {_literal(value)}" for name, value in settings.items()))


def _name(name: str) -> str:
    return ".".join(f'"{part}"' for part in name.split("."))


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
