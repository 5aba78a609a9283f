"""The rows of a submitted plan: its execution, jobs and edges."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.ids import new_id
from callsheet.domain.plan import PlannedJob, Submission
from callsheet.domain.plan_validation import CheckedPlan
from callsheet.domain.queues import priority_of
from callsheet.engine.jobs.changes import event_notification
from callsheet.engine.jobs.json_validation import validated_json
from callsheet.engine.uploads import mark_uploads_used
from callsheet.files.object_keys import find_upload_keys
from callsheet.operation_api.contract import Operation


class ExecutionRows:
    """The rows of one execution, ready to insert. Raises PlanRefused for values that cannot be stored.

    `reserved_for` is the id of a worker. While it is alive, no other worker runs the jobs.
    """

    def __init__(
        self,
        submission: Submission,
        checked: CheckedPlan,
        operations: Mapping[str, Operation],
        reserved_for: UUID | None = None,
    ) -> None:
        plan = submission.execution_plan
        self.execution_id = new_id()
        self.submission = submission
        self.reserved_for = reserved_for
        self.metadata = validated_json(submission.metadata, "metadata")
        validated_json(plan.name, "name")
        validated_json(submission.callback_url, "callbackUrl")
        self.jobs: list[tuple[Any, ...]] = []
        self.edges: list[tuple[UUID, UUID]] = []
        self.ready_queues: set[str] = set()
        self.uploads: set[str] = set()
        """Keys of the uploads that the plan names."""
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
            self.edges += [(record_ids[name], record_ids[job.id]) for name in upstream]

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
        priorities = (job.priority, self.submission.priority, operation.priority, priority_of(operation.queue))
        params = validated_json(job.params, f"jobs[{index}].params")
        self.uploads |= find_upload_keys(params)
        self.jobs.append(
            (
                record_id,
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


async def insert_executions(connection: Connection, executions: Sequence[ExecutionRows]) -> None:
    """Insert executions with their jobs and edges in one statement: all or none.

    Before that, the expiry of the uploads that they name is postponed.
    """
    if uploads := {key for each in executions for key in each.uploads}:
        await mark_uploads_used(connection, uploads)
    jobs = list(zip(*(job for each in executions for job in each.jobs), strict=True))
    edges = [edge for each in executions for edge in each.edges]
    ids = [each.execution_id for each in executions]
    await sql.insert_executions(
        connection,
        ids=ids,
        names=[each.submission.execution_plan.name for each in executions],
        job_counts=[len(each.jobs) for each in executions],
        callback_urls=[each.submission.callback_url for each in executions],
        metadatas=[each.metadata for each in executions],
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
        reserved_for=jobs[13],
        upstream=[upstream for upstream, _ in edges],
        downstream=[downstream for _, downstream in edges],
        ready_queues=list({queue for each in executions for queue in each.ready_queues}),
        event_notification=event_notification(ids),
    )
