"""Check the plan of a schedule before it is stored."""

from callsheet.db.database import Database
from callsheet.domain.errors import NotFound, PlanRefused, Problem
from callsheet.domain.schedules import ScheduleSpec
from callsheet.engine.jobs.stored_plans import get_plan
from callsheet.engine.jobs.submit import validate_submission
from callsheet.files.receiver_urls import callback_problems
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings


async def check_schedule(database: Database, spec: ScheduleSpec, catalog: Catalog, settings: Settings) -> None:
    """Validate the plan with its inputs, as a submission would. Raises PlanRefused with all problems."""
    plan = spec.execution_plan
    if spec.task is not None:
        return
    if plan is None:
        assert spec.plan is not None  # noqa: S101 - a specification has a plan or a task
        try:
            plan = (await get_plan(database, spec.plan, spec.version)).plan
        except NotFound as error:
            raise PlanRefused([Problem("plan", "unknown_plan", error.message)]) from None
    try:
        await validate_submission(
            spec.submission(plan),
            catalog,
            max_jobs=settings.max_jobs_per_plan,
            other_problems=callback_problems(spec.callback_url, settings),
        )
    except PlanRefused as refused:
        raise (refused if spec.execution_plan is None else refused.located(_in_request)) from None


def _in_request(problem: Problem) -> Problem:
    in_plan = problem.path.startswith(("jobs", "name"))
    return Problem(f"executionPlan.{problem.path}" if in_plan else problem.path, problem.code, problem.message)
