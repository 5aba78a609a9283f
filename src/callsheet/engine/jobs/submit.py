"""Submit plans: validate and store them."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import IdempotencyConflict, PlanRefused, Problem
from callsheet.domain.plan import Submission
from callsheet.domain.plan_validation import check_plan
from callsheet.engine.jobs.execution_rows import ExecutionRows, insert_arguments, insert_executions
from callsheet.operation_api.contract import Operation

_MAX_SIZE_ON_LOOP = 10_000
"""Bytes, roughly. Larger plans are validated in a thread, so that they do not block the event loop."""


@dataclass(frozen=True, slots=True)
class SubmittedPlan:
    """A stored execution."""

    execution_id: UUID
    is_duplicate: bool = False
    """The same submission was stored before, with the same idempotency key."""


@dataclass(frozen=True, slots=True)
class _PreparedPlan:
    """A valid plan, ready to store."""

    execution_id: UUID
    arguments: dict[str, Any]
    digest: bytes
    """Digest of the submission; empty if it has no idempotency key."""


async def submit(
    database: Database,
    submission: Submission,
    operations: Mapping[str, Operation],
    *,
    max_jobs: int,
    idempotency_key: str | None = None,
    other_problems: Sequence[Problem] = (),
    before_insert: Callable[[], Awaitable[object]] | None = None,
) -> SubmittedPlan:
    """Validate a plan and store it as an execution. This is the only place that validates plans.

    With an idempotency key, a repeated submission returns the first execution. `other_problems` are problems that the
    caller found outside the plan; they are reported together with those of the plan. `before_insert` runs after the
    validation and before anything is stored.

    Raises IdempotencyConflict for the same key with a different submission, and PlanRefused with all problems of an
    invalid plan; then nothing is stored.
    """

    def prepare() -> _PreparedPlan:
        rows = _validated_rows(submission, operations, max_jobs, other_problems)
        digest = _digest(submission) if idempotency_key is not None else b""
        return _PreparedPlan(rows.execution_id, insert_arguments([rows]), digest)

    prepared = await asyncio.to_thread(prepare) if _blocks(submission, operations) else prepare()
    if before_insert is not None:
        await before_insert()
    if idempotency_key is None:
        # Not repeated after a lost response: without a key, the plan could be stored twice.
        async with database.connection() as connection:
            await insert_executions(connection, prepared.arguments)
        return SubmittedPlan(prepared.execution_id)
    return await database.retry(lambda c: _insert_once(c, prepared, idempotency_key), transaction=True)


async def submit_many(
    database: Database, submissions: Sequence[Submission], operations: Mapping[str, Operation], *, max_jobs: int
) -> list[UUID]:
    """Validate many plans and store them in one statement, all or none; for bulk loads. Returns the execution ids.

    Raises PlanRefused with all problems of the first invalid plan.
    """

    def prepare() -> dict[str, Any]:
        return insert_arguments([_validated_rows(each, operations, max_jobs, ()) for each in submissions])

    arguments = await asyncio.to_thread(prepare)
    async with database.connection() as connection:
        await insert_executions(connection, arguments)
    return list(arguments["ids"])


def _blocks(submission: Submission, operations: Mapping[str, Operation]) -> bool:
    """Return whether the validation would block the event loop: a large plan, or validators that read files."""
    jobs = submission.execution_plan.jobs
    if _is_large([submission.metadata, *(job.params for job in jobs)]):
        return True
    return any(job.operation in operations and operations[job.operation].blocking_validation for job in jobs)


def _is_large(data: Any) -> bool:
    """Return whether data has more values, or longer texts, than are validated within a millisecond or so."""
    stack, size = [data], 0
    while stack and size <= _MAX_SIZE_ON_LOOP:
        value = stack.pop()
        size += 20 + (len(value) if isinstance(value, str) else 0)
        if isinstance(value, dict | list):
            size += len(value)
            stack.extend(value.values() if isinstance(value, dict) else value)
    return size > _MAX_SIZE_ON_LOOP


async def _insert_once(connection: Connection, plan: _PreparedPlan, key: str) -> SubmittedPlan:
    if await sql.store_idempotency_key(connection, key=key, body_digest=plan.digest, execution_id=plan.execution_id):
        await insert_executions(connection, plan.arguments)
        return SubmittedPlan(plan.execution_id)
    first = await sql.find_idempotency_key(connection, key=key)
    if first["body_digest"] != plan.digest:
        raise IdempotencyConflict()
    return SubmittedPlan(first["execution_id"], is_duplicate=True)


def _digest(submission: Submission) -> bytes:
    return hashlib.sha256(orjson.dumps(submission.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()


def _validated_rows(
    submission: Submission, operations: Mapping[str, Operation], max_jobs: int, other_problems: Sequence[Problem]
) -> ExecutionRows:
    try:
        checked = check_plan(submission.execution_plan, operations, max_jobs=max_jobs)
    except PlanRefused as refused:
        raise PlanRefused([*other_problems, *refused.problems], count=len(other_problems) + refused.count) from None
    if other_problems:
        raise PlanRefused([*other_problems])
    return ExecutionRows(submission, checked, operations)
