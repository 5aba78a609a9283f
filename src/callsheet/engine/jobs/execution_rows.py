"""The rows of a submitted plan: its execution, jobs and edges."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.ids import new_id
from callsheet.domain.plan import PlannedJob, Submission
from callsheet.domain.plan_validation import CheckedPlan
from callsheet.domain.queues import priority_of
from callsheet.domain.records import AcceptedJob
from callsheet.domain.statuses import JobStatus
from callsheet.engine.intake_messages import IntakeMessage
from callsheet.engine.jobs.changes import event_notifications
from callsheet.engine.jobs.json_validation import validated_json
from callsheet.engine.uploads import mark_uploads_used
from callsheet.files.object_keys import find_upload_keys
from callsheet.operation_api.contract import Operation
from callsheet.processes.plan_thread import in_plan_thread

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
    ) -> None:
        """Make the rows.

        `reserved_for` is the id of a worker: while it is alive, no other worker runs the jobs. `message` is the message
        that the plan was made from.
        """
        plan = submission.execution_plan
        self.execution_id = new_id()
        self.idempotency_key = idempotency_key
        self.body_digest = None if idempotency_key is None else _digest(submission)
        self.reserved_for = reserved_for
        self.message = message
        self.submission = submission
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
        return claim + len(self.metadata) + sum(_ROW_BYTES + len(job[_PARAMS]) for job in self.jobs)

    def accepted_jobs(self) -> list[AcceptedJob]:
        """Return the jobs as they are stored."""
        return [
            AcceptedJob(
                id=record_id,
                job_id=job_id,
                operation=operation,
                queue=queue,
                status=JobStatus.PENDING if pending else JobStatus.QUEUED,
            )
            for record_id, _, job_id, operation, queue, _, _, pending, *_ in self.jobs
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
                pending_dependencies,
                has_downstream,
                job.continue_on_failure,
                operation.on_worker_lost,
                (job.timeout or operation.timeout).total_seconds(),
                operation.attempts if job.retries is None else job.retries + 1,
                self.reserved_for,
            )
        )
        if pending_dependencies == 0:
            self.ready_queues.add(operation.queue)


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
    return {
        "ids": ids,
        "names": [each.submission.execution_plan.name for each in executions],
        "job_counts": [len(each.jobs) for each in executions],
        "callback_urls": [each.submission.callback_url for each in executions],
        "metadatas": [each.metadata for each in executions],
        "keys": [each.idempotency_key for each in executions],
        "body_digests": [each.body_digest for each in executions],
        **{
            name: values if name in _AS_ARRAYS else _array_text(values)
            for name, values in zip(_JOB_COLUMNS, jobs, strict=True)
        },
        # Positions in `job_ids`.
        "upstream": _array_text(upstream),
        "downstream": _array_text(downstream),
        "ready_queues": list({queue for each in executions for queue in each.ready_queues}),
        "event_notifications": event_notifications(ids),
    }


def _array_text(values: Iterable[str | float | UUID | None]) -> str:
    """Return the text of a PostgreSQL array."""
    return f"{{{','.join(map(_array_member, values))}}}"


def _array_member(value: str | float | UUID | None) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return "NULL" if value is None else str(value)


def _digest(submission: Submission) -> bytes:
    return hashlib.sha256(orjson.dumps(submission.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()
