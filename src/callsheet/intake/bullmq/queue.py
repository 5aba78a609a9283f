"""One queue of BullMQ: takes jobs with its own tokens, keeps their locks, and moves them to their end.

The scripts of the package `bullmq` do all changes; they are the same Lua as in Node. Its worker loop is not used: a
token that is stored with the message lets any process continue after a restart, without a redelivery.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

from bullmq import Job, Worker
from bullmq.custom_errors import UnrecoverableError
from bullmq.redis_connection import loadScript
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from callsheet.intake.contract import SourceUnavailable
from callsheet.intake.pipelined_redis import PipelinedRedis
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
_END_FIELDS = ("name", "opts", "attemptsMade", "atm", "stacktrace")
"""Fields of a job that its end depends on. Its data, which can be large, does not belong to them."""
_NUMBERS = ("delay", "priority", "timestamp", "finishedOn", "processedOn", "ats", "atm", "attemptsMade", "stc")
_NO_LOCK = "Missing lock"
_OTHER_LOCK = "Lock mismatch"


class LockLost(Exception):
    """Another worker has the job now."""


class BullQueue:
    """A queue. Every method raises SourceUnavailable while Redis does not respond.

    Concurrent calls share round trips: the scripts of many jobs are sent together.
    """

    def __init__(self, name: str, *, prefix: str, lock_duration: float, connection: Mapping[str, Any]) -> None:
        """Open a queue. `lock_duration` is in seconds. `connection` has the options of a Redis client."""
        self.name = name
        self._lock_ms = int(lock_duration * 1000)
        self._prefix = f"{prefix}:{name}:"
        encoded = base64.b64encode(name.encode()).decode()
        self._client = PipelinedRedis(
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
        self._end_fields: dict[str, dict[str, str]] = {}
        """What the end of each taken job depends on. It does not change until then, so it is not read again."""
        # The package's own `addLog` writes the log of a removed job, too.
        self._add_log = self._client.register_script(loadScript("addLog-2.lua"))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def take(self, limit: int) -> list[Job]:
        """Take the next jobs without waiting, each with a token of its own (`Job.token`)."""
        worker = self._worker
        tokens = [uuid4().hex for _ in range(limit)]
        async with _available():
            replies = await asyncio.gather(*(worker.backend.moveToActive(token, worker.opts) for token in tokens))
            jobs = [
                await self._taken_job(data, str(job_id), token)
                for token, (data, job_id, _, _) in zip(tokens, replies, strict=True)
                if data and job_id is not None
            ]
        # Of the last one: when the first delayed job is due.
        worker.blockUntil = max(int(replies[-1][3] or 0), 0)
        return jobs

    async def _taken_job(self, data: dict[str, str], job_id: str, token: str) -> Job:
        job: Job = await self._worker.nextJobFromJobData(_readable(data), job_id, 0, 0, token)
        self._end_fields[job_id] = {name: data[name] for name in _END_FIELDS if name in data}
        return job

    def forget_all_but(self, job_ids: Collection[str]) -> None:
        """Forget the jobs that this process has taken and no longer has."""
        for job_id in self._end_fields.keys() - job_ids:
            del self._end_fields[job_id]

    async def wait(self) -> None:
        """Wait until there may be jobs to take, up to a second."""
        async with _available():
            await self._worker.waitForJob()

    async def give_back(self, job_id: str, token: str) -> None:
        """Return a job that was taken and not started. Without an effect if it is gone, or another worker has it."""

        async def delay(job: Job) -> None:
            await job.moveToDelayed(int(time.time() * 1000), token)

        with suppress(LockLost):
            await self._end(job_id, token, delay)

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
            keys = [f"{self._prefix}{job_id}", f"{self._prefix}{job_id}:logs"]
            await asyncio.gather(*(self._add_log(keys=keys, args=[job_id, line, ""]) for line in lines))

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
            try:
                await move(await self._job(job_id))
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

    async def _job(self, job_id: str) -> Job:
        data = self._end_fields.pop(job_id, None)
        if data is None:
            values: list[Any] = await self._client.hmget(f"{self._prefix}{job_id}", _END_FIELDS)
            data = {name: value for name, value in zip(_END_FIELDS, values, strict=True) if value is not None}
        return Job.fromJSON(self._worker, _readable(data), job_id)

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
        if name in data and not _is_json(data[name], kind):
            checked[name] = default
    for name in _NUMBERS:
        if not checked.get(name, "0").isdecimal():
            del checked[name]
    return checked


def _is_json(text: str, kind: type) -> bool:
    try:
        return isinstance(json.loads(text), kind)
    except (ValueError, RecursionError):
        return False


def _stack_traces(job: Job, newest: str) -> list[str]:
    limit = job.opts.get("stackTraceLimit")
    traces = [*job.stacktrace, newest]
    return traces if not isinstance(limit, int) else traces[len(traces) - limit :] if limit > 0 else []


def _default_backoff(attempts_made: int, _kind: str, _error: Any, _job: Any) -> int:
    """Milliseconds, for a backoff whose type only the product's own Node worker knows."""
    return int(min(60_000, 1000 * 2 ** (attempts_made - 1)))
