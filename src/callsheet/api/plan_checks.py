"""Plan checks: validate a plan, and store nothing."""

from contextlib import nullcontext

from fastapi import APIRouter, Request, Response

from callsheet.api import examples
from callsheet.api.dependencies import runtime_of
from callsheet.api.plan_body import read_body
from callsheet.api.problems import problem_responses
from callsheet.domain.costs import CostEstimate
from callsheet.domain.errors import PlanRefused
from callsheet.domain.plan import Submission
from callsheet.domain.records import JobProblem, PlanCheck
from callsheet.engine.jobs.plan_body import PlanBody, is_large, parse_plan_body
from callsheet.engine.jobs.submit import validate_submission
from callsheet.files.receiver_urls import callback_problems
from callsheet.processes.plan_thread import in_plan_thread
from callsheet.wiring import Runtime

router = APIRouter(prefix="/api/plans", tags=["executions"])


@router.post(
    "/check",
    summary="Check a plan",
    response_model=PlanCheck,
    responses={**problem_responses(400, 413, 415), 200: examples.plan_check},
    openapi_extra=examples.submission,
)
async def check_plan(request: Request) -> Response:
    """Validate a plan as a submission does, store nothing, and return every problem.

    The body is that of a submission. The response has status 200 also for a plan with problems.
    """
    text = await read_body(request)
    async with request.app.state.large_plans if is_large(text) else nullcontext():
        found = await _check_text(runtime_of(request), text)
    return Response(found.model_dump_json(), media_type="application/json")


async def _check_text(runtime: Runtime, text: bytes) -> PlanCheck:
    try:
        body = await parse_plan_body(text, max_bytes=runtime.settings.max_body_bytes)
    except PlanRefused as refused:
        return _refused(refused)
    try:
        submission = await body.submission(runtime.catalog)
        estimate = await _check(runtime, body, submission)
    except PlanRefused as refused:
        return _refused(await in_plan_thread(body.refused, refused))
    return PlanCheck(
        valid=True, jobs=len(submission.execution_plan.jobs), estimated_cost=estimate, problems=[], count=0
    )


async def _check(runtime: Runtime, body: PlanBody, submission: Submission) -> CostEstimate:
    try:
        return await validate_submission(
            submission,
            runtime.catalog,
            max_jobs=runtime.settings.max_jobs_per_plan,
            other_problems=callback_problems(submission.callback_url, runtime.settings),
        )
    except PlanRefused as refused:
        raise refused.located(body.in_body) from None


def _refused(error: PlanRefused) -> PlanCheck:
    problems = [JobProblem(path=each.path, code=each.code, message=each.message) for each in error.problems]
    return PlanCheck(valid=False, jobs=None, problems=problems, count=error.count)
