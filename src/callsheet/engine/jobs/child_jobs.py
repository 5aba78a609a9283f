"""Jobs that a running job wants to run first: checked and stored."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import asyncpg

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.errors import InternalError, Problem, ProblemList
from callsheet.domain.ids import new_id
from callsheet.domain.plan import JOB_ID
from callsheet.domain.plan_validation import did_you_mean, validate_params
from callsheet.engine.jobs.json_validation import validated_json
from callsheet.engine.jobs.outcomes import ChildJobRow
from callsheet.operation.contract import ChildJob, Operation
from callsheet.queue.claim import ClaimedJob


def child_jobs(
    job: ClaimedJob, wanted: Sequence[ChildJob], operations: Mapping[str, Operation]
) -> tuple[ChildJobRow, ...]:
    """Return the jobs as they are stored, in the order they came.

    Raises InternalError with every problem when they cannot run: it is the operation that is at fault.
    """
    problems = [*_bad_ids(wanted)]
    for index, sub in enumerate(wanted):
        problems += _invalid(sub, f"jobs[{index}]", operations)
    if problems:
        told = "; ".join(map(repr, problems))
        raise InternalError(f"The operation wants jobs to run first that cannot run: {told}")
    return tuple(_child_job(job, sub, operations[sub.operation]) for sub in wanted)


def is_child_job(job_id: str) -> bool:
    """Tell whether a job was wanted by another one; no id in a plan has this form."""
    return "/" in job_id


async def insert_child_jobs(connection: Connection, wanted: Sequence[tuple[ChildJobRow, asyncpg.Record]]) -> None:
    """Store jobs, each with the record of the one that waits for it, inside the caller's transaction."""
    jobs = [job for job, _ in wanted]
    await sql.insert_child_jobs(
        connection,
        ids=[job.id for job in jobs],
        parents=[row["id"] for _, row in wanted],
        execution_ids=[row["execution_id"] for _, row in wanted],
        job_ids=[job.job_id for job in jobs],
        operations=[job.operation.name for job in jobs],
        queues=[job.operation.queue for job in jobs],
        priorities=[job.priority for job in jobs],
        params=[job.params for job in jobs],
        on_worker_lost=[job.operation.on_worker_lost for job in jobs],
        timeouts=[job.operation.timeout.total_seconds() for job in jobs],
        max_attempts=[job.operation.attempts for job in jobs],
    )


def _child_job(job: ClaimedJob, sub: ChildJob, operation: Operation) -> ChildJobRow:
    # One above: what is begun shall be finished before more of its kind begins.
    return ChildJobRow(
        new_id(), f"{job.job_id}/{sub.id}", operation, job.priority + 1, validated_json(sub.params, "params")
    )


def _bad_ids(wanted: Sequence[ChildJob]) -> Iterator[Problem]:
    times = Counter(sub.id for sub in wanted)
    for index, sub in enumerate(wanted):
        if not re.fullmatch(JOB_ID, sub.id):
            yield Problem(f"jobs[{index}].id", "bad_id", f"'{sub.id}' is not formed as a job's id")
        if times[sub.id] > 1:
            yield Problem(f"jobs[{index}].id", "duplicate_id", f"there are {times[sub.id]} jobs '{sub.id}'")


def _invalid(sub: ChildJob, where: str, operations: Mapping[str, Operation]) -> Iterator[Problem]:
    operation = operations.get(sub.operation)
    if operation is None:
        message = f"unknown operation '{sub.operation}'{did_you_mean(sub.operation, operations)}"
        yield Problem(f"{where}.operation", "unknown_operation", message)
        return
    try:
        validated_json(sub.params, "")
        validate_params(sub.params, operation.params, operation.validation_context)
    except ProblemList as error:
        for problem in error.problems:
            yield Problem(f"{where}.params.{problem.path}".rstrip("."), problem.code, problem.message)
