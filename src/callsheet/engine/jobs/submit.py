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
from callsheet.domain.ids import new_id
from callsheet.domain.plan import PlannedJob, Submission
from callsheet.domain.plan_validation import CheckedPlan, check_plan
from callsheet.domain.queues import priority_of
from callsheet.engine.jobs.changes import event_notification
from callsheet.engine.jobs.json_validation import validated_json
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
) -> SubmittedPlan:
    """Validate a plan and store it as an execution. This is the only place that validates plans.

    With an idempotency key, a repeated submission returns the first execution. `other_problems` are problems that the
    caller found outside the plan; they are reported together with those of the plan. `before_insert` runs after the
    validation and before anything is stored.

    Raises IdempotencyConflict for the same key with a different submission, and PlanRefused with all problems of an
    invalid plan; then nothing is stored.
    """
    if len(submission.execution_plan.jobs) > _MAX_JOBS_ON_LOOP:
        rows = await asyncio.to_thread(_validated_rows, submission, operations, max_jobs, other_problems)
    else:
        rows = _validated_rows(submission, operations, max_jobs, other_problems)
    if before_insert is not None:
        await before_insert()
    if idempotency_key is None:
        # Not repeated after a lost response: without a key, the plan could be stored twice.
        async with database.connection() as connection:
            await rows.insert(connection)
        return SubmittedPlan(rows.execution_id)
    digest = hashlib.sha256(orjson.dumps(submission.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()
    return await database.retry(lambda c: _insert_once(c, rows, idempotency_key, digest), transaction=True)


async def _insert_once(connection: Connection, rows: "_ExecutionRows", key: str, digest: bytes) -> SubmittedPlan:
    if await sql.store_idempotency_key(connection, key=key, body_digest=digest, execution_id=rows.execution_id):
        await rows.insert(connection)
        return SubmittedPlan(rows.execution_id)
    first = await sql.find_idempotency_key(connection, key=key)
    if first["body_digest"] != digest:
        raise IdempotencyConflict()
    return SubmittedPlan(first["execution_id"], is_duplicate=True)


def _validated_rows(
    submission: Submission, operations: Mapping[str, Operation], max_jobs: int, other_problems: Sequence[Problem]
) -> "_ExecutionRows":
    try:
        checked = check_plan(submission.execution_plan, operations, max_jobs=max_jobs)
    except PlanRefused as refused:
        raise PlanRefused([*other_problems, *refused.problems]) from None
    if other_problems:
        raise PlanRefused([*other_problems])
    return _ExecutionRows(submission, checked, operations)


class _ExecutionRows:
    """The rows of one execution, ready to insert. Raises PlanRefused for values that cannot be stored."""

    def __init__(self, submission: Submission, checked: CheckedPlan, operations: Mapping[str, Operation]) -> None:
        plan = submission.execution_plan
        self.execution_id = new_id()
        self._submission = submission
        self._metadata = validated_json(submission.metadata, "metadata")
        validated_json(plan.name, "name")
        validated_json(submission.callback_url, "callbackUrl")
        self._jobs: list[tuple[Any, ...]] = []
        self._edges: list[tuple[UUID, UUID]] = []
        self._ready_queues: set[str] = set()
        record_ids = {job.id: new_id() for job in plan.jobs}
        with_downstream = {upstream for upstreams in checked.upstream.values() for upstream in upstreams}
        for index, job in enumerate(plan.jobs):
            upstream = checked.upstream[job.id]
            operation = operations[checked.operations[job.id]]
            self._add_job(
                index,
                job,
                operation,
                record_id=record_ids[job.id],
                pending_dependencies=len(upstream),
                has_downstream=job.id in with_downstream,
            )
            self._edges += [(record_ids[name], record_ids[job.id]) for name in upstream]

    def _add_job(
        self,
        index: int,
        job: PlannedJob,
        operation: Operation,
        *,
        record_id: UUID,
        pending_dependencies: int,
        has_downstream: bool,
    ) -> None:
        priorities = (job.priority, self._submission.priority, operation.priority, priority_of(operation.queue))
        self._jobs.append(
            (
                record_id,
                self.execution_id,
                job.id,
                operation.name,
                operation.queue,
                next(p for p in priorities if p is not None),
                validated_json(job.params, f"jobs[{index}].params"),
                pending_dependencies,
                has_downstream,
                job.continue_on_failure,
                operation.on_worker_lost,
                (job.timeout or operation.timeout).total_seconds(),
                operation.attempts if job.retries is None else job.retries + 1,
            )
        )
        if pending_dependencies == 0:
            self._ready_queues.add(operation.queue)

    async def insert(self, connection: Connection) -> None:
        """Insert all rows in one statement."""
        jobs = list(zip(*self._jobs, strict=True))
        await sql.insert_executions(
            connection,
            ids=[self.execution_id],
            names=[self._submission.execution_plan.name],
            job_counts=[len(self._jobs)],
            callback_urls=[self._submission.callback_url],
            metadatas=[self._metadata],
            job_ids=jobs[0],
            job_executions=jobs[1],
            job_names=jobs[2],
            operations=jobs[3],
            queues=jobs[4],
            priorities=jobs[5],
            params=jobs[6],
            pending_dependencies=jobs[7],
            has_downstream=jobs[8],
            continue_on_failure=jobs[9],
            on_worker_lost=jobs[10],
            timeouts=jobs[11],
            max_attempts=jobs[12],
            upstream=[upstream for upstream, _ in self._edges],
            downstream=[downstream for _, downstream in self._edges],
            ready_queues=list(self._ready_queues),
            event_notification=event_notification([self.execution_id]),
        )
