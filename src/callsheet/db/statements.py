"""The named SQL statements."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosql
from aiosql.adapters.asyncpg import AsyncPGAdapter
from aiosql.types import SQLOperationType

_KINDS: dict[SQLOperationType, Callable[[Any], Any]] = {
    SQLOperationType.SELECT: lambda connection: connection.fetch,
    SQLOperationType.SELECT_ONE: lambda connection: connection.fetchrow,
    SQLOperationType.SELECT_VALUE: lambda connection: connection.fetchval,
    SQLOperationType.INSERT_UPDATE_DELETE: lambda connection: connection.execute,
}


class Statement:
    """One statement; awaiting a call runs it to its end and gives its rows."""

    __slots__ = ("_fetch", "name", "parameters", "text")

    def __init__(self, name: str, text: str, parameters: list[str], kind: SQLOperationType) -> None:
        self.name = name
        self.text = text
        self.parameters = parameters
        self._fetch = _KINDS[kind]

    async def __call__(self, connection: Any, **given: Any) -> Any:
        """Run with parameters by name; raises KeyError for one that is missing."""
        return await self._fetch(connection)(self.text, *[given[name] for name in self.parameters])


class Statements:
    """Every statement of a folder of SQL files, by its name: `await sql.get_job(connection, id=…)`.

    The files are read by aiosql; its own calls are lazy generators, which run nothing until somebody iterates.
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
            raise AttributeError(f"there is no statement '{name}'") from None

    def all(self) -> list[Statement]:
        """Return every statement."""
        return list(self._by_name.values())


sql = Statements(Path(__file__).parent / "sql")
