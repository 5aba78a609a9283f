"""Monthly budgets: what would exceed one is refused before anything is spent."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.costs import CostEstimate
from callsheet.domain.errors import BudgetExceeded
from callsheet.engine.jobs.owners import Owner


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets that a plan belongs to, in US dollars in a calendar month."""

    api_key: UUID | None = None
    of_key: Decimal | None = None
    of_all: Decimal | None = None

    @property
    def are_limited(self) -> bool:
        """Whether there is any."""
        return self.of_key is not None or self.of_all is not None


def budgets_of(owner: Owner | None, budget_of_all: Decimal | None) -> Budgets:
    """Return the budgets of what an owner submits."""
    if owner is None:
        return Budgets(of_all=budget_of_all)
    return Budgets(owner.api_key, owner.limits.monthly_budget, budget_of_all)


class BudgetTurns:
    """One submission of this process at a time waits for the lock of the budgets. There is one for each database."""

    def __init__(self, _database: Database) -> None:
        self.lock = asyncio.Lock()
        """The others wait here, without a connection."""


async def check_budgets(connection: Connection, estimate: CostEstimate, budgets: Budgets, *, what: str) -> None:
    """Raise BudgetExceeded if something of this cost would exceed a budget of this month.

    What is stored by the transaction of the connection counts for the next check: this one holds a lock until its end,
    over all servers. What costs nothing is never refused. `what` names it in the message: `the plan`.
    """
    if not estimate.is_paid or not budgets.are_limited:
        return
    await sql.lock_budgets(connection)
    if budgets.of_key is not None:
        whose = "The monthly budget of the API key is"
        await _check(connection, estimate, budgets.of_key, budgets.api_key, whose, what)
    if budgets.of_all is not None:
        whose = "The monthly budget of this installation is"
        await _check(connection, estimate, budgets.of_all, None, whose, what)


async def _check(
    connection: Connection, estimate: CostEstimate, budget: Decimal, api_key: UUID | None, whose: str, what: str
) -> None:
    since = _month_start(shared_now())
    spent: Decimal = await sql.committed_costs(connection, api_key=api_key, since=since)
    expected = Decimal(str(estimate.amount))
    # What has an unknown cost is refused only once nothing is left.
    if spent + expected > budget or (expected == 0 and spent >= budget):
        raise BudgetExceeded(
            f"{whose} ${budget:,.2f}; ${spent:,.2f} of it are spent or reserved, and {what} is estimated at "
            f"${expected:,.2f}. Nothing was stored or spent.",
            budget=float(budget),
            spent=float(spent),
            estimate=estimate.amount,
            currency="USD",
        )


def _month_start(now: datetime) -> datetime:
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
