"""Child jobs: validate and store the jobs that a running job adds to its execution."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import asyncpg

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import InternalError, Problem, ProblemList
from callsheet.domain.ids import new_id
from callsheet.domain.plan import JOB_ID
from callsheet.domain.plan_validation import validate_params
from callsheet.engine.jobs.json_validation import validated_json
from callsheet.engine.jobs.outcomes import ChildJobRow
from callsheet.operation_api.contract import ChildJob, Operation
from callsheet.queue.claim import ClaimedJob


def child_job_rows(
    parent: ClaimedJob, children: Sequence[ChildJob], operations: Mapping[str, Operation]
) -> tuple[ChildJobRow, ...]:
    """Validate child jobs. Return their rows in the same order.

    Raises InternalError with all problems if they are invalid, because this is a bug of the operation.
    """
    problems = [*_invalid_ids(children)]
    for index, child in enumerate(children):
        problems += _invalid_params(child, f"jobs[{index}]", operations)
    if problems:
        message = "; ".join(map(repr, problems))
        raise InternalError(f"The operation requested invalid child jobs: {message}")
    return tuple(_row(parent, child, operations[child.operation]) for child in children)


def is_child_job(job_id: str) -> bool:
    """Return whether the id is that of a child job. Ids in a plan contain no slash."""
    return "/" in job_id


async def insert_child_jobs(connection: Connection, children: Sequence[tuple[ChildJobRow, asyncpg.Record]]) -> None:
    """Insert child jobs, each with the row of its parent, inside the caller's transaction."""
    jobs = [job for job, _ in children]
    await sql.insert_child_jobs(
        connection,
        ids=[job.id for job in jobs],
        parents=[row["id"] for _, row in children],
        execution_ids=[row["execution_id"] for _, row in children],
        job_ids=[job.job_id for job in jobs],
        operations=[job.operation.name for job in jobs],
        queues=[job.operation.queue for job in jobs],
        priorities=[job.priority for job in jobs],
        params=[job.params for job in jobs],
        on_worker_lost=[job.operation.on_worker_lost for job in jobs],
        timeouts=[job.operation.timeout.total_seconds() for job in jobs],
        max_attempts=[job.operation.attempts for job in jobs],
    )


def _row(parent: ClaimedJob, child: ChildJob, operation: Operation) -> ChildJobRow:
    return ChildJobRow(
        new_id(),
        f"{parent.job_id}/{child.id}",
        operation,
        # Before other jobs of its kind, so that started work is finished first.
        parent.priority + 1,
        validated_json(child.params, "params"),
    )


def _invalid_ids(children: Sequence[ChildJob]) -> Iterator[Problem]:
    counts = Counter(child.id for child in children)
    for index, child in enumerate(children):
        if not re.fullmatch(JOB_ID, child.id):
            yield Problem(f"jobs[{index}].id", "bad_id", f"'{child.id}' is not a valid job id")
        if counts[child.id] > 1:
            yield Problem(f"jobs[{index}].id", "duplicate_id", f"{counts[child.id]} jobs have the id '{child.id}'")


def _invalid_params(child: ChildJob, path: str, operations: Mapping[str, Operation]) -> Iterator[Problem]:
    operation = operations.get(child.operation)
    if operation is None:
        message = f"unknown operation '{child.operation}'{did_you_mean(child.operation, operations)}"
        yield Problem(f"{path}.operation", "unknown_operation", message)
        return
    try:
        validated_json(child.params, "")
        validate_params(child.params, operation.params, operation.validation_context)
    except ProblemList as error:
        for problem in error.problems:
            yield Problem(f"{path}.params.{problem.path}".rstrip("."), problem.code, problem.message)
