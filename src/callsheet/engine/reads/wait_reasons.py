"""Read why jobs wait.

The reason is computed from what the workers and the queues have recorded about themselves, so that the claim does not
have to record it: two queries for any number of jobs.
"""

import asyncio
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.errors import ProviderRateLimited, ProviderUnreachable
from callsheet.domain.queues import COMFYUI_QUEUE
from callsheet.domain.statuses import JobStatus
from callsheet.domain.wait_reasons import WaitCode, WaitReason

_MAX_NAMES = 5
"""Names in a message; the rest is a number."""
_SNAPSHOT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker that claims jobs."""

    id: UUID
    lanes: Mapping[str, int]
    """Queue → slots, without closed lanes."""
    operations: frozenset[str]
    missing: Mapping[str, Mapping[str, str]]
    """Operation that it cannot run → need → reason."""
    running: Mapping[str, int]
    """Queue → running jobs."""
    only_reserved: bool
    """Whether it runs only jobs that are reserved for it."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The limits of a queue."""

    paused_at: datetime | None = None
    max_running: int | None = None
    running: int = 0
    rate_limit: int | None = None
    rate_period: float | None = None
    """Seconds."""
    next_start_at: datetime | None = None
    """When a reached rate limit admits another start."""


class Fleet:
    """The live workers and the limits of queues at one moment."""

    def __init__(self, workers: Iterable[LiveWorker], limits: Mapping[str, QueueLimits]) -> None:
        self._workers = list(workers)
        self._limits = limits
        self._known: dict[tuple[str, str, UUID | None], WaitReason] = {}

    def reason(self, queue: str, operation: str, reserved_for: UUID | None) -> WaitReason:
        """Return why a ready job waits. `reserved_for` is the only worker that runs the job while it is alive."""
        key = (queue, operation, reserved_for)
        if key not in self._known:
            self._known[key] = self._find(queue, operation, reserved_for)
        return self._known[key]

    def _find(self, queue: str, operation: str, reserved_for: UUID | None) -> WaitReason:
        workers = [worker for worker in self._workers if worker.id == reserved_for]
        if not workers:
            workers = [worker for worker in self._workers if not worker.only_reserved]
        serving = [worker for worker in workers if worker.lanes.get(queue, 0) > 0]
        able = [worker for worker in serving if operation in worker.operations]
        limits = self._limits.get(queue, QueueLimits())
        return (
            _paused(queue, limits)
            or _without_worker(queue, operation, workers, serving, able)
            or _limited(queue, limits)
            or _slots(queue, able)
        )


async def read_fleet(connection: Connection, queues: Iterable[str] | None) -> Fleet:
    """Return the live workers, and the limits of these queues; None: of all."""
    workers = [
        LiveWorker(
            id=row["id"],
            lanes={queue: slots for queue, slots in orjson.loads(row["lanes"]).items() if slots > 0},
            operations=frozenset(row["operations"]),
            missing=orjson.loads(row["missing"]),
            running=orjson.loads(row["running"]),
            only_reserved=row["only_reserved"],
        )
        for row in await sql.live_workers(connection)
    ]
    limits = {
        row["name"]: QueueLimits(
            row["paused_at"],
            row["max_running"],
            row["running"] or 0,
            row["rate_limit"],
            row["rate_period"],
            row["next_start_at"],
        )
        for row in await sql.queue_limits(connection, queues=list(set(queues)) if queues is not None else None)
    }
    return Fleet(workers, limits)


class FleetSnapshot:
    """The fleet as it was at most a second ago, for responses to many submissions. There is one for each database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._fleet = Fleet([], {})
        self._read_at = -math.inf
        self._reading = asyncio.Lock()

    async def read(self) -> Fleet | None:
        """Return the fleet; None if the database does not respond."""
        if self._is_fresh:
            return self._fleet
        async with self._reading:
            if not self._is_fresh:
                try:
                    self._fleet = await self._database.retry(lambda c: read_fleet(c, None), timeout=2)
                except TRANSIENT_ERRORS:
                    return None
                self._read_at = time.monotonic()
            return self._fleet

    @property
    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at <= _SNAPSHOT_SECONDS


async def read_fleet_of(connection: Connection, jobs: Iterable[Mapping[str, Any]]) -> Fleet:
    """Return what `wait_reason` needs to know about the fleet for these jobs, given as rows."""
    ready = {row["queue"] for row in jobs if row["status"] == JobStatus.QUEUED}
    return await read_fleet(connection, ready) if ready else Fleet([], {})


def wait_reason(row: Mapping[str, Any], fleet: Fleet, awaited: list[str]) -> WaitReason | None:
    """Return why a job waits; None if it runs without waiting, or has ended.

    `awaited` are its upstream jobs that have not ended, by plan ids.
    """
    match row["status"]:
        case JobStatus.PENDING if row["on_hold_at"]:
            return _on_hold(row)
        case JobStatus.PENDING:
            return _dependencies(row["job_id"], awaited)
        case JobStatus.SCHEDULED if row["start_at"] == row["scheduled_at"]:
            return _later(row)
        case JobStatus.SCHEDULED:
            return _backoff(row)
        case JobStatus.QUEUED:
            reason = fleet.reason(row["queue"], row["operation"], row["reserved_for"])
            return reason if reason.is_blocked else _suspected(row) or reason
        case JobStatus.WAITING if row["held_at"]:
            return _held(row)
        case JobStatus.WAITING if row["provider"] is None and row["wait_reason"]:
            return WaitReason.model_validate_json(row["wait_reason"])  # it waits for an approval
        case JobStatus.WAITING:
            return _provider(row)
        case JobStatus.RUNNING if row["wait_reason"]:
            return WaitReason.model_validate_json(row["wait_reason"])
    return None


def _dependencies(job_id: str, awaited: list[str]) -> WaitReason:
    if not awaited:
        message = "Its API key, or all keys together, have as many executions in progress as they may have."
        return WaitReason(code=WaitCode.KEY_LIMIT, message=message)
    children = [job for job in awaited if job.startswith(f"{job_id}/")]
    code = WaitCode.CHILD_JOBS if children else WaitCode.DEPENDENCIES
    kind = "child jobs" if children else "upstream jobs"
    return WaitReason(
        code=code,
        message=f"It waits for {kind}: {_names(awaited)}.",
        facts={"jobs": awaited[:_MAX_NAMES], "count": len(awaited)},
    )


def _on_hold(row: Mapping[str, Any]) -> WaitReason:
    return WaitReason(
        code=WaitCode.ON_HOLD,
        message=f"It has been on hold since {_time(row['on_hold_at'])}. "
        f"To release it: callsheet jobs release {row['execution_id']} --job {row['job_id']}",
        facts={"onHoldAt": row["on_hold_at"].isoformat()},
    )


def _later(row: Mapping[str, Any]) -> WaitReason:
    message = f"It is to start at {_time(row['start_at'])}."
    return WaitReason(code=WaitCode.START_TIME, message=message, until=row["start_at"])


def _backoff(row: Mapping[str, Any]) -> WaitReason:
    error = orjson.loads(row["error"]) if row["error"] else {}
    cause = f" after {error['code']}: {error['message']}" if error else ""
    is_provider = error.get("code") in (ProviderRateLimited.code, ProviderUnreachable.code)
    return WaitReason(
        code=WaitCode.PROVIDER_UNAVAILABLE if is_provider else WaitCode.RETRY_BACKOFF,
        message=f"It is tried again at {_time(row['scheduled_at'])}{cause}",
        until=row["scheduled_at"],
        facts={"errorCode": error.get("code"), "attempts": row["attempts"], "maxAttempts": row["max_attempts"]},
    )


def _provider(row: Mapping[str, Any]) -> WaitReason:
    status = f" ({row['provider_job_status']})" if row["provider_job_status"] else ""
    action = f"{row['provider']} works on its task{status}"
    if row["provider_job_id"] is None:
        action = f"The task of its submission to {row['provider']} is being searched for"
    message = f"{action}; the next poll is due at {_time(row['next_poll_at'])}."
    facts = {
        "provider": row["provider"],
        "providerJobId": row["provider_job_id"],
        "waitingStrategy": row["waiting_strategy"],
        "nextPollAt": row["next_poll_at"].isoformat() if row["next_poll_at"] else None,
    }
    return WaitReason(code=WaitCode.PROVIDER, message=message, facts=facts)


def _held(row: Mapping[str, Any]) -> WaitReason:
    return WaitReason(
        code=WaitCode.SUBMISSION_HELD,
        message=f"Its submission to {row['provider']} has been held since {_time(row['held_at'])}. To send it: "
        f"callsheet providers release {row['execution_id']}",
        facts={"provider": row["provider"], "heldAt": row["held_at"].isoformat()},
    )


def _suspected(row: Mapping[str, Any]) -> WaitReason | None:
    """Return the reason that the rescuer recorded, unless a run of a lost worker has turned out to continue."""
    if not row["wait_reason"]:
        return None
    reason = WaitReason.model_validate_json(row["wait_reason"])
    return reason if reason.code is WaitCode.CRASH_SUSPECT and row["starts"] >= reason.facts["starts"] else None


def _paused(queue: str, limits: QueueLimits) -> WaitReason | None:
    if limits.paused_at is None:
        return None
    return WaitReason(
        code=WaitCode.QUEUE_PAUSED,
        message=f"The queue '{queue}' has been paused since {_time(limits.paused_at)}. "
        f"To resume it: callsheet queues resume {queue}",
        facts={"queue": queue, "pausedAt": limits.paused_at.isoformat()},
    )


def _without_worker(
    queue: str, operation: str, workers: list[LiveWorker], serving: list[LiveWorker], able: list[LiveWorker]
) -> WaitReason | None:
    if able:
        return None
    facts: dict[str, Any] = {"queue": queue, "operation": operation, "workers": len(workers)}
    if not workers:
        return WaitReason(code=WaitCode.NO_WORKER, message="No worker is running.", facts=facts)
    if not serving:
        lanes = sorted({lane for worker in workers for lane in worker.lanes})
        return WaitReason(
            code=WaitCode.NO_LANE,
            message=f"No running worker has a lane for the queue '{queue}'. {_workers(workers)}, with lanes for "
            f"{', '.join(lanes) or 'no queue'}.",
            facts={**facts, "lanes": lanes},
        )
    facts["workers"] = len(serving)
    missing = {need: why for worker in serving for need, why in worker.missing.get(operation, {}).items()}
    if not missing:
        return WaitReason(
            code=WaitCode.UNKNOWN_OPERATION,
            message=f"No worker of the queue '{queue}' has the operation '{operation}'. {_workers(serving)}; start one "
            "with the package or the --import of this operation.",
            facts=facts,
        )
    return WaitReason(
        code=WaitCode.MISSING_REQUIREMENT,
        message=f"'{operation}' needs {', '.join(missing)}, which no worker of the queue '{queue}' has. "
        f"{'. '.join(missing.values())}.",
        facts={**facts, "requirements": list(missing)},
    )


def _limited(queue: str, limits: QueueLimits) -> WaitReason | None:
    if limits.max_running is not None and limits.running >= limits.max_running:
        return WaitReason(
            code=WaitCode.QUEUE_LIMIT,
            message=f"The queue '{queue}' is limited to {limits.max_running} running jobs over all workers; "
            f"{limits.running} run now.",
            facts={"queue": queue, "maxRunning": limits.max_running, "running": limits.running},
        )
    if limits.next_start_at is not None:
        return WaitReason(
            code=WaitCode.RATE_LIMIT,
            message=f"The queue '{queue}' is limited to {limits.rate_limit} starts in {limits.rate_period:g} s over "
            f"all workers; the next start is possible at {_time(limits.next_start_at)}.",
            until=limits.next_start_at,
            facts={"queue": queue, "rateLimit": limits.rate_limit, "ratePeriod": limits.rate_period},
        )
    return None


def _slots(queue: str, able: list[LiveWorker]) -> WaitReason:
    slots = sum(worker.lanes[queue] for worker in able)
    running = sum(worker.running.get(queue, 0) for worker in able)
    facts: dict[str, Any] = {"queue": queue, "workers": len(able), "slots": slots, "running": running}
    if queue == COMFYUI_QUEUE and 0 < running < slots:
        return WaitReason(
            code=WaitCode.NO_FREE_SLOT,
            message="The ComfyUI servers of the workers are busy, or do not respond.",
            facts=facts,
        )
    if all(worker.running.get(queue, 0) >= worker.lanes[queue] for worker in able):
        return WaitReason(
            code=WaitCode.NO_FREE_SLOT,
            message=f"All {slots} slots of the queue '{queue}' are in use. The next free slot takes the job with the "
            "highest priority, then the oldest one.",
            facts=facts,
        )
    return WaitReason(
        code=WaitCode.READY,
        message=f"A slot of the queue '{queue}' is free; a worker starts the job in a moment.",
        facts=facts,
    )


def _workers(workers: list[LiveWorker]) -> str:
    return "1 worker is running" if len(workers) == 1 else f"{len(workers)} workers are running"


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    return f"{shown} and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else shown


def _time(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at else "an unknown time"
