"""The rows of a submitted plan: its execution, jobs and edges."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.comparable_time import comparable_time
from callsheet.domain.ids import new_id
from callsheet.domain.plan import PlannedJob, Submission
from callsheet.domain.plan_validation import CheckedPlan
from callsheet.domain.queues import priority_of
from callsheet.domain.records import AcceptedJob
from callsheet.domain.statuses import JobStatus
from callsheet.engine.intake_messages import IntakeMessage
from callsheet.engine.jobs.changes import event_notifications
from callsheet.engine.jobs.cost_estimates import estimate_costs
from callsheet.engine.jobs.json_validation import validated_json
from callsheet.engine.jobs.owners import Owner, scoped_key
from callsheet.engine.jobs.plan_runs import PlanRun
from callsheet.engine.uploads import mark_uploads_used
from callsheet.files.object_keys import find_upload_keys
from callsheet.operation_api.contract import Operation
from callsheet.processes.plan_thread import in_plan_thread
from callsheet.tracing import current_traceparent

_JOB_COLUMNS = (
    "job_ids",
    "job_executions",
    "job_names",
    "operations",
    "queues",
    "priorities",
    "params",
    "pending_dependencies",
    "has_downstream",
    "continue_on_failure",
    "on_worker_lost",
    "timeouts",
    "max_attempts",
    "reserved_for",
    "start_ats",
)
"""The order of the values of a job."""
_AS_ARRAYS = {"job_ids", "job_executions"}
"""Columns that are sent as arrays. The others are sent as the text of an array, which is encoded in no time."""
_PARAMS = _JOB_COLUMNS.index("params")
_ROW_BYTES = 300
"""Approximate size of the row of a job without its params."""
_MAX_SIZE_ON_LOOP = 100_000
"""Bytes. The arguments of larger groups are made in a thread, so that they do not block the event loop."""


class ExecutionRows:
    """The rows of one execution, ready to insert. Raises PlanRefused for values that cannot be stored."""

    def __init__(
        self,
        submission: Submission,
        checked: CheckedPlan,
        operations: Mapping[str, Operation],
        *,
        idempotency_key: str | None = None,
        reserved_for: UUID | None = None,
        message: IntakeMessage | None = None,
        given: Submission | None = None,
        run: PlanRun | None = None,
        owner: Owner | None = None,
    ) -> None:
        """Make the rows.

        `given` is the submission before the values of its inputs were inserted; a repeated one is recognized by it.
        `run` names the stored plan that the submission was made from. `reserved_for` is the id of a worker: while it is
        alive, no other worker runs the jobs. `message` is the message that the plan was made from. `owner` is the API
        key that submits it.
        """
        plan = submission.execution_plan
        self.execution_id = new_id()
        self.idempotency_key = scoped_key(owner, idempotency_key)
        self.body_digest = None if idempotency_key is None else _digest(given or submission, run)
        self.api_key = None if owner is None else owner.api_key
        self.awaits_place = owner is not None and owner.awaits_place
        self.estimate = estimate_costs(plan, operations)
        self.traceparent = current_traceparent()
        self.reserved_for = reserved_for
        self.message = message
        self.submission = submission
        self.run = run
        self.run_inputs = None if run is None else validated_json(run.inputs, "inputs")
        self.metadata = validated_json(submission.metadata, "metadata")
        validated_json(plan.name, "name")
        validated_json(submission.callback_url, "callbackUrl")
        self.jobs: list[tuple[Any, ...]] = []
        self.upstream: list[int] = []
        """Of each edge, the position of the upstream job in `jobs`."""
        self.downstream: list[int] = []
        self.ready_queues: set[str] = set()
        self.uploads: set[str] = set()
        """Keys of the uploads that the plan names."""
        positions = {job.id: index for index, job in enumerate(plan.jobs)}
        with_downstream = {upstream for upstreams in checked.upstream.values() for upstream in upstreams}
        for index, job in enumerate(plan.jobs):
            upstream = checked.upstream[job.id]
            operation = operations[checked.operations[job.id]]
            self._add_job(
                index,
                job,
                operation,
                pending_dependencies=len(upstream),
                has_downstream=job.id in with_downstream,
            )
            self.upstream += [positions[name] for name in upstream]
            self.downstream += [index] * len(upstream)

    @property
    def size(self) -> int:
        """Approximate size of all rows in bytes."""
        claim = 0 if self.message is None else len(self.message.encoded_claim)
        run = 0 if self.run_inputs is None else len(self.run_inputs)
        return claim + run + len(self.metadata) + sum(_ROW_BYTES + len(job[_PARAMS]) for job in self.jobs)

    def accepted_jobs(self) -> list[AcceptedJob]:
        """Return the jobs as they are stored."""
        return [
            AcceptedJob(
                id=record_id,
                job_id=job_id,
                operation=operation,
                queue=queue,
                status=JobStatus.PENDING if pending else JobStatus.SCHEDULED if start_at else JobStatus.QUEUED,
            )
            for record_id, _, job_id, operation, queue, _, _, pending, *_, start_at in self.jobs
        ]

    def _add_job(
        self,
        index: int,
        job: PlannedJob,
        operation: Operation,
        *,
        pending_dependencies: int,
        has_downstream: bool,
    ) -> None:
        priorities = (job.priority, self.submission.priority, operation.priority, priority_of(operation.queue))
        params = validated_json(job.params, f"jobs[{index}].params")
        self.uploads |= find_upload_keys(params)
        self.jobs.append(
            (
                new_id(),
                self.execution_id,
                job.id,
                operation.name,
                operation.queue,
                next(p for p in priorities if p is not None),
                params,
                # A place is one more dependency of the jobs that would be ready.
                int(self.awaits_place) if pending_dependencies == 0 else pending_dependencies,
                has_downstream,
                job.continue_on_failure,
                operation.on_worker_lost,
                (job.timeout or operation.timeout).total_seconds(),
                operation.attempts if job.retries is None else job.retries + 1,
                self.reserved_for,
                self._start_of(job),
            )
        )
        if pending_dependencies == 0 and not self.awaits_place:
            self.ready_queues.add(operation.queue)

    def _start_of(self, job: PlannedJob) -> datetime | None:
        """Return the earliest start of a job; None: it is past."""
        times = [comparable_time(at) for at in (job.start_at, self.submission.start_at) if at is not None]
        latest = max(times, default=None)
        return latest if latest is not None and latest > shared_now() else None


async def insert_executions(connection: Connection, executions: Sequence[ExecutionRows]) -> set[UUID]:
    """Insert executions with their jobs and edges in one statement: all or none.

    Returns the ids of those that were not inserted, because their idempotency key is already used.
    """
    is_large = sum(each.size for each in executions) > _MAX_SIZE_ON_LOOP
    arguments = await in_plan_thread(insertion_arguments, executions) if is_large else insertion_arguments(executions)
    if uploads := {key for each in executions for key in each.uploads}:
        await mark_uploads_used(connection, uploads)
    rows = await sql.insert_executions(connection, **arguments)
    return {row["duplicate"] for row in rows if row["duplicate"] is not None}


def insertion_arguments(executions: Sequence[ExecutionRows]) -> dict[str, Any]:
    """Return the arguments of the statement that inserts executions. For large plans, call it in a thread."""
    jobs = list(zip(*(job for each in executions for job in each.jobs), strict=True))
    upstream: list[int] = []
    downstream: list[int] = []
    start = 1
    for each in executions:
        upstream += [start + position for position in each.upstream]
        downstream += [start + position for position in each.downstream]
        start += len(each.jobs)
    ids = [each.execution_id for each in executions]
    runs = [each for each in executions if each.run is not None]
    return {
        "ids": ids,
        "names": [each.submission.execution_plan.name for each in executions],
        "job_counts": [len(each.jobs) for each in executions],
        "callback_urls": [each.submission.callback_url for each in executions],
        "metadatas": [each.metadata for each in executions],
        "keys": [each.idempotency_key for each in executions],
        "body_digests": [each.body_digest for each in executions],
        "api_keys": [each.api_key for each in executions],
        "estimated_costs": [each.estimate.amount if each.estimate.is_paid else None for each in executions],
        "traceparents": [each.traceparent for each in executions],
        "awaiting_place": [each.awaits_place for each in executions],
        **{
            name: values if name in _AS_ARRAYS else _array_text(values)
            for name, values in zip(_JOB_COLUMNS, jobs, strict=True)
        },
        # Positions in `job_ids`.
        "upstream": _array_text(upstream),
        "downstream": _array_text(downstream),
        "ready_queues": list({queue for each in executions for queue in each.ready_queues}),
        "event_notifications": event_notifications(ids),
        "run_executions": [each.execution_id for each in runs],
        "run_plans": [each.run and each.run.plan_name for each in runs],
        "run_versions": [each.run and each.run.plan_version for each in runs],
        "run_inputs": [each.run_inputs for each in runs],
        "run_batches": [each.run and each.run.batch_id for each in runs],
        "run_positions": [each.run and each.run.position for each in runs],
    }


def _array_text(values: Iterable[str | float | UUID | datetime | None]) -> str:
    """Return the text of a PostgreSQL array."""
    return f"{{{','.join(map(_array_member, values))}}}"


def _array_member(value: str | float | UUID | datetime | None) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return "NULL" if value is None else str(value)


def _digest(submission: Submission, run: PlanRun | None) -> bytes:
    """Return a digest of what the client sent. A stored plan counts by its name: a new version is no new request."""
    left_out = {"execution_plan"} if run is not None else None
    sent = submission.model_dump(mode="json", exclude=left_out)
    if run is not None:
        sent["plan"] = run.requested
    return hashlib.sha256(orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)).digest()
