"""Validation of plans and params; all problems are reported together."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import MAX_COUNTED_PROBLEMS, BadParams, PlanRefused, Problem
from callsheet.domain.plan import Plan, PlannedJob, Submission
from callsheet.domain.plan_graph import (
    OperationSignature,
    check_dependencies,
    count_edges,
    duplicate_ids,
    find_cycles,
    upstream_jobs,
)
from callsheet.domain.plan_inputs import INPUTS, Insertion, insert_values, read_values, undeclared_inputs
from callsheet.domain.validation_problems import all_problems

M = TypeVar("M", bound=BaseModel)

_MAX_NAME = 200
MAX_EDGES = 50_000
"""Dependencies and references of a plan."""


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """A valid plan: operations exist, params match, references resolve, and the graph has no cycle."""

    plan: Plan
    operations: dict[str, str]
    """Job id → the stored name of its operation (aliases resolved)."""
    upstream: dict[str, list[str]] = field(default_factory=dict)
    """Job id → the jobs it waits for, without repeats."""


def read_submission(data: Any, operations: Mapping[str, OperationSignature] | None = None) -> Submission:
    """Parse a submission. Raises PlanRefused with every invalid field.

    With `operations`, the error also contains the problems that `check_plan` finds in the valid parts.
    """
    names = [name for name in ("executionPlan", "execution_plan") if isinstance(data, Mapping) and name in data]
    raw = _raw_jobs(data[names[0]]) if len(names) == 1 else None
    if raw is None:
        return _read_whole(Submission, data)
    without_jobs = {**data, names[0]: {**data[names[0]], "jobs": []}}
    submission, jobs = _read_parts(Submission, without_jobs, raw, "executionPlan.", operations)
    submission.execution_plan.jobs = jobs
    return submission


def read_plan(data: Any, operations: Mapping[str, OperationSignature] | None = None) -> Plan:
    """Parse a plan. Raises PlanRefused, as `read_submission` does."""
    raw = _raw_jobs(data)
    if raw is None:
        return _read_whole(Plan, data)
    plan, jobs = _read_parts(Plan, {**data, "jobs": []}, raw, "", operations)
    plan.jobs = jobs
    return plan


def _raw_jobs(plan: Any) -> list[Any] | None:
    jobs = plan.get("jobs") if isinstance(plan, Mapping) else None
    return jobs if isinstance(jobs, list) else None


def _read_whole(model: type[M], data: Any) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise PlanRefused(all_problems(error, model, data)) from None


def _read_parts(
    model: type[M],
    without_jobs: dict[str, Any],
    raw_jobs: list[Any],
    prefix: str,
    operations: Mapping[str, OperationSignature] | None,
) -> tuple[M, list[PlannedJob]]:
    """Parse a plan or submission, and its jobs one by one.

    One call for all jobs would block all threads as long as it takes, which is long for many invalid jobs.
    """
    problems: list[Problem] = []
    jobs: list[PlannedJob] = []
    parsed = None
    try:
        parsed = model.model_validate(without_jobs)
    except ValidationError as error:
        problems += all_problems(error, model, without_jobs)
    for index, raw in enumerate(raw_jobs):
        try:
            jobs.append(PlannedJob.model_validate(raw))
        except ValidationError as error:
            path = f"{prefix}jobs[{index}]"
            problems += (problem.below(path) for problem in all_problems(error, PlannedJob, raw))
        if len(problems) > MAX_COUNTED_PROBLEMS:
            break
    if parsed is not None and not problems:
        return parsed, jobs
    has_inputs = parsed is None or _has_inputs(parsed)
    found = _problems_of_valid_parts(raw_jobs, prefix, operations, has_inputs=has_inputs) if operations else ()
    raise PlanRefused(chain(problems, found))


def _has_inputs(parsed: BaseModel) -> bool:
    plan = parsed.execution_plan if isinstance(parsed, Submission) else parsed
    return isinstance(plan, Plan) and bool(plan.inputs)


def _problems_of_valid_parts(
    raw_jobs: list[Any], prefix: str, operations: Mapping[str, OperationSignature], *, has_inputs: bool
) -> Iterator[Problem]:
    """Check the jobs of an invalid plan without their invalid fields."""
    ids = [job["id"] for job in raw_jobs if isinstance(job, Mapping) and isinstance(job.get("id"), str)]
    ids += [INPUTS] if has_inputs else []
    jobs = {
        index: _valid_fields(raw, f"jobs[{index}]") for index, raw in enumerate(raw_jobs) if isinstance(raw, Mapping)
    }
    by_job: dict[str, OperationSignature | None] = dict.fromkeys(ids)
    for problem in _check_jobs(jobs, by_job, operations)[0]:
        yield Problem(prefix + problem.path, problem.code, problem.message)


_VALID_JOB = {"id": "a", "operation": "a"}


def _valid_fields(value: Mapping[str, Any], path: str) -> PlannedJob:
    """Return the job with its valid fields. A job without a valid id gets its path as id, which no reference can name.

    A job without a valid operation gets an empty one, which is not checked.
    """
    fields: dict[str, Any] = {"id": path, "operation": ""}
    for name, field_info in PlannedJob.model_fields.items():
        for given in {name, field_info.alias or name} & value.keys():
            with suppress(ValidationError):
                fields[name] = getattr(PlannedJob.model_validate({**_VALID_JOB, given: value[given]}), name)
    return PlannedJob.model_construct(**fields)


def check_submission(
    submission: Submission, operations: Mapping[str, OperationSignature], *, max_jobs: int
) -> tuple[Submission, CheckedPlan]:
    """Insert the values of the inputs into the plan, and check it as `check_plan` does.

    Returns the submission with the inserted values. Raises PlanRefused with the problems of the values and of the plan.
    """
    plan = submission.execution_plan
    if not plan.inputs and not submission.inputs:
        return submission, check_plan(plan, operations, max_jobs=max_jobs)
    values, problems = read_values(plan.inputs, submission.inputs)
    filled, bad_paths = _with_values(plan, values)
    problems += [*_undeclared_references(plan), *bad_paths]
    try:
        checked = check_plan(filled, operations, max_jobs=max_jobs)
    except PlanRefused as refused:
        raise PlanRefused([*problems, *refused.problems], count=len(problems) + refused.count) from None
    if problems:
        raise PlanRefused(problems)
    return submission.model_copy(update={"execution_plan": filled}), checked


def check_without_values(plan: Plan, operations: Mapping[str, OperationSignature], *, max_jobs: int) -> CheckedPlan:
    """Check a plan before the values of its inputs are known. Raises PlanRefused with all problems. CPU-bound."""
    problems = list(_undeclared_references(plan))
    try:
        checked = check_plan(plan, operations, max_jobs=max_jobs)
    except PlanRefused as refused:
        raise PlanRefused([*problems, *refused.problems], count=len(problems) + refused.count) from None
    if problems:
        raise PlanRefused(problems)
    return checked


def _undeclared_references(plan: Plan) -> Iterator[Problem]:
    """Yield a problem for each reference of a plan to an input that it does not declare."""
    if not plan.inputs:
        return
    for index, job in enumerate(plan.jobs):
        yield from undeclared_inputs(job.params, plan.inputs, f"jobs[{index}].params")


def _with_values(plan: Plan, values: Mapping[str, Any]) -> tuple[Plan, list[Problem]]:
    insertion = Insertion(values)
    jobs: list[PlannedJob] = []
    problems: list[Problem] = []
    for index, job in enumerate(plan.jobs):
        params, bad_paths = insert_values(job.params, insertion, f"jobs[{index}].params")
        jobs.append(job.model_copy(update={"params": params}))
        problems += bad_paths
    head, bad_paths = insert_values({"name": plan.name}, insertion, "")
    # A name has no references, so a literal text needs no escape.
    name = head["name"].replace("$${", "${")[:_MAX_NAME] if isinstance(head["name"], str) else plan.name
    return plan.model_copy(update={"jobs": jobs, "name": name}), problems + bad_paths


def check_plan(plan: Plan, operations: Mapping[str, OperationSignature], *, max_jobs: int) -> CheckedPlan:
    """Check everything about a plan that can be checked before it is stored.

    `operations` maps names and aliases to operations. Raises PlanRefused with all problems. CPU-bound: about a second
    for 10,000 jobs, so call it in a thread for large plans.
    """
    if len(plan.jobs) > max_jobs:
        message = f"{len(plan.jobs):,} jobs; a plan may have at most {max_jobs:,}"
        raise PlanRefused([Problem("jobs", "too_many_jobs", message)])
    if count_edges(plan.jobs, MAX_EDGES) > MAX_EDGES:
        message = f"more than {MAX_EDGES:,} entries of dependsOn and references; a plan may have at most {MAX_EDGES:,}"
        raise PlanRefused([Problem("jobs", "too_many_edges", message)])
    if not plan.jobs:
        raise PlanRefused([Problem("jobs", "empty", "a plan needs at least one job")])
    # References to inputs without a valid value are still there, and their problems are reported elsewhere.
    by_job: dict[str, OperationSignature | None] = {INPUTS: None} if plan.inputs else {}
    problems, upstream = _check_jobs(dict(enumerate(plan.jobs)), by_job, operations)
    if problems:
        raise PlanRefused(problems)
    return CheckedPlan(plan, {job: op.name for job, op in by_job.items() if op is not None}, upstream)


def _check_jobs(
    jobs: Mapping[int, PlannedJob],
    by_job: dict[str, OperationSignature | None],
    operations: Mapping[str, OperationSignature],
) -> tuple[list[Problem], dict[str, list[str]]]:
    """Return all problems, and each job's upstream jobs. `jobs` are by their index in the plan.

    `by_job` is filled with each job's operation. On entry it holds, with None, the jobs that could not be parsed.
    """
    has_inputs = INPUTS in by_job
    by_job |= {job.id: operations.get(job.operation) for job in jobs.values()}
    problems = list(duplicate_ids(jobs))
    upstream: dict[str, list[str]] = {}
    for index, job in jobs.items():
        if len(problems) > MAX_COUNTED_PROBLEMS:
            return problems, {}
        path = f"jobs[{index}]"
        problems += _check_operation(job, operations, path)
        problems += check_dependencies(job, by_job, path)
        upstream[job.id] = upstream_jobs(job, by_job)
        if has_inputs:
            problems += _check_input_names(job, path)
            upstream[job.id] = [name for name in upstream[job.id] if name != INPUTS]
    problems += find_cycles(upstream)
    return problems, upstream


def _check_input_names(job: PlannedJob, path: str) -> Iterator[Problem]:
    if job.id == INPUTS:
        yield Problem(f"{path}.id", "duplicate_id", f"'{INPUTS}' names the inputs of the plan; choose another id")
    if INPUTS in job.depends_on:
        place = f"{path}.dependsOn[{job.depends_on.index(INPUTS)}]"
        yield Problem(place, "unknown_job", f"'{INPUTS}' names the inputs of the plan, which no job waits for")


def _check_operation(job: PlannedJob, operations: Mapping[str, OperationSignature], path: str) -> Iterator[Problem]:
    operation = operations.get(job.operation)
    if not job.operation:
        return  # `_valid_fields`: the operation is invalid, which is already reported
    if operation is None:
        message = f"unknown operation '{job.operation}'{did_you_mean(job.operation, operations)}"
        yield Problem(f"{path}.operation", "unknown_operation", message)
        return
    try:
        operation.params.model_validate(job.params, context=operation.validation_context)
    except ValidationError as error:
        for problem in all_problems(error, operation.params, job.params, context=operation.validation_context):
            yield problem.below(f"{path}.params")


def validate_params(params: dict[str, Any], model: type[BaseModel], context: Any = None) -> BaseModel:
    """Parse params to the operation's model. Raises BadParams with every problem.

    `context` is passed to the validators of the model (pydantic's `ValidationInfo.context`).
    """
    try:
        return model.model_validate(params, context=context)
    except ValidationError as error:
        raise BadParams(all_problems(error, model, params, context=context)) from None
