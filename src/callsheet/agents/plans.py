"""Plans as an agent gives them: an object, or YAML or JSON text."""

from typing import Annotated, Any, TypeAlias

from pydantic import Field

from callsheet.domain.errors import PlanRefused, Problem
from callsheet.domain.plan_parsing import read_plan_text

_MAX_BYTES = 4 * 2**20

PlanArgument: TypeAlias = Annotated[
    dict[str, Any] | str,
    Field(
        description='A plan {"jobs": [{"id", "operation", "params", "dependsOn"?}]}, or a submission '
        '{"executionPlan": plan, "metadata"?, "priority"?, "callbackUrl"?}: an object, or its text in YAML or JSON. A '
        "param takes a value of another job's result with ${job.field}"
    ),
]


def plan_data(plan: dict[str, Any] | str) -> dict[str, Any]:
    """Return a plan as data. A text is never taken for a path. Raises PlanRefused and TooLarge."""
    if not isinstance(plan, str):
        return plan
    data = read_plan_text(plan, max_bytes=_MAX_BYTES)
    if not isinstance(data, dict):
        given = type(data).__name__
        raise PlanRefused([Problem("plan", "wrong_type", f"must be an object with 'jobs'; the text is a {given}")])
    return data
