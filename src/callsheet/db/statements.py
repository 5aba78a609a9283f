"""Named SQL statements, loaded from the folder `sql/`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosql
from aiosql.adapters.asyncpg import AsyncPGAdapter
from aiosql.types import SQLOperationType

_FETCH_METHODS: dict[SQLOperationType, Callable[[Any], Any]] = {
    SQLOperationType.SELECT: lambda connection: connection.fetch,
    SQLOperationType.SELECT_ONE: lambda connection: connection.fetchrow,
    SQLOperationType.SELECT_VALUE: lambda connection: connection.fetchval,
    SQLOperationType.INSERT_UPDATE_DELETE: lambda connection: connection.execute,
}


class Statement:
    """One SQL statement. Awaiting a call executes it and returns its rows."""

    __slots__ = ("_fetch_method", "name", "parameters", "text")

    def __init__(self, name: str, text: str, parameters: list[str], kind: SQLOperationType) -> None:
        self.name = name
        self.text = text
        self.parameters = parameters
        self._fetch_method = _FETCH_METHODS[kind]

    async def __call__(self, connection: Any, **values: Any) -> Any:
        """Execute with named parameters. Raises KeyError for a missing one."""
        return await self._fetch_method(connection)(self.text, *[values[name] for name in self.parameters])


class Statements:
    """The statements of a folder of SQL files, by name: `await sql.get_job(connection, id=…)`.

    aiosql parses the files only. Its own query functions are lazy generators: without iteration they execute nothing.
    """

    def __init__(self, folder: Path) -> None:
        adapter: Any = AsyncPGAdapter()  # type: ignore[no-untyped-call]
        queries = aiosql.from_path(folder, lambda: adapter, mandatory_parameters=False)
        self._by_name: dict[str, Statement] = {}
        for name in queries.available_queries:
            query = getattr(queries, name)
            if not name.endswith("_cursor"):
                self._by_name[name] = Statement(name, query.sql, adapter.var_sorted[name], query.operation)

    def __getattr__(self, name: str) -> Statement:
        try:
            return self._by_name[name]
        except KeyError:
            raise AttributeError(f"unknown SQL statement '{name}'") from None

    def all(self) -> list[Statement]:
        """Return all statements."""
        return list(self._by_name.values())


sql = Statements(Path(__file__).parent / "sql")
