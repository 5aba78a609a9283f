"""One queue of BullMQ: takes jobs with its own tokens, keeps their locks, and moves them to their end.

The scripts of the package `bullmq` do all changes; they are the same Lua as in Node. Its worker loop is not used: a
token that is stored with the message lets any process continue after a restart, without a redelivery.
"""

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from bullmq import Job, Worker
from bullmq.custom_errors import UnrecoverableError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from callsheet.intake.contract import SourceUnavailable
from callsheet.intake.redis_connection import UNAVAILABLE

_DRAIN_DELAY = 1
"""Seconds of one wait for a job. Version 4 of BullMQ does not wake waiting workers."""
_MAX_STALLED = 1_000_000
"""Restarts of an intake count as stalls in BullMQ. They must not fail a job."""
_MIN_STALLED_INTERVAL = 1.0
_GONE = ("Missing key", "is not in the")
"""Beginnings of the errors of a job that was removed, or has ended already."""
_JSON_FIELDS = (("data", "null", object), ("opts", "{}", dict), ("progress", "0", object), ("stacktrace", "[]", list))
"""JSON fields of a job, with a default and the type of their values."""
_NUMBERS = ("delay", "priority", "timestamp", "finishedOn", "processedOn", "ats", "atm", "attemptsMade", "stc")
_NO_LOCK = "Missing lock"
_OTHER_LOCK = "Lock mismatch"


class LockLost(Exception):
    """Another worker has the job now."""


class BullQueue:
    """A queue. Every method raises SourceUnavailable while Redis does not respond."""

    def __init__(self, name: str, *, prefix: str, lock_duration: float, connection: Mapping[str, Any]) -> None:
        """Open a queue. `lock_duration` is in seconds. `connection` has the options of a Redis client."""
        self.name = name
        self._lock_ms = int(lock_duration * 1000)
        self._prefix = f"{prefix}:{name}:"
        encoded = base64.b64encode(name.encode()).decode()
        self._client = Redis(
            **connection,
            decode_responses=True,
            # Failed calls are repeated by the runner, which also logs them.
            retry=Retry(NoBackoff(), 0),
            # The form that `getWorkers` and Bull Board look for.
            client_name=f"{prefix}:{encoded}:w:callsheet",
        )
        self._worker = Worker(
            name,
            None,  # no loop: jobs are taken by `take`
            {
                "connection": self._client,
                "prefix": prefix,
                "lockDuration": self._lock_ms,
                "drainDelay": _DRAIN_DELAY,
                "autorun": False,
                "skipVersionCheck": True,
                "settings": {"backoffStrategy": _default_backoff},
            },
        )
        self._worker._client_name_set = True

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def take(self) -> Job | None:
        """Take the next job with a token of its own (`Job.token`). Waits up to a second; then returns None."""
        token = uuid4().hex
        worker = self._worker
        async with _available():
            data, job_id, _, delay_until = await worker.backend.moveToActive(token, worker.opts)
            if data and job_id is not None:
                return await worker.nextJobFromJobData(_readable(data), str(job_id), 0, 0, token)
            worker.blockUntil = max(int(delay_until or 0), 0)
            await worker.waitForJob()
            return None

    async def extend_locks(self, tokens: Mapping[str, str]) -> None:
        """Extend the locks of jobs, by job id. A lock that has expired is taken again if the job is still active."""
        if not tokens:
            return
        async with _available():
            lost = await self._worker.backend.extendLocks(list(tokens), list(tokens.values()), self._lock_ms)
            for job_id in lost or []:
                await self._lock_again(str(job_id), tokens[str(job_id)])

    async def _lock_again(self, job_id: str, token: str) -> bool:
        """Lock an active job that no worker has locked: its lock expired while Redis or this process was away."""
        if await self._client.lpos(f"{self._prefix}active", job_id) is None:
            return False
        locked = await self._client.set(f"{self._prefix}{job_id}:lock", token, px=self._lock_ms, nx=True)
        if locked:
            await self._client.srem(f"{self._prefix}stalled", job_id)
        return bool(locked)

    async def return_stalled_jobs(self) -> None:
        """Return the jobs of workers that were killed to the queue, once per interval."""
        interval = max(_MIN_STALLED_INTERVAL, min(30.0, self._lock_ms / 2000))
        async with _available():
            await self._worker.backend.moveStalledJobsToWait(_MAX_STALLED, int(interval * 1000))

    async def update_progress(self, job_id: str, progress: int) -> None:
        """Set the progress of a job, 0 to 100. Without an effect for a removed job."""
        async with _available():
            try:
                await self._worker.backend.updateProgress(job_id, progress)
            except TypeError as error:
                if not str(error).startswith(_GONE):
                    raise

    async def add_log(self, job_id: str, lines: Sequence[str]) -> None:
        """Add lines to the log of a job. Without an effect for a removed job."""
        async with _available():
            for line in lines:
                await self._worker.backend.addLog(job_id, line, 0)

    async def complete(self, job_id: str, token: str, result: Any) -> None:
        """Move a job to completed. Without an effect if it was removed or has ended."""
        await self._end(job_id, token, lambda job: job.moveToCompleted(result, token))

    async def fail(self, job_id: str, token: str, reason: str, stack: str, *, final: bool) -> None:
        """Move a job to failed, or back to the queue for its next attempt. `final` allows no further attempt."""

        async def fail(job: Job) -> None:
            # The package writes the traceback of the current exception, which has nothing to do with the job.
            job.stacktrace = _stack_traces(job, stack)
            job.updateStacktrace = lambda: None
            await job.moveToFailed(UnrecoverableError(reason) if final else RuntimeError(reason), token)

        await self._end(job_id, token, fail)

    async def _end(self, job_id: str, token: str, move: Any) -> None:
        async with _available():
            job = await self._job(job_id)
            if job is None:
                return
            try:
                await move(job)
            except TypeError as error:
                text = str(error)
                if _NO_LOCK in text and await self._lock_again(job_id, token):
                    await move(await self._job(job_id))
                elif text.startswith(_GONE) or any(part in text for part in (*_GONE, _NO_LOCK)):
                    return
                elif _OTHER_LOCK in text:
                    raise LockLost(text) from None
                else:
                    raise

    async def _job(self, job_id: str) -> Job | None:
        data = await self._worker.backend.getJobData(job_id)
        return Job.fromJSON(self._worker, _readable(data), job_id) if data else None

    async def backlog(self) -> int:
        """Return the number of jobs that wait."""
        async with _available():
            pipeline = self._client.pipeline(transaction=False)
            pipeline.llen(f"{self._prefix}wait")
            pipeline.zcard(f"{self._prefix}prioritized")
            pipeline.llen(f"{self._prefix}paused")
            return sum(await pipeline.execute())


@asynccontextmanager
async def _available() -> AsyncIterator[None]:
    try:
        yield
    except UNAVAILABLE as error:
        raise SourceUnavailable(f"Redis: {type(error).__name__}: {error}") from error


def _readable(data: dict[str, str]) -> dict[str, str]:
    """Return the fields of a job without those that cannot be parsed, so that the job can be rejected."""
    checked = dict(data)
    for name, default, kind in _JSON_FIELDS:
        try:
            readable = isinstance(json.loads(checked.get(name, default)), kind)
        except (ValueError, RecursionError):
            readable = False
        if not readable:
            checked[name] = default
    for name in _NUMBERS:
        if not checked.get(name, "0").isdecimal():
            del checked[name]
    return checked


def _stack_traces(job: Job, newest: str) -> list[str]:
    limit = job.opts.get("stackTraceLimit")
    traces = [*job.stacktrace, newest]
    return traces if not isinstance(limit, int) else traces[len(traces) - limit :] if limit > 0 else []


def _default_backoff(attempts_made: int, _kind: str, _error: Any, _job: Any) -> int:
    """Milliseconds, for a backoff whose type only the product's own Node worker knows."""
    return int(min(60_000, 1000 * 2 ** (attempts_made - 1)))
