"""Decide approvals: by a person, or by their default at the deadline. A decision ends the job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.approval_terms import Channel
from callsheet.domain.approvals import ApprovalDecision, ApprovalStatus
from callsheet.domain.errors import (
    ApprovalExpired,
    ApprovalRejected,
    InternalError,
    InvalidState,
    JobError,
    NotFound,
)
from callsheet.domain.event_types import EventType
from callsheet.domain.events import JobApprovalDecidedData, JobFailedData
from callsheet.domain.ids import new_id
from callsheet.domain.json_storage import storable_text
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.changes import Changes
from callsheet.engine.jobs.downstream import release_or_skip_downstream
from callsheet.engine.jobs.failures import error_json

_BATCH_SIZE = 100
"""Approvals that one transaction ends at their deadline."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The yes or no of a person."""

    approved: bool
    by: str
    """Name of the person."""
    comment: str | None
    how: Channel


async def decide_approval(database: Database, approval_id: UUID, decision: Decision) -> None:
    """Store a decision, and end the job. The first decision counts.

    Raises NotFound, and InvalidState if the approval is decided, withdrawn, or past its deadline.
    """
    request = new_id()

    async def decide(connection: Connection) -> None:
        execution_id = await sql.approval_execution(connection, id=approval_id)
        if execution_id is None:
            raise NotFound(f"There is no approval {approval_id}.")
        await sql.lock_executions(connection, ids=[execution_id])
        rows = await sql.decide_approval(
            connection,
            id=approval_id,
            outcome=ApprovalStatus.APPROVED if decision.approved else ApprovalStatus.REJECTED,
            by=storable_text(decision.by),
            comment=storable_text(decision.comment) if decision.comment else None,
            how=decision.how,
            request=request,
        )
        if rows:
            await _end_jobs(connection, rows)
            return
        found = await sql.get_approval(connection, id=approval_id)
        # The same request: an earlier try was committed, and only its response was lost.
        if found["request"] != request:
            raise InvalidState(_why_not(found))

    await database.retry(decide, transaction=True)


async def expire_approvals(database: Database) -> int:
    """Decide the approvals whose deadline has passed, by their default. Return their number.

    Any number of processes may do this concurrently.
    """
    total = 0
    while due := await database.retry(lambda c: sql.due_approvals(c, limit=_BATCH_SIZE), timeout=5):
        ids, executions = [row["id"] for row in due], list({row["execution_id"] for row in due})
        ended = await database.retry(
            lambda c, ids=ids, executions=executions: _expire(c, ids, executions),  # type: ignore[misc]
            timeout=5,
            transaction=True,
        )
        total += ended
        if ended < len(due):
            break
    return total


async def _expire(connection: Connection, ids: list[UUID], executions: list[UUID]) -> int:
    await sql.lock_executions(connection, ids=executions)
    rows = await sql.expire_approvals(connection, ids=ids)
    await _end_jobs(connection, [row for row in rows if row["outcome"] != ApprovalStatus.WITHDRAWN])
    return len(rows)


async def _end_jobs(connection: Connection, decided: Sequence[Any]) -> None:
    if not decided:
        return
    ends = {row["job"]: _end(row) for row in decided}
    rows = await sql.end_waiting_jobs(
        connection,
        ids=list(ends),
        epochs=[row["epoch"] for row in decided],
        statuses=[end.status for end in ends.values()],
        results=[end.result for end in ends.values()],
        errors=[end.error for end in ends.values()],
    )
    if len(rows) != len(decided):
        raise InternalError("A job changed while its approval was being decided, although its execution is locked.")
    changes = Changes()
    by_job = {row["job"]: row for row in decided}
    for row in rows:
        changes.add_event(row, EventType.JOB_APPROVAL_DECIDED, _event_data(by_job[row["id"]]))
        error = ends[row["id"]].error
        changes.add_status(
            row,
            row["status"],
            JobFailedData(error=orjson.loads(error)) if error else None,
            counts_as_failure=not row["continue_on_failure"],
        )
    await release_or_skip_downstream(connection, changes, rows)
    await changes.record(connection)


@dataclass(frozen=True, slots=True)
class _End:
    status: JobStatus
    result: str | None = None
    error: str | None = None


def _end(row: Any) -> _End:
    """Return how a decision ends its job."""
    error = _error(row)
    if error is not None:
        return _End(JobStatus.FAILED, error=error_json(error, attempt=row["attempts"] + 1))
    result = ApprovalDecision(
        approved=row["outcome"] == ApprovalStatus.APPROVED,
        by=row["decided_by"],
        comment=row["comment"],
        decided_at=row["decided_at"],
        how=row["how"],
    )
    return _End(JobStatus.SUCCEEDED, result=result.model_dump_json(by_alias=True))


def _event_data(row: Any) -> JobApprovalDecidedData:
    data = JobApprovalDecidedData(approval=str(row["id"]), outcome=row["outcome"], how=row["how"])
    if row["decided_by"]:
        data["by"] = row["decided_by"]
    if row["comment"]:
        data["comment"] = row["comment"]
    return data


def _error(row: Any) -> JobError | None:
    facts = {"approval": str(row["id"])}
    if row["outcome"] == ApprovalStatus.EXPIRED:
        return ApprovalExpired(f"No person decided “{row['title']}” before its deadline.", **facts)
    if row["outcome"] != ApprovalStatus.REJECTED or row["on_reject"] == "continue":
        return None
    by = f"{row['decided_by']} rejected" if row["decided_by"] else "The default at the deadline rejected"
    comment = f": {row['comment']}" if row["comment"] else "."
    return ApprovalRejected(f"{by} “{row['title']}”{comment}", **facts)


def _why_not(row: Any) -> str:
    match row["status"]:
        case ApprovalStatus.OPEN:
            return "The deadline of the approval has passed; it can no longer be decided."
        case ApprovalStatus.WITHDRAWN:
            return "The approval was withdrawn: its job no longer waits for it."
        case ApprovalStatus.EXPIRED:
            return "The approval has expired: no person decided before its deadline."
    by = row["by"] or "its default at the deadline"
    return f"The approval is already decided: {row['status']} by {by}."
