"""The JSON Schema of plans, for editors."""

from typing import Any

from fastapi import APIRouter

from callsheet.api import examples
from callsheet.api.dependencies import HouseDep
from callsheet.api.problems import answers
from callsheet.operation.plan_schema import plan_schema

router = APIRouter(prefix="/api", tags=["operations"])


@router.get("/plan.schema.json", summary="Read the schema of plans", responses={**answers(), 200: examples.schema})
async def read_plan_schema(house: HouseDep) -> dict[str, Any]:
    """The JSON Schema of a plan with the operations of this server, so that editors complete and check plans."""
    return plan_schema(house.catalog)
