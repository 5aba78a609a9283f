"""The forms in which a client takes a plan."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from callsheet.domain.plan import Plan, Submission
from callsheet.domain.plan_parsing import read_plan_text

PlanLike: TypeAlias = Mapping[str, Any] | Plan | Submission | Path | str
"""A plan or a submission: as a dictionary, a typed object, or the path of a JSON or YAML file."""


def read_submission_body(plan: PlanLike) -> dict[str, Any]:
    """Return the JSON body of a submission. The server validates it.

    Raises OSError for a file that cannot be read, and PlanRefused for one that is not valid JSON or YAML.
    """
    if isinstance(plan, Submission | Plan):
        data = plan.model_dump(mode="json", by_alias=True, exclude_unset=True)
    elif isinstance(plan, str | Path):
        data = read_plan_text(Path(plan).read_bytes(), max_bytes=sys.maxsize)
    else:
        data = dict(plan)
    is_submission = isinstance(data, dict) and data.keys() & {"executionPlan", "execution_plan"}
    return data if is_submission else {"executionPlan": data}
