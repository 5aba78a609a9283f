"""The installation that is checked: its settings, its operations and its database."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import cached_property
from types import TracebackType
from typing import Self, TypeVar

import asyncpg

from callsheet.cli.bootstrap import discover_operations
from callsheet.db.address import DatabaseAddress
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.fitness import inspect
from callsheet.db.session import as_address, open_session
from callsheet.domain.errors import CallsheetError
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings
from callsheet.wiring import configured_address

T = TypeVar("T")

CONNECTION_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Errors of a database that cannot be used."""


class Installation:
    """What the checks share. Used as a context manager.

    async with Installation(settings, modules) as installation:
        workers = await installation.read(sql.list_workers)
    """

    def __init__(self, settings: Settings, modules: list[str] | None = None) -> None:
        self.settings = settings
        self._modules = modules
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._connected = False
        self._connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @cached_property
    def catalog(self) -> Catalog:
        """The operations of the installed packages and of the given modules. Raises ConfigurationError."""
        return discover_operations(self._modules)

    async def read(self, query: Callable[[asyncpg.Connection], Awaitable[T]]) -> T | None:
        """Return the result of a query.

        None: the database cannot be used, which its own check reports, has no schema yet, or is an embedded one that
        does not run. All checks use one connection, in turn.
        """
        async with self._lock:
            try:
                if not self._connected:
                    self._connected = True
                    self._connection = await self._connect()
                return None if self._connection is None else await query(self._connection)
            except (*CONNECTION_ERRORS, ValueError, CallsheetError):
                return None  # the check of the database reports it

    async def _connect(self) -> asyncpg.Connection | None:
        address = await self._address()
        if address is None or not (await inspect(address)).accepts_this_version:
            return None
        connection = await open_session(address)
        self._stack.push_async_callback(connection.close, timeout=5)
        return connection

    async def _address(self) -> DatabaseAddress | None:
        """Return the address of the database; None for an embedded one that does not run."""
        if self.settings.database_url is not None:
            return configured_address(self.settings)
        embedded = EmbeddedPostgres(self.settings.data_dir / "postgres")
        if not (self.settings.data_dir / "postgres").is_dir() or embedded.server_pid is None:
            return None
        address = as_address(await asyncio.to_thread(embedded.start))
        self._stack.push_async_callback(asyncio.to_thread, embedded.stop)
        return address
