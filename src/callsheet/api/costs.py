"""Costs at providers."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from callsheet.api import examples_access as examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.clock import shared_now
from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.costs import CostSum
from callsheet.domain.model import Model
from callsheet.engine.reads.costs import CostGroup, sum_costs

router = APIRouter(prefix="/api/costs", tags=["costs"])


class Costs(Model):
    """Sums of costs."""

    since: AwareDatetime
    until: AwareDatetime | None
    costs: list[CostSum] = Field(description="The largest first; days in their order")


@router.get("", summary="Sum costs", responses={**problem_responses(422), 200: examples.costs})
async def read_costs(
    runtime: RuntimeDep,
    by: Annotated[CostGroup, Query(description="What to sum by")] = "model",
    since: Annotated[AwareDatetime | None, Query(description="Default: the start of this month (UTC)")] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Costs:
    """Return what submissions to providers have cost, by execution, key, model or day of the submission (UTC).

    A cost is what the provider reported, or else follows from the price of the model.
    """
    month = shared_now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = month if since is None else comparable_time(since)
    end = None if until is None else comparable_time(until)
    return Costs(since=start, until=end, costs=await sum_costs(runtime.reads, by, since=start, until=end, limit=limit))
