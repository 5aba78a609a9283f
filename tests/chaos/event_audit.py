"""The events of every execution: numbered without gaps, one end for each job and execution, no overlapping runs."""

from itertools import groupby, pairwise

import asyncpg

_JOB_ENDS = {"job.succeeded", "job.failed", "job.cancelled", "job.skipped"}
_EXECUTION_ENDS = {"execution.succeeded", "execution.failed", "execution.cancelled"}
_RUN_ENDS = {"job.queued", "job.scheduled", "job.waiting", "job.pending", *_JOB_ENDS}


async def event_faults(connection: asyncpg.Connection) -> list[str]:
    """Return what is wrong in the stored events."""
    events = await connection.fetch(
        "SELECT execution_id::text, number, job_id, type FROM events ORDER BY execution_id, number"
    )
    last = dict(await connection.fetch("SELECT id::text, last_event FROM executions"))
    final = {
        (row["execution_id"], row["job_id"]): row["status"]
        for row in await connection.fetch("""
            SELECT execution_id::text, job_id, status FROM execution_jobs WHERE finished_at IS NOT NULL
            UNION ALL SELECT id::text, NULL, status FROM executions WHERE finished_at IS NOT NULL""")
    }
    faults = []
    for execution_id, group in groupby(events, key=lambda event: event["execution_id"]):
        own = list(group)
        if [event["number"] for event in own] != list(range(1, last[execution_id] + 1)):
            faults.append(f"{execution_id}: the numbers have gaps")
        for job_id in {event["job_id"] for event in own}:
            # A log event may follow an end: a frozen worker reports that its run was discarded.
            types = [event["type"] for event in own if event["job_id"] == job_id and event["type"] != "job.log"]
            status = final.get((execution_id, job_id))
            found = _job_faults(types, status) if job_id else _execution_faults(types, status)
            faults += [f"{execution_id} {job_id or ''}: {fault}" for fault in found]
    return faults


def _job_faults(types: list[str], status: str | None) -> list[str]:
    """Check the events of one job. A retry by the client starts a new life after an end, with `queued` or `pending`."""
    faults = []
    is_running, has_ended = False, False
    for kind in types:
        if has_ended and kind not in ("job.queued", "job.pending"):
            faults.append(f"{kind} after its end")
        if kind == "job.running" and is_running:
            faults.append("started while it ran")
        is_running = kind == "job.running" or (is_running and kind not in _RUN_ENDS)
        has_ended = kind in _JOB_ENDS
    if status is not None and (not types or not has_ended or types[-1] != f"job.{status}"):
        faults.append(f"its status is {status}, and its last event {types[-1] if types else 'missing'}")
    return faults


def _execution_faults(types: list[str], status: str | None) -> list[str]:
    faults = []
    ends = [kind for kind in types if kind in _EXECUTION_ENDS]
    starts = [kind for kind in types if kind == "execution.running"]
    if types[0] != "execution.queued":
        faults.append(f"its first event is {types[0]}")
    for before, after in pairwise(types):
        if before in _EXECUTION_ENDS and after != "execution.running":
            faults.append(f"{after} after {before}")
    if status is not None and (not ends or types[-1] != f"execution.{status}"):
        faults.append(f"its status is {status}, and its last event {types[-1]}")
    if len(ends) > len(starts) + 1:
        faults.append(f"{len(ends)} ends, {len(starts)} starts")
    return faults
