"""The state store of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from callsheet.db.database import FOREVER, Connection, Database
from callsheet.db.statements import Statement, sql
from callsheet.domain.errors import JobError
from callsheet.engine.jobs.state_writes import StateWrite

_MAX_ROWS = 100_000


class JobStateStore:
    """Implements `StateStore` for one run."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.writes: list[StateWrite] = []
        """The writes for the completion, in their order."""

    async def read(self, statement: str, **values: Any) -> Sequence[Mapping[str, Any]]:
        """Run a statement in a read-only transaction."""
        found = _statement(statement, values)

        async def read(connection: Connection) -> list[Mapping[str, Any]]:
            async with connection.transaction(readonly=True):
                try:
                    result = await found(connection, **values)
                except asyncpg.ReadOnlySQLTransactionError:
                    raise TypeError(f"'{statement}' writes; register it with write_with_completion") from None
            return result if isinstance(result, list) else [] if result is None else [result]

        rows: list[Mapping[str, Any]] = await self._database.retry(read, timeout=FOREVER)
        if len(rows) > _MAX_ROWS:
            raise JobError(f"'{statement}' returned more than {_MAX_ROWS:,} rows.")
        return rows

    def write_with_completion(self, statement: str, *, lock: str, **values: Any) -> None:
        """Register a write for the completion of the run."""
        self.writes.append(StateWrite(_statement(statement, values), lock, values))


def _statement(name: str, values: Mapping[str, Any]) -> Statement:
    try:
        statement = getattr(sql, name)
    except AttributeError as error:
        raise TypeError(str(error)) from None
    if missing := set(statement.parameters) - values.keys():
        raise TypeError(f"the statement '{name}' also needs {', '.join(sorted(missing))}")
    found: Statement = statement
    return found
