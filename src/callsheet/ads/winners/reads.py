"""Reads and the deletion of winners, outside of jobs."""

from collections.abc import Mapping, Sequence
from typing import Any

from callsheet.ads.winners.indexes import Read
from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound


def reader(database: Database) -> Read:
    """Return a function that runs statements, and waits for a database that is away for some seconds."""

    async def read(statement: str, **values: Any) -> Sequence[Mapping[str, Any]]:
        found = await database.retry(lambda connection: getattr(sql, statement)(connection, **values), timeout=10)
        return found if isinstance(found, list) else [] if found is None else [found]

    return read


async def delete_winner(database: Database, tenant: str, ad: str) -> None:
    """Delete the facts and the vector of a winner. Raises NotFound."""
    # Repeated after a lost response, it finds nothing: the first try has deleted it.
    async with database.transaction() as connection:
        rows = await sql.delete_winner(connection, tenant=tenant, ad=ad)
    if not rows:
        raise NotFound(f"The tenant '{tenant}' has no winner '{ad}'.")
