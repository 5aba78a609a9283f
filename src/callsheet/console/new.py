"""The page of a new execution: of one operation, by a form of its params, or of a plan, as JSON or YAML."""

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from typing import Annotated, Any
from uuid import UUID

import yaml
from fastapi import APIRouter, Query, Request, Response

from callsheet.console.form_fields import FormField, fields_of
from callsheet.console.form_values import FilledField, empty_form, filled_form, read_values
from callsheet.console.responses import CheckedForm, RuntimeDep, page_response
from callsheet.console.submissions import problems_of, redirect_to_execution, submit_form
from callsheet.domain.costs import CostEstimate
from callsheet.domain.errors import BadInput, BudgetExceeded, NotFound, PlanRefused, Problem
from callsheet.domain.plan import Plan, PlannedJob, Submission
from callsheet.engine.jobs.plan_body import is_large, parse_plan_body
from callsheet.engine.jobs.submit import validate_submission
from callsheet.engine.reads.execution_plan import MOST_JOBS, plan_of_execution
from callsheet.files.receiver_urls import callback_problems
from callsheet.operation_api.contract import Operation
from callsheet.processes.plan_thread import in_plan_thread
from callsheet.providers.registry import read_registry
from callsheet.ready_plans.example_plans import example_plans
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/new")

_PARAMS = "jobs[0].params"
_JOB_ID = "job"

Source = Annotated[UUID | None, Query(alias="from")]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExecution:
    """What the page shows."""

    operation: Operation | None = None
    fields: list[FilledField] = field(default_factory=list)
    text: str = ""
    """The plan."""
    problems: list[Problem] = field(default_factory=list)
    count: int = 0
    """Number of all problems, also of those that are not listed."""
    jobs: int | None = None
    """Number of jobs of a plan that was checked and has no problems."""
    estimate: CostEstimate | None = None


@router.get("")
async def new_page(
    request: Request, runtime: RuntimeDep, operation: str = "", example: str = "", source: Source = None
) -> Response:
    """Show the choice of operations, the form of one, and the editor: empty, or with an example or a plan."""
    if example:
        return _page(request, runtime, NewExecution(text=await asyncio.to_thread(_example, example)), example=example)
    if source is not None:
        return _page(request, runtime, NewExecution(text=await _text_of(runtime, source)))
    if not operation:
        return _page(request, runtime, NewExecution())
    found = _operation(runtime, operation)
    return _page(request, runtime, NewExecution(operation=found, fields=empty_form(_fields(found))))


@router.post("")
async def submit_new(request: Request, form: CheckedForm, runtime: RuntimeDep, operation: str = "") -> Response:
    """Submit a job of an operation, or check or submit a plan."""
    if operation:
        return await _submit_job(request, runtime, _operation(runtime, operation), form)
    text = form.get("plan", "")
    async with request.app.state.large_plans if is_large(text.encode(errors="replace")) else nullcontext():
        return await _submit_plan(request, runtime, text, is_check=form.get("action") == "check")


async def _submit_job(request: Request, runtime: Runtime, operation: Operation, form: Mapping[str, str]) -> Response:
    fields = _fields(operation)
    params, unreadable = read_values(fields, form, _PARAMS)
    try:
        execution_id = await submit_form(request, _one_job(operation, _params(fields, params)), unreadable)
    except (PlanRefused, BudgetExceeded) as refused:
        filled, others = filled_form(fields, form, problems_of(refused), _PARAMS)
        shown = NewExecution(operation=operation, fields=filled, problems=others)
        return _page(request, runtime, shown, status=refused.status)
    return redirect_to_execution(execution_id)


def _one_job(operation: Operation, params: dict[str, Any]) -> Submission:
    job = PlannedJob(id=_JOB_ID, operation=operation.name, params=params)
    return Submission(execution_plan=Plan(name=operation.name, jobs=[job]))


def _params(fields: list[FormField], values: dict[str, Any]) -> dict[str, Any]:
    """Return the params: those of the fields, or the JSON of the only field, which has no name."""
    if [each.name for each in fields] != [""]:
        return values
    params = values.get("", {})
    if not isinstance(params, dict):
        raise PlanRefused([Problem(f"{_PARAMS}.", "bad_value", "must be a JSON object")])
    return params


async def _submit_plan(request: Request, runtime: Runtime, text: str, *, is_check: bool) -> Response:
    try:
        body = await parse_plan_body(text.encode(errors="replace"), max_bytes=runtime.settings.max_body_bytes)
        try:
            return await _use_plan(request, runtime, text, await body.submission(runtime.catalog), is_check=is_check)
        except PlanRefused as refused:
            raise await in_plan_thread(body.refused, refused) from None
    except (PlanRefused, BudgetExceeded) as refused:
        count = refused.count if isinstance(refused, PlanRefused) else 1
        shown = NewExecution(text=text, problems=problems_of(refused), count=count)
        return _page(request, runtime, shown, status=200 if is_check else refused.status)


async def _use_plan(
    request: Request, runtime: Runtime, text: str, submission: Submission, *, is_check: bool
) -> Response:
    if not is_check:
        return redirect_to_execution(await submit_form(request, submission))
    estimate = await validate_submission(
        submission,
        runtime.catalog,
        max_jobs=runtime.settings.max_jobs_per_plan,
        other_problems=callback_problems(submission.callback_url, runtime.settings),
    )
    shown = NewExecution(text=text, jobs=len(submission.execution_plan.jobs), estimate=estimate)
    return _page(request, runtime, shown)


def _example(name: str) -> str:
    if (file := example_plans().get(name)) is None:
        raise NotFound(f"There is no example '{name[:100]}'.")
    return file.read_text()


@cache
def _examples() -> list[tuple[str, str]]:
    """Return the names of the examples, each with the first sentence of its file."""
    found = []
    for name, file in example_plans().items():
        lines = file.read_text().splitlines()
        comment = " ".join(
            line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines)
        )
        found.append((name, f"{name}: {comment.partition('. ')[0].rstrip('.')}" if comment else name))
    return found


async def _text_of(runtime: Runtime, execution_id: UUID) -> str:
    """Return the plan of an execution as YAML, to be changed."""
    plan = await plan_of_execution(runtime.database, execution_id, runtime.catalog)
    if plan is None:
        raise BadInput(
            f"The plan of execution {execution_id} has more than {MOST_JOBS} jobs: too large for the editor."
        )

    def write() -> str:
        return yaml.safe_dump(plan, sort_keys=False, allow_unicode=True, width=110)

    return await in_plan_thread(write)


def _operation(runtime: Runtime, name: str) -> Operation:
    found = runtime.catalog.get(name)
    if found is None:
        raise NotFound(f"There is no operation '{name}'.")
    return found


def _fields(operation: Operation) -> list[FormField]:
    return fields_of(operation.params.model_json_schema())


def _models(runtime: Runtime) -> list[tuple[str, str]]:
    """Return the ids and names of the models, which are cached until their file changes."""
    registry = read_registry(runtime.settings.models_file)
    return [(model_id, registry[model_id].name) for model_id in sorted(registry)]


def _page(request: Request, runtime: Runtime, shown: NewExecution, *, status: int = 200, example: str = "") -> Response:
    return page_response(
        request,
        "new.html",
        status=status,
        operations=runtime.catalog.operations(),
        models=_models(runtime),
        examples=_examples(),
        example=example,
        shown=shown,
    )
