"""Connections to the database, which may be one of several servers of which only one can write."""

import asyncio
import os
from typing import Any

import asyncpg

from callsheet.db.address import DatabaseAddress
from callsheet.db.outages import TRANSIENT_ERRORS, ConnectionRejected, ReadOnlyDatabase
from callsheet.db.session import open_session

_TIMEOUT = 30.0
"""Seconds to connect to the only host of an address."""
_TIMEOUT_PER_HOST = 4.0
"""Seconds to connect to one of several hosts: a machine that is gone does not respond at all."""

_next_host: dict[DatabaseAddress, int] = {}
"""Address → the place of the host to try first: the one that worked last, or the one after a host that failed."""


async def connect(
    address: DatabaseAddress, *, application_name: str = "callsheet", **options: Any
) -> asyncpg.Connection:
    """Connect to the server that can write. `options` are further arguments of `asyncpg.connect`.

    If the address has several hosts, they are tried in turn, beginning with the one that worked last. An address with
    its own `target_session_attrs` chooses the server itself.

    Raises one of TRANSIENT_ERRORS; ReadOnlyDatabase if the server is read-only.
    """
    options = {"application_name": application_name, **options}
    if address.target_session_attrs or "PGTARGETSESSIONATTRS" in os.environ:
        return await _connect_to(address, {"timeout": _TIMEOUT, **options}, must_write=False)
    if len(address.hosts) < 2:
        return await _connect_to(address, {"timeout": _TIMEOUT, **options}, must_write=True)
    return await _connect_to_one_of(address, {"timeout": _TIMEOUT_PER_HOST, **options})


async def _connect_to_one_of(address: DatabaseAddress, options: dict[str, Any]) -> asyncpg.Connection:
    hosts = address.each_host()
    first = _next_host.get(address, 0)
    errors: list[Exception] = []
    for place in range(first, first + len(hosts)):
        # Set before the attempt: a caller that gives up during it begins with another host next time.
        _next_host[address] = (place + 1) % len(hosts)
        try:
            connection = await _connect_to(hosts[place % len(hosts)], options, must_write=True)
        except TRANSIENT_ERRORS as error:
            errors.append(error)
        else:
            _next_host[address] = place % len(hosts)
            return connection
    # The error of a server that responded says more than that of one that did not.
    raise next((error for error in errors if not isinstance(error, OSError)), errors[-1])


async def _connect_to(address: DatabaseAddress, options: dict[str, Any], *, must_write: bool) -> asyncpg.Connection:
    try:
        connection = await open_session(address, **options)
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise ReadOnlyDatabase(str(error)) from error
    except asyncpg.PostgresError as error:
        raise ConnectionRejected(error) from error
    if must_write:
        await _check_writable(connection, options["timeout"])
    return connection


async def _check_writable(connection: asyncpg.Connection, timeout: float) -> None:
    # Asked of the server: a pooler may report the state of the server that it was connected to before.
    try:
        async with asyncio.timeout(timeout):
            if await is_read_only(connection):
                raise ReadOnlyDatabase
    except BaseException as error:
        connection.terminate()
        if isinstance(error, asyncpg.PostgresError):
            raise ConnectionRejected(error) from error
        raise


async def is_read_only(connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> bool:
    """Return whether the server of a connection is a standby, or in a read-only mode."""
    return bool(await connection.fetchval("SELECT current_setting('transaction_read_only')::bool"))
