"""Stored plans: store, list, read, delete and run them."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response
from pydantic import AwareDatetime, Field

from callsheet.api import examples_plans as examples
from callsheet.api.batches import BatchRows, store_batch
from callsheet.api.dependencies import CallerDep, RuntimeDep, caller_of
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.domain.plan import Plan, Submission
from callsheet.domain.plan_validation import read_plan
from callsheet.domain.records import Receipt
from callsheet.domain.stored_names import StoredName
from callsheet.engine.jobs.batches import Batch
from callsheet.engine.jobs.owners import owner_of
from callsheet.engine.jobs.plan_runs import PlanRun
from callsheet.engine.jobs.receipt import receipt_of
from callsheet.engine.jobs.stored_plans import (
    PlanSummary,
    PlanVersion,
    StoredPlan,
    delete_plan,
    get_plan,
    list_plans,
    list_versions,
    push_plan,
)
from callsheet.engine.jobs.submit import submit
from callsheet.files.receiver_urls import callback_problems
from callsheet.processes.plan_thread import in_plan_thread

router = APIRouter(prefix="/api/plans", tags=["plans"])

Name = Annotated[StoredName, Path(description="Name of the plan", examples=["ad"])]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="A repeated request with the same key and body returns what the first one stored",
    ),
]


class PlanPush(Model):
    """A plan to store."""

    name: StoredName = Field(examples=["ad"])
    plan: dict[str, Any] = Field(description="The plan, with its `inputs`")


class PlanList(Model):
    """The plans."""

    plans: list[PlanSummary] = Field(description="By name")


class PlanVersionList(Model):
    """The versions of a plan."""

    versions: list[PlanVersion] = Field(description="Newest first")


class RunOptions(Model):
    """Options of the executions of a stored plan."""

    version: int | None = Field(None, ge=1, le=2**31 - 1, description="Version of the plan; default: the newest")
    callback_url: str | None = Field(
        None, max_length=2000, description="Receives a signed webhook when the execution ends"
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="Stored and returned unchanged")
    priority: int | None = Field(None, ge=-1000, le=1000, description="Default priority of the jobs")
    start_at: AwareDatetime | None = Field(None, description="No job starts earlier")

    def submission(self, plan: Plan, inputs: dict[str, Any]) -> Submission:
        """Return the submission of the plan with these inputs."""
        return Submission(
            execution_plan=plan,
            inputs=inputs,
            callback_url=self.callback_url,
            metadata=self.metadata,
            priority=self.priority,
            start_at=self.start_at,
        )


class PlanRunRequest(RunOptions):
    """One run of a stored plan."""

    inputs: dict[str, Any] = Field(default_factory=dict, description="Values of the inputs")


class PlanBatchRequest(RunOptions, BatchRows):
    """Runs of a stored plan, one for each row of inputs."""


@router.post(
    "",
    status_code=201,
    name="push_plan",
    summary="Store a plan",
    responses={
        **problem_responses(409, 422),
        200: {**examples.stored_plan, "description": "The newest version is the same plan"},
        201: examples.stored_plan,
    },
)
async def push(
    request: Annotated[PlanPush, Body(openapi_examples=examples.pushes)], runtime: RuntimeDep, response: Response
) -> StoredPlan:
    """Store a plan under a name, as its newest version. The same plan again is no new version."""
    plan = await in_plan_thread(read_plan, request.plan, runtime.catalog)
    stored, is_new = await push_plan(
        runtime.database, request.name, plan, runtime.catalog, max_jobs=runtime.settings.max_jobs_per_plan
    )
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/plans/{stored.name}"
    return stored


@router.get("", name="list_plans", summary="List plans", responses={**problem_responses(), 200: examples.plan_list})
async def list_all(runtime: RuntimeDep) -> PlanList:
    """Return the stored plans and those that come with Callsheet."""
    return PlanList(plans=await list_plans(runtime.reads))


@router.get(
    "/{name}",
    name="read_plan",
    summary="Read a plan",
    responses={**problem_responses(404, 422), 200: examples.stored_plan},
)
async def read(
    name: Name,
    runtime: RuntimeDep,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Default: the newest")] = None,
) -> StoredPlan:
    """Return a plan with its inputs, and the JSON Schema of their values."""
    return await get_plan(runtime.database, name, version)


@router.get(
    "/{name}/versions",
    name="list_plan_versions",
    summary="List the versions of a plan",
    responses={**problem_responses(404, 422), 200: examples.plan_versions},
)
async def versions(name: Name, runtime: RuntimeDep) -> PlanVersionList:
    """Return the versions of a stored plan, newest first."""
    return PlanVersionList(versions=await list_versions(runtime.database, name))


@router.delete(
    "/{name}",
    status_code=204,
    name="delete_plan",
    summary="Delete a plan",
    responses={**problem_responses(404, 422), 204: {"description": "Deleted"}},
)
async def delete(name: Name, runtime: RuntimeDep) -> None:
    """Delete all versions of a stored plan. Its executions stay."""
    await delete_plan(runtime.database, name)


@router.post(
    "/{name}/runs",
    status_code=202,
    name="run_plan",
    summary="Run a plan",
    responses={**problem_responses(402, 404, 409, 422), 202: examples.receipt},
)
async def run(
    name: Name,
    request: Annotated[PlanRunRequest, Body(openapi_examples=examples.runs)],
    runtime: RuntimeDep,
    caller: CallerDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Receipt:
    """Store an execution of a stored plan with these inputs. All problems of the inputs are reported."""
    stored = await get_plan(runtime.database, name, request.version)
    submitted = await submit(
        runtime.database,
        request.submission(stored.plan, request.inputs),
        runtime.catalog,
        max_jobs=runtime.settings.max_jobs_per_plan,
        idempotency_key=idempotency_key,
        other_problems=callback_problems(request.callback_url, runtime.settings),
        run=PlanRun(
            inputs=request.inputs,
            plan_name=name,
            plan_version=stored.version,
            requested_version=request.version,
        ),
        owner=owner_of(caller, runtime.settings),
        monthly_budget=runtime.settings.monthly_budget,
    )
    response.headers["Location"] = f"/api/executions/{submitted.execution_id}"
    if submitted.is_duplicate:
        response.headers["Idempotent-Replayed"] = "true"
    return await receipt_of(runtime.database, submitted)


@router.post(
    "/{name}/batches",
    status_code=202,
    name="run_plan_batch",
    summary="Run a plan for many inputs",
    responses={**problem_responses(402, 404, 409, 422), 202: examples.batch},
)
async def run_batch(
    name: Name,
    request: Annotated[PlanBatchRequest, Body(openapi_examples=examples.plan_batches)],
    http_request: Request,
    runtime: RuntimeDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Batch:
    """Store one execution for each row of inputs, all or none. All problems of all rows are reported."""
    stored = await get_plan(runtime.database, name, request.version)
    origin = PlanRun(plan_name=name, plan_version=stored.version, requested_version=request.version)
    submission = request.submission(stored.plan, request.shared_inputs)
    async with http_request.app.state.large_plans:
        return await store_batch(
            runtime,
            response,
            submission,
            request,
            origin,
            idempotency_key,
            owner_of(caller_of(http_request), runtime.settings),
        )
