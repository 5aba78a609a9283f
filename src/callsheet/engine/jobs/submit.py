"""Submit plans: validate and store them."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import IdempotencyConflict, PlanRefused, Problem
from callsheet.domain.plan import Submission
from callsheet.domain.plan_validation import check_plan
from callsheet.engine.jobs.execution_rows import ExecutionRows, insert_executions
from callsheet.operation_api.contract import Operation

_MAX_JOBS_ON_LOOP = 20
"""Larger plans are validated in a thread, so that they do not block the event loop."""


@dataclass(frozen=True, slots=True)
class SubmittedPlan:
    """A stored execution."""

    execution_id: UUID
    is_duplicate: bool = False
    """The same submission was stored before, with the same idempotency key."""


async def submit(
    database: Database,
    submission: Submission,
    operations: Mapping[str, Operation],
    *,
    max_jobs: int,
    idempotency_key: str | None = None,
    other_problems: Sequence[Problem] = (),
    before_insert: Callable[[], Awaitable[object]] | None = None,
    reserved_for: UUID | None = None,
) -> SubmittedPlan:
    """Validate a plan and store it as an execution. This is the only place that validates plans.

    With an idempotency key, a repeated submission returns the first execution. `other_problems` are problems that the
    caller found outside the plan; they are reported together with those of the plan. `before_insert` runs after the
    validation and before anything is stored. `reserved_for` is the id of a registered worker: while it is alive, no
    other worker runs the jobs.

    Raises IdempotencyConflict for the same key with a different submission, and PlanRefused with all problems of an
    invalid plan; then nothing is stored.
    """
    if _blocks(submission, operations):
        rows = await asyncio.to_thread(_validated_rows, submission, operations, max_jobs, other_problems, reserved_for)
    else:
        rows = _validated_rows(submission, operations, max_jobs, other_problems, reserved_for)
    if before_insert is not None:
        await before_insert()
    if idempotency_key is None:
        # Not repeated after a lost response: without a key, the plan could be stored twice.
        async with database.connection() as connection:
            await insert_executions(connection, [rows])
        return SubmittedPlan(rows.execution_id)
    digest = hashlib.sha256(orjson.dumps(submission.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()
    return await database.retry(lambda c: _insert_once(c, rows, idempotency_key, digest), transaction=True)


async def submit_many(
    database: Database, submissions: Sequence[Submission], operations: Mapping[str, Operation], *, max_jobs: int
) -> list[UUID]:
    """Validate many plans and store them in one statement, all or none; for bulk loads. Returns the execution ids.

    Raises PlanRefused with all problems of the first invalid plan.
    """

    def validate() -> list[ExecutionRows]:
        return [_validated_rows(each, operations, max_jobs, ()) for each in submissions]

    rows = await asyncio.to_thread(validate)
    async with database.connection() as connection:
        await insert_executions(connection, rows)
    return [each.execution_id for each in rows]


def _blocks(submission: Submission, operations: Mapping[str, Operation]) -> bool:
    """Return whether the validation would block the event loop: a large plan, or validators that read files."""
    jobs = submission.execution_plan.jobs
    if len(jobs) > _MAX_JOBS_ON_LOOP:
        return True
    return any(job.operation in operations and operations[job.operation].blocking_validation for job in jobs)


async def _insert_once(connection: Connection, rows: ExecutionRows, key: str, digest: bytes) -> SubmittedPlan:
    if await sql.store_idempotency_key(connection, key=key, body_digest=digest, execution_id=rows.execution_id):
        await insert_executions(connection, [rows])
        return SubmittedPlan(rows.execution_id)
    first = await sql.find_idempotency_key(connection, key=key)
    if first["body_digest"] != digest:
        raise IdempotencyConflict()
    return SubmittedPlan(first["execution_id"], is_duplicate=True)


def _validated_rows(
    submission: Submission,
    operations: Mapping[str, Operation],
    max_jobs: int,
    other_problems: Sequence[Problem],
    reserved_for: UUID | None = None,
) -> ExecutionRows:
    try:
        checked = check_plan(submission.execution_plan, operations, max_jobs=max_jobs)
    except PlanRefused as refused:
        raise PlanRefused([*other_problems, *refused.problems]) from None
    if other_problems:
        raise PlanRefused([*other_problems])
    return ExecutionRows(submission, checked, operations, reserved_for)
