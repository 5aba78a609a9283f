"""Recording how runs ended: the result, its files, its events and what follows, in one transaction."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from callsheet.db.database import FOREVER, Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.json_storage import storable_text
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.child_jobs import insert_child_jobs
from callsheet.engine.jobs.outcomes import Outcome, RunKey

_MOST_IDS_IN_A_WAKE = 150
_MOST_AT_ONCE = 500
_WRITERS = 2


@dataclass(slots=True)
class Changes:
    """What one transaction did to jobs, gathered for the events and the wake-ups."""

    events: list[tuple[UUID, str | None, str, str | None, int, int, int]] = field(default_factory=list)
    ready_queues: set[str] = field(default_factory=set)
    freed_queues: set[str] = field(default_factory=set)

    def add_status(
        self,
        row: Mapping[str, Any],
        status: str,
        data: dict[str, Any] | None = None,
        *,
        counts_as_failure: bool = True,
    ) -> None:
        """Add the event of a job that came into this status."""
        ended = status in ("succeeded", "failed", "cancelled", "skipped")
        self.events.append(
            (
                row["execution_id"],
                row["job_id"],
                f"job.{status}",
                orjson.dumps(data).decode() if data else None,
                int(ended),
                int(status == "failed" and counts_as_failure),
                int(status == "cancelled"),
            )
        )

    def add_event(self, row: Mapping[str, Any], kind: str, data: dict[str, Any]) -> None:
        """Add an event of a job that stays in its status."""
        self.events.append((row["execution_id"], row["job_id"], kind, orjson.dumps(data).decode(), 0, 0, 0))

    def add_execution_status(self, execution_id: UUID, status: str, data: dict[str, Any]) -> None:
        """Add the event of an execution that came into this status."""
        self.events.append((execution_id, None, f"execution.{status}", orjson.dumps(data).decode(), 0, 0, 0))

    def add_ready_queue(self, row: Mapping[str, Any], reason: str | None = None) -> None:
        """Add the event of a job that came into its queue."""
        self.add_status(row, "queued", {"reason": reason} if reason else None)
        self.ready_queues.add(row["queue"])

    async def record(self, connection: Connection) -> None:
        """Store the events, end executions that have nothing left to do, wake whom it concerns."""
        if not self.events:
            return
        columns = list(zip(*self.events, strict=True))
        await sql.record_events(
            connection,
            execution_ids=columns[0],
            job_ids=columns[1],
            types=columns[2],
            datas=columns[3],
            ended=columns[4],
            failed=columns[5],
            cancelled=columns[6],
            ready_queues=list(self.ready_queues),
            freed_queues=list(self.freed_queues),
            event_wake=event_notification(columns[0]),
        )


def event_notification(execution_ids: Iterable[UUID]) -> str:
    """Return the payload that wakes the watchers of these executions; `*` wakes them all."""
    ids = set(execution_ids)
    return "*" if len(ids) > _MOST_IDS_IN_A_WAKE else ",".join(map(str, ids))


async def release_or_skip_downstream(connection: Connection, changes: Changes, ended: list[asyncpg.Record]) -> None:
    """Release or skip what is downstream of jobs that just ended."""
    bearing = [row for row in ended if row["has_downstream"]]
    well = [row["id"] for row in bearing if _succeeded(row)]
    ill = [row["id"] for row in bearing if not _succeeded(row)]
    if well:
        for row in await sql.release_downstream(connection, upstream=well):
            if row["status"] == "queued":
                changes.add_ready_queue(row)
    if ill:
        for row in await sql.skip_downstream(connection, upstream=ill):
            changes.add_status(row, "skipped")


def _succeeded(row: asyncpg.Record) -> bool:
    return bool(row["status"] == "succeeded" or (row["status"] == "failed" and row["continue_on_failure"]))


async def complete(connection: Connection, outcomes: list[Outcome]) -> dict[RunKey, JobStatus]:
    """Record how these runs ended, inside the caller's transaction; returns those that were still ours.

    With the status that each job has now: one that was to be cancelled is cancelled, whatever its outcome says.
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
        firsts=[len(o.children) for o in outcomes],
    )
    given = {o.key: o for o in outcomes}
    changes = Changes()
    for row in rows:
        outcome = given[row["id"], row["epoch"]]
        changes.add_status(
            row, row["status"], _event_data(row, outcome), counts_as_failure=not row["continue_on_failure"]
        )
        changes.freed_queues.add(row["queue"])
        if row["status"] == "queued":
            changes.ready_queues.add(row["queue"])
    ended = [row for row in rows if row["status"] in ("succeeded", "failed", "cancelled")]
    await release_or_skip_downstream(connection, changes, ended)
    await _store_child_jobs(connection, changes, rows, given)
    await _store_provider_waits(connection, rows, given)
    await _store_artifacts(connection, rows, given)
    await request_provider_cancel(connection, changes, rows)
    await changes.record(connection)
    return {(row["id"], row["epoch"]): JobStatus(row["status"]) for row in rows}


def _event_data(row: asyncpg.Record, outcome: Outcome) -> dict[str, Any] | None:
    if row["status"] != outcome.status:
        return None
    data: dict[str, Any] = {}
    if outcome.error:
        data["error"] = orjson.loads(outcome.error)
    if outcome.status is JobStatus.SCHEDULED:
        data["delay"] = round(outcome.delay, 3)
    if outcome.reason:
        data["reason"] = outcome.reason
    if outcome.wait:
        data |= outcome.wait.facts
    return data or None


async def request_provider_cancel(connection: Connection, changes: Changes, rows: Iterable[Mapping[str, Any]]) -> None:
    """Have providers told to end what they do for those of these jobs that are cancelled.

    An order whose fate is unknown is told of: it may be worked on, and paid for.
    """
    cancelled = {row["id"]: row for row in rows if row["status"] == "cancelled"}
    if not cancelled:
        return
    for lost in await sql.request_provider_cancel(connection, jobs=list(cancelled)):
        changes.add_event(
            cancelled[lost["job"]], "job.log", unknown_submission_event(lost, "If it can be found, it is ended there.")
        )


def unknown_submission_event(submission: Mapping[str, Any], follows: str) -> dict[str, Any]:
    """Return what is told of an order whose fate is unknown, and what follows."""
    sent_at = submission["begun_at"].isoformat()
    return {
        "message": f"An order was sent to {submission['provider']} at {sent_at}, and whether it was taken is not "
        f"known: it may be worked on there, and be paid for. {follows}",
        "provider": submission["provider"],
        "model": submission["model"],
        "submission": str(submission["id"]),
        "sentAt": sent_at,
    }


async def _store_provider_waits(
    connection: Connection, rows: list[asyncpg.Record], given: dict[RunKey, Outcome]
) -> None:
    waits = [
        (row, wait)
        for row in rows
        if row["status"] == "waiting" and (wait := given[row["id"], row["epoch"]].wait) is not None
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
        looks=[int(wait.status is not None) for _, wait in waits],
        delays=[wait.delay for _, wait in waits],
        patience=[wait.timeout for _, wait in waits],
    )


async def _store_child_jobs(
    connection: Connection, changes: Changes, rows: list[asyncpg.Record], given: dict[RunKey, Outcome]
) -> None:
    wanted = [
        (first, row) for row in rows if row["status"] == "pending" for first in given[row["id"], row["epoch"]].children
    ]
    if wanted:
        await insert_child_jobs(connection, wanted)
    for first, row in wanted:
        job = {"execution_id": row["execution_id"], "job_id": first.job_id, "queue": first.operation.queue}
        changes.add_ready_queue(job, f"runs before {row['job_id']}")


async def _store_artifacts(connection: Connection, rows: list[asyncpg.Record], given: dict[RunKey, Outcome]) -> None:
    kept = [
        (artifact, row)
        for row in rows
        if row["status"] == "succeeded"
        for artifact in given[row["id"], row["epoch"]].artifacts
    ]
    if not kept:
        return
    await sql.insert_artifacts(
        connection,
        ids=[a.artifact_id for a, _ in kept],
        execution_ids=[row["execution_id"] for _, row in kept],
        jobs=[row["id"] for _, row in kept],
        names=[a.name for a, _ in kept],
        keys=[a.key for a, _ in kept],
        media_types=[a.media_type for a, _ in kept],
        sizes=[a.size for a, _ in kept],
        sha256s=[a.sha256 for a, _ in kept],
        probes=[a.probe.model_dump_json(by_alias=True) if a.probe else None for a, _ in kept],
    )


class Completer:
    """Writes outcomes as they come: at once when idle, together when many come while one batch is being written."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Outcome, asyncio.Future[JobStatus | None]]] = []
        self._arrived = asyncio.Event()

    async def end(self, outcome: Outcome) -> JobStatus | None:
        """Record the outcome; returns the status of the job then, None when it was no longer ours."""
        future: asyncio.Future[JobStatus | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((outcome, future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Write until cancelled. Two batches are on their way at once, so that one can gather while one commits."""
        try:
            async with asyncio.TaskGroup() as writers:
                for _ in range(_WRITERS):
                    writers.create_task(self._keep_writing())
        finally:
            for _, future in self._waiting:
                future.cancel()

    async def _keep_writing(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
            if not self._waiting:
                self._arrived.clear()
            if batch:
                await self._write(batch)

    async def _write(self, batch: list[tuple[Outcome, asyncio.Future[JobStatus | None]]]) -> None:
        outcomes = [outcome for outcome, _ in batch]
        try:
            recorded = await self._recorded(outcomes)
        except Exception as error:  # noqa: BLE001 - handed to those who wait for it
            if len(batch) > 1:
                # One outcome that the database refuses must not take the others with it.
                for one in batch:
                    await self._write([one])
                return
            _set_exception(batch[0][1], error)
            return
        for outcome, future in batch:
            if not future.done():
                future.set_result(recorded.get(outcome.key))

    async def _recorded(self, outcomes: list[Outcome]) -> dict[RunKey, JobStatus]:
        tries = 0

        async def write(connection: Connection) -> dict[RunKey, JobStatus]:
            nonlocal tries
            tries += 1
            done = await complete(connection, outcomes)
            lost = [o for o in outcomes if o.key not in done]
            if lost and tries > 1:
                rows = await sql.already_ended(connection, ids=[o.job for o in lost], epochs=[o.epoch for o in lost])
                done |= {(row["id"], row["epoch"]): JobStatus(row["status"]) for row in rows}
            return done

        return await self._database.retry(write, seconds=FOREVER, transaction=True)


def _set_exception(future: asyncio.Future[JobStatus | None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
