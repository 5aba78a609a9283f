"""Storing submitted plans."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import IdempotencyConflict
from callsheet.domain.ids import new_id
from callsheet.domain.plan import PlannedJob, Submission
from callsheet.domain.plan_validation import CheckedPlan, check_plan
from callsheet.domain.queues import priority_of
from callsheet.engine.jobs.complete import event_notification
from callsheet.engine.jobs.json_validation import validated_json
from callsheet.operation.contract import Operation


@dataclass(frozen=True, slots=True)
class SubmittedPlan:
    """An execution that is stored."""

    execution_id: UUID
    is_duplicate: bool = False
    """The same submission was stored before, under the same key."""


async def submit(
    database: Database,
    submission: Submission,
    operations: Mapping[str, Operation],
    *,
    max_jobs: int,
    idempotency_key: str | None = None,
) -> SubmittedPlan:
    """Check a plan and store it whole.

    With a key, sending the same submission again gives the first execution; the key with another submission raises
    IdempotencyConflict. Raises PlanRefused with every problem, and stores nothing then.
    """
    # In a thread: a plan may be large, and validators may read files.
    checked = await asyncio.to_thread(check_plan, submission.execution_plan, operations, max_jobs=max_jobs)
    rows = _Rows()
    execution_id = rows.add(submission, checked, operations)
    if idempotency_key is None:
        async with database.connection() as connection:
            await rows.insert(connection)
        return SubmittedPlan(execution_id)
    digest = hashlib.sha256(orjson.dumps(submission.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()
    return await database.retry(
        lambda c: _insert_once(c, rows, execution_id, idempotency_key, digest), transaction=True
    )


async def submit_many(
    database: Database, submissions: list[Submission], operations: Mapping[str, Operation], *, max_jobs: int
) -> list[UUID]:
    """Check many submissions and store them all in one statement, all or none."""
    rows = _Rows()
    ids = []
    for submission in submissions:
        checked = check_plan(submission.execution_plan, operations, max_jobs=max_jobs)
        ids.append(rows.add(submission, checked, operations))
    async with database.connection() as connection:
        await rows.insert(connection)
    return ids


async def _insert_once(
    connection: Connection, rows: "_Rows", execution_id: UUID, key: str, digest: bytes
) -> SubmittedPlan:
    if await sql.store_idempotency_key(connection, key=key, body_digest=digest, execution_id=execution_id):
        await rows.insert(connection)
        return SubmittedPlan(execution_id)
    first = await sql.find_idempotency_key(connection, key=key)
    if first["body_digest"] != digest:
        raise IdempotencyConflict()
    return SubmittedPlan(first["execution_id"], is_duplicate=True)


class _Rows:
    """The rows of executions to be stored, by column."""

    def __init__(self) -> None:
        self.executions: list[tuple[Any, ...]] = []
        self.jobs: list[tuple[Any, ...]] = []
        self.edges: list[tuple[UUID, UUID]] = []
        self.ready: set[str] = set()

    def add(self, submission: Submission, checked: CheckedPlan, operations: Mapping[str, Operation]) -> UUID:
        plan, execution_id = submission.execution_plan, new_id()
        metadata = validated_json(submission.metadata, "metadata")
        validated_json(plan.name, "name")
        validated_json(submission.callback_url, "callbackUrl")
        self.executions.append((execution_id, plan.name, len(plan.jobs), submission.callback_url, metadata))
        record_ids = {job.id: new_id() for job in plan.jobs}
        followed = {upstream for upstreams in checked.upstream.values() for upstream in upstreams}
        for index, job in enumerate(plan.jobs):
            upstream = checked.upstream[job.id]
            operation = operations[checked.operations[job.id]]
            self._add_job(
                record_ids[job.id],
                execution_id,
                job,
                operation,
                len(upstream),
                job.id in followed,
                submission,
                index,
            )
            self.edges += [(record_ids[name], record_ids[job.id]) for name in upstream]
        return execution_id

    def _add_job(
        self,
        record_id: UUID,
        execution_id: UUID,
        job: PlannedJob,
        operation: Operation,
        pending_dependencies: int,
        followed: bool,
        submission: Submission,
        index: int,
    ) -> None:
        priorities = (job.priority, submission.priority, operation.priority, priority_of(operation.queue))
        self.jobs.append(
            (
                record_id,
                execution_id,
                job.id,
                operation.name,
                operation.queue,
                next(p for p in priorities if p is not None),
                validated_json(job.params, f"jobs[{index}].params"),
                pending_dependencies,
                followed,
                job.continue_on_failure,
                operation.on_worker_lost,
                (job.timeout or operation.timeout).total_seconds(),
                operation.attempts if job.retries is None else job.retries + 1,
            )
        )
        if pending_dependencies == 0:
            self.ready.add(operation.queue)

    async def insert(self, connection: Connection) -> None:
        ids, names, counts, callbacks, metadatas = zip(*self.executions, strict=True)
        jobs = list(zip(*self.jobs, strict=True))
        await sql.insert_executions(
            connection,
            ids=ids,
            names=names,
            job_counts=counts,
            callback_urls=callbacks,
            metadatas=metadatas,
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
            upstream=[upstream for upstream, _ in self.edges],
            downstream=[downstream for _, downstream in self.edges],
            ready_queues=list(self.ready),
            event_wake=event_notification(ids),
        )
