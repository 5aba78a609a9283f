"""JSON Schema of plans, for editors."""

from typing import Any

from fastapi import APIRouter

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.operation_api.plan_schema import plan_schema

router = APIRouter(prefix="/api", tags=["operations"])


@router.get(
    "/plan.schema.json",
    summary="Read the JSON Schema of plans",
    responses={**problem_responses(), 200: examples.schema},
)
async def read_plan_schema(runtime: RuntimeDep) -> dict[str, Any]:
    """Return the JSON Schema of plans with the operations of this server, for completion and checks in editors."""
    return plan_schema(runtime.catalog)
