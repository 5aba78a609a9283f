"""Connections to the database, which may be one of several servers of which only one can write."""

import asyncio
import os
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from callsheet.db.outages import TRANSIENT_ERRORS, ConnectionRejected, ReadOnlyDatabase

_TIMEOUT = 30.0
"""Seconds to connect to the only host of an address."""
_TIMEOUT_PER_HOST = 4.0
"""Seconds to connect to one of several hosts: a machine that is gone does not respond at all."""

_next_host: dict[str, str] = {}
"""Address → the address of the host to try first: the one that worked last, or the one after a host that failed."""


async def connect(dsn: str, **options: Any) -> asyncpg.Connection:
    """Connect to the server that can write. `options` are those of `asyncpg.connect`.

    If the address has several hosts, they are tried in turn, beginning with the one that worked last. An address with
    its own `target_session_attrs` chooses the server itself.

    Raises one of TRANSIENT_ERRORS; ReadOnlyDatabase if the server is read-only.
    """
    if _chooses_server(dsn):
        return await _connect_to(dsn, {"timeout": _TIMEOUT, **options}, must_write=False)
    hosts = _each_host(dsn)
    if len(hosts) == 1:
        return await _connect_to(dsn, {"timeout": _TIMEOUT, **options}, must_write=True)
    return await _connect_to_one_of(hosts, dsn, {"timeout": _TIMEOUT_PER_HOST, **options})


async def _connect_to_one_of(hosts: list[str], dsn: str, options: dict[str, Any]) -> asyncpg.Connection:
    first = hosts.index(_next_host.get(dsn, hosts[0]))
    errors: list[Exception] = []
    for place in range(first, first + len(hosts)):
        host = hosts[place % len(hosts)]
        # Set before the attempt: a caller that gives up during it begins with another host next time.
        _next_host[dsn] = hosts[(place + 1) % len(hosts)]
        try:
            connection = await _connect_to(host, options, must_write=True)
        except TRANSIENT_ERRORS as error:
            errors.append(error)
        else:
            _next_host[dsn] = host
            return connection
    # The error of a server that responded says more than that of one that did not.
    raise next((error for error in errors if not isinstance(error, OSError)), errors[-1])


async def _connect_to(dsn: str, options: dict[str, Any], *, must_write: bool) -> asyncpg.Connection:
    try:
        connection = await asyncpg.connect(dsn, **options)
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


def _chooses_server(dsn: str) -> bool:
    return "PGTARGETSESSIONATTRS" in os.environ or "target_session_attrs" in dict(parse_qsl(urlsplit(dsn).query))


def _each_host(dsn: str) -> list[str]:
    """Return the address with each of its hosts alone: from `HOST:PORT,HOST:PORT`, or `?host=HOST,HOST&port=PORT`."""
    parts = urlsplit(dsn)
    login, at, hosts = parts.netloc.rpartition("@")
    if hosts:
        return [urlunsplit(parts._replace(netloc=f"{login}{at}{host}")) for host in hosts.split(",")]
    query = dict(parse_qsl(parts.query))
    if "," not in query.get("host", ""):
        return [dsn]
    names, ports = query["host"].split(","), query.get("port", "5432").split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    return [
        urlunsplit(parts._replace(query=urlencode({**query, "host": name, "port": port})))
        for name, port in zip(names, ports, strict=True)
    ]
