"""What submissions to providers have cost."""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.costs import CostSum

CostGroup: TypeAlias = Literal["execution", "key", "model", "day"]


async def sum_costs(
    database: Database, by: CostGroup, *, since: datetime, until: datetime | None, limit: int
) -> list[CostSum]:
    """Return sums over the submissions since a time, the largest first; days in their order."""
    rows: list[Any] = await database.retry(
        lambda c: sql.sum_costs(c, by=by, since=since, until=until, limit=limit), timeout=15
    )
    return [CostSum(**row) for row in rows]
