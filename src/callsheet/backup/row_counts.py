"""Numbers of rows, which show that a database was restored completely."""

from collections.abc import Mapping

import asyncpg

from callsheet.db.statements import sql
from callsheet.domain.errors import BadInput


async def count_rows(connection: asyncpg.Connection) -> dict[str, int]:
    """Return the number of rows of each table of the schema."""
    names = [row["name"] for row in await sql.table_names(connection)]
    return {name: await connection.fetchval(f'SELECT count(*) FROM "{name}"') for name in names}  # noqa: S608


def compare_rows(found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """Raise BadInput if a restored database has other numbers of rows than before."""
    names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    if names:
        text = ", ".join(f"{name}: {found.get(name)} instead of {expected.get(name)}" for name in names[:10])
        raise BadInput(f"The restored database has other numbers of rows than before: {text}")
