"""State writes of operations, in the transaction that completes their jobs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from callsheet.db.database import Connection
from callsheet.db.statements import Statement, sql
from callsheet.domain.errors import StateConflict


@dataclass(frozen=True, slots=True)
class StateWrite:
    """One write that an operation registered."""

    statement: Statement
    lock: str
    """Name of what is written."""
    values: Mapping[str, Any]


async def write_state(connection: Connection, writes: Iterable[StateWrite]) -> None:
    """Write the state of completed runs inside the caller's transaction, which holds the locks of their executions.

    Raises StateConflict if a statement that must return a row returns none. The transaction must be rolled back then.
    """
    ordered = list(writes)
    if not ordered:
        return
    await sql.lock_state(connection, keys=sorted({write.lock for write in ordered}))
    for write in ordered:
        if await write.statement(connection, **write.values) is None:
            raise StateConflict(f"What the job has read was changed meanwhile ('{write.statement.name}').")
