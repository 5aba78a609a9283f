"""Where a command takes its plan from: a file, a plan that comes with Callsheet, or one that a server stores."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callsheet.domain.errors import NotFound
from callsheet.domain.plan_inputs import PlanInput

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient
    from callsheet.settings import Settings

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class PlanSource:
    """A plan that a command was given."""

    plan: Any
    """Data of the plan or submission, as read from its file; the document of a named plan."""
    inputs: Mapping[str, PlanInput]
    """The declared inputs; invalid declarations are missing, as the validation reports them."""
    stored_name: str | None = None
    """Name of the plan on the server; None for a file."""


@contextmanager
def read_plan_source(given: str, settings: "Settings", client: "ApiClient") -> Iterator[PlanSource]:
    """Give a plan from a file, or by its name on the server. Raises NotFound and PlanRefused.

    A PlanRefused that the block raises gets line and column, if the plan is a YAML file.
    """
    from callsheet.cli.plans import plan_file

    if is_plan_name(given):
        stored = client.get(f"/api/plans/{given}")
        yield PlanSource(stored["plan"], _declared(stored["plan"]), given)
        return
    with plan_file(given, settings) as data:
        yield PlanSource(data, _declared(data))


@contextmanager
def read_local_plan(given: str, settings: "Settings") -> Iterator[PlanSource]:
    """Give a plan from a file, or one that comes with Callsheet by its name. Raises NotFound and PlanRefused."""
    from callsheet.cli.plans import plan_file
    from callsheet.domain.did_you_mean import did_you_mean
    from callsheet.ready_plans import ready_plans

    if not is_plan_name(given):
        with plan_file(given, settings) as data:
            yield PlanSource(data, _declared(data))
        return
    included = ready_plans()
    if given not in included:
        hint = did_you_mean(given, included) or f". Plans that come with Callsheet: {', '.join(included)}."
        stored = f"A plan that a server stores runs there: callsheet submit {given}"
        raise NotFound(f"There is no file and no included plan '{given}'{hint} {stored}")
    plan = included[given]
    yield PlanSource(plan.model_dump(mode="json", exclude_unset=True), plan.inputs, given)


def is_plan_name(given: str) -> bool:
    """Return whether an argument names a stored plan: it has the form of a name, and no such file exists."""
    return _NAME.fullmatch(given) is not None and not Path(given).exists()


def _declared(data: Any) -> dict[str, PlanInput]:
    from pydantic import ValidationError

    plan = data.get("executionPlan") or data.get("execution_plan") or data if isinstance(data, Mapping) else None
    inputs = plan.get("inputs") if isinstance(plan, Mapping) else None
    found = {}
    for name, declared in inputs.items() if isinstance(inputs, Mapping) else ():
        try:
            found[str(name)] = PlanInput.model_validate(declared)
        except ValidationError:
            continue
    return found
