"""Reads of deals and their credit, and the stages of a tenant."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from callsheet.ads.arms import tenant_lock
from callsheet.ads.stages import stages_of
from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound

_MAX_CREDIT_ROWS = 10_000
_MAX_TOTALS = 5000


async def read_deal(database: Database, tenant: str, deal: str) -> tuple[Any, Sequence[Any]]:
    """Return the row of a deal, and the rows of its credit, oldest first. Raises NotFound."""

    async def read(connection: Connection) -> tuple[Any, Sequence[Any]]:
        row = await sql.get_deal(connection, tenant=tenant, deal=deal)
        credit = await sql.credit_rows(connection, tenant=tenant, deal=deal, max_rows=_MAX_CREDIT_ROWS)
        return row, credit

    row, credit = await database.retry(read, timeout=10)
    if row is None:
        raise NotFound(f"The tenant '{tenant}' has no deal '{deal}'.")
    return row, credit


async def read_totals(database: Database, tenant: str, model: str) -> Sequence[Any]:
    """Return the credit of each ad over all deals by one model, most first."""
    rows: Sequence[Any] = await database.retry(
        lambda c: sql.credits_by_ad(c, tenant=tenant, model=model, max_rows=_MAX_TOTALS), timeout=10
    )
    return rows


async def read_stages(database: Database, tenant: str) -> Mapping[str, Decimal]:
    """Return the probabilities of the stages of a tenant."""
    return stages_of(await database.retry(lambda c: sql.get_stages(c, tenant=tenant), timeout=10))


async def replace_stages(database: Database, tenant: str, stages: Mapping[str, Decimal]) -> None:
    """Replace the stages of a tenant."""

    async def replace(connection: Connection) -> None:
        await sql.lock_state(connection, keys=[tenant_lock(tenant)])
        await sql.replace_stages(connection, tenant=tenant, stages=list(stages), probabilities=list(stages.values()))

    await database.retry(replace, timeout=10, transaction=True)
