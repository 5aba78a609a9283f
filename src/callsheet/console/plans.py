"""Pages of stored plans: their list, and a form that runs one."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from callsheet.console.form_fields import fields_of
from callsheet.console.form_values import empty_form, filled_form, read_values
from callsheet.console.responses import CheckedForm, RuntimeDep, page_response
from callsheet.console.submissions import problems_of, redirect_to_execution, submit_form
from callsheet.domain.errors import BudgetExceeded, PlanRefused, Problem
from callsheet.domain.plan import Submission
from callsheet.domain.plan_inputs import INPUTS
from callsheet.domain.stored_names import StoredName
from callsheet.engine.jobs.plan_runs import PlanRun
from callsheet.engine.jobs.stored_plans import StoredPlan, get_plan, list_plans

router = APIRouter(prefix="/console/plans")

Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


@router.get("")
async def plan_list_page(request: Request, runtime: RuntimeDep) -> Response:
    """Show the stored plans and those that come with Callsheet."""
    return page_response(request, "plans.html", plans=await list_plans(runtime.reads))


@router.get("/{name}")
async def plan_page(request: Request, name: StoredName, runtime: RuntimeDep, version: Version = None) -> Response:
    """Show the form of a plan."""
    return _page(request, await get_plan(runtime.database, name, version))


@router.post("/{name}")
async def run_plan_form(
    request: Request, name: StoredName, form: CheckedForm, runtime: RuntimeDep, version: Version = None
) -> Response:
    """Run a plan with the values of its form, or show the form again with the problems of each field."""
    stored = await get_plan(runtime.database, name, version)
    inputs, unreadable = read_values(fields_of(stored.inputs_schema) if stored.inputs else [], form, INPUTS)
    run = PlanRun(inputs=inputs, plan_name=name, plan_version=stored.version, requested_version=version)
    submission = Submission(execution_plan=stored.plan, inputs=inputs)
    try:
        execution_id = await submit_form(request, submission, unreadable, run)
    except (PlanRefused, BudgetExceeded) as refused:
        return _page(request, stored, form, problems_of(refused), status=refused.status)
    return redirect_to_execution(execution_id)


def _page(
    request: Request,
    plan: StoredPlan,
    form: Mapping[str, str] | None = None,
    problems: Iterable[Problem] = (),
    *,
    status: int = 200,
) -> Response:
    fields = fields_of(plan.inputs_schema) if plan.inputs else []
    filled, others = (empty_form(fields), []) if form is None else filled_form(fields, form, problems, INPUTS)
    # The form runs the version that it shows, also when there is a newer one meanwhile.
    version = "" if plan.version is None else f"?version={plan.version}"
    return page_response(
        request,
        "plan.html",
        status=status,
        plan=plan,
        action=f"/console/plans/{plan.name}{version}",
        fields=filled,
        problems=others,
    )
