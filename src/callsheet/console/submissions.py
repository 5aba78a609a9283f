"""Submits what a form of the console describes, as the API does."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import Request
from fastapi.responses import RedirectResponse

from callsheet.domain.errors import BudgetExceeded, PlanRefused, Problem
from callsheet.domain.plan import Submission
from callsheet.engine.jobs.owners import owner_of
from callsheet.engine.jobs.plan_runs import PlanRun
from callsheet.engine.jobs.submit import submit
from callsheet.files.receiver_urls import callback_problems
from callsheet.wiring import Runtime


async def submit_form(
    request: Request, submission: Submission, unreadable: Sequence[Problem] = (), run: PlanRun | None = None
) -> UUID:
    """Store an execution and return its id. Raises PlanRefused with all problems, also those of unreadable fields.

    Raises BudgetExceeded like the API.
    """
    runtime: Runtime = request.app.state.runtime
    try:
        stored = await submit(
            runtime.database,
            submission,
            runtime.catalog,
            max_jobs=runtime.settings.max_jobs_per_plan,
            other_problems=[*unreadable, *callback_problems(submission.callback_url, runtime.settings)],
            run=run,
            owner=owner_of(request.state.caller, runtime.settings),
            monthly_budget=runtime.settings.monthly_budget,
        )
    except PlanRefused as refused:
        raise _once(refused, unreadable) from None
    return stored.execution_id


def problems_of(error: PlanRefused | BudgetExceeded) -> list[Problem]:
    """Return what a form shows of an error."""
    return error.problems if isinstance(error, PlanRefused) else [Problem("", error.code, error.message)]


def redirect_to_execution(execution_id: UUID) -> RedirectResponse:
    """Return the response that leads to the page of an execution."""
    return RedirectResponse(f"/executions/{execution_id}", 303)


def _once(refused: PlanRefused, unreadable: Sequence[Problem]) -> PlanRefused:
    """Return an error that does not also say that an unreadable field is missing."""
    paths = {problem.path for problem in unreadable}
    others = [problem for problem in refused.problems if problem.path not in paths]
    return PlanRefused([*unreadable, *others])
