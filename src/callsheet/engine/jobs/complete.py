"""Complete runs: record outcomes, artifacts, events and the effects on other jobs in one transaction."""

from typing import Any

import asyncpg
import orjson

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.domain.event_types import EventType
from callsheet.domain.json_storage import storable_text
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.artifact_rows import insert_artifacts
from callsheet.engine.jobs.changes import Changes
from callsheet.engine.jobs.child_jobs import insert_child_jobs
from callsheet.engine.jobs.downstream import release_or_skip_downstream, request_provider_cancel
from callsheet.engine.jobs.outcomes import Outcome, RunKey
from callsheet.engine.jobs.snooze import ApprovalWait, ProviderWait, SubmissionHold
from callsheet.engine.jobs.state_writes import write_state


async def complete(connection: Connection, outcomes: list[Outcome]) -> dict[RunKey, JobStatus]:
    """Record the outcomes of runs inside the caller's transaction.

    Returns the new status of each job. An outcome with an old epoch changes nothing, and its run is not in the result.
    A job with a cancel request becomes cancelled, whatever its outcome says. Raises StateConflict when the
    state of an operation cannot be written; the transaction must be rolled back then.
    """
    await sql.lock_executions(connection, ids=list({o.execution_id for o in outcomes}))
    rows = await sql.end_runs(
        connection,
        ids=[o.job for o in outcomes],
        epochs=[o.epoch for o in outcomes],
        statuses=[o.status for o in outcomes],
        results=[o.result for o in outcomes],
        errors=[o.error for o in outcomes],
        delays=[o.delay for o in outcomes],
        child_counts=[len(o.children) for o in outcomes],
    )
    by_run = {o.key: o for o in outcomes}
    changes = Changes()
    for row in rows:
        outcome = by_run[row["id"], row["epoch"]]
        changes.add_status(
            row, row["status"], _event_data(row, outcome), counts_as_failure=not row["continue_on_failure"]
        )
        changes.freed_queues.add(row["queue"])
        if row["status"] == "queued":
            changes.ready_queues.add(row["queue"])
    ended = [row for row in rows if row["status"] in ("succeeded", "failed", "cancelled")]
    await release_or_skip_downstream(connection, changes, ended)
    await _store_child_jobs(connection, changes, rows, by_run)
    await _store_provider_waits(connection, rows, by_run)
    await _store_holds(connection, rows, by_run)
    await _store_approvals(connection, changes, rows, by_run)
    await _store_artifacts(connection, rows, by_run)
    await _write_state(connection, rows, by_run)
    await request_provider_cancel(connection, changes, rows)
    await changes.record(connection)
    return {(row["id"], row["epoch"]): JobStatus(row["status"]) for row in rows}


def _event_data(row: asyncpg.Record, outcome: Outcome) -> dict[str, Any] | None:
    if row["status"] != outcome.status:
        return None
    data: dict[str, Any] = {}
    if outcome.error:
        data["error"] = {name: value for name, value in orjson.loads(outcome.error).items() if name != "traceback"}
    if outcome.status is JobStatus.SCHEDULED:
        data["delay"] = round(outcome.delay, 3)
    if outcome.reason:
        data["reason"] = outcome.reason
    if outcome.wait:
        data |= outcome.wait.facts
    return data or None


async def _store_provider_waits(
    connection: Connection, rows: list[asyncpg.Record], by_run: dict[RunKey, Outcome]
) -> None:
    waits = [
        (row, wait)
        for row in rows
        if row["status"] == "waiting" and isinstance(wait := by_run[row["id"], row["epoch"]].wait, ProviderWait)
    ]
    if not waits:
        return
    await sql.store_provider_waits(
        connection,
        ids=[row["id"] for row, _ in waits],
        epochs=[row["epoch"] for row, _ in waits],
        submissions=[wait.submission for _, wait in waits],
        statuses=[storable_text(wait.status.status) if wait.status else None for _, wait in waits],
        progress=[wait.status.progress if wait.status else None for _, wait in waits],
        polls=[int(wait.status is not None) for _, wait in waits],
        delays=[wait.delay for _, wait in waits],
        timeouts=[wait.timeout for _, wait in waits],
    )


async def _store_holds(connection: Connection, rows: list[asyncpg.Record], by_run: dict[RunKey, Outcome]) -> None:
    holds = [
        (row, wait)
        for row in rows
        if row["status"] == "waiting" and isinstance(wait := by_run[row["id"], row["epoch"]].wait, SubmissionHold)
    ]
    if holds:
        await sql.hold_jobs(
            connection,
            ids=[row["id"] for row, _ in holds],
            epochs=[row["epoch"] for row, _ in holds],
            providers=[wait.provider for _, wait in holds],
        )


async def _write_state(connection: Connection, rows: list[asyncpg.Record], by_run: dict[RunKey, Outcome]) -> None:
    succeeded = [by_run[row["id"], row["epoch"]] for row in rows if row["status"] == "succeeded"]
    await write_state(connection, [write for outcome in succeeded for write in outcome.state_writes])


async def _store_approvals(
    connection: Connection, changes: Changes, rows: list[asyncpg.Record], by_run: dict[RunKey, Outcome]
) -> None:
    waits = [
        (row, wait)
        for row in rows
        if row["status"] == "waiting" and isinstance(wait := by_run[row["id"], row["epoch"]].wait, ApprovalWait)
    ]
    if not waits:
        return
    await sql.store_approvals(
        connection,
        ids=[wait.id for _, wait in waits],
        jobs=[row["id"] for row, _ in waits],
        epochs=[row["epoch"] for row, _ in waits],
        titles=[wait.request.title for _, wait in waits],
        texts=[wait.request.text for _, wait in waits],
        previews=[f"{{{','.join(map(str, wait.request.previews))}}}" for _, wait in waits],
        deadlines=[wait.deadline for _, wait in waits],
        defaults=[wait.request.default for _, wait in waits],
        on_rejects=[wait.request.on_reject for _, wait in waits],
        reasons=[wait.wait_reason.model_dump_json() for _, wait in waits],
    )
    for row, wait in waits:
        changes.add_event(row, EventType.JOB_APPROVAL_REQUESTED, wait.request_data)


async def _store_child_jobs(
    connection: Connection, changes: Changes, rows: list[asyncpg.Record], by_run: dict[RunKey, Outcome]
) -> None:
    children = [
        (child, row) for row in rows if row["status"] == "pending" for child in by_run[row["id"], row["epoch"]].children
    ]
    if children:
        await insert_child_jobs(connection, children)
    for child, row in children:
        job = {"execution_id": row["execution_id"], "job_id": child.job_id, "queue": child.operation.queue}
        changes.add_queued(job, f"child job of {row['job_id']}")


async def _store_artifacts(connection: Connection, rows: list[asyncpg.Record], by_run: dict[RunKey, Outcome]) -> None:
    artifacts = [
        (artifact, row["execution_id"], row["id"])
        for row in rows
        if row["status"] == "succeeded"
        for artifact in by_run[row["id"], row["epoch"]].artifacts
    ]
    if not artifacts:
        return
    await insert_artifacts(connection, artifacts)
