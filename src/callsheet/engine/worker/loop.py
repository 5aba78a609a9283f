"""A worker: lanes that run jobs, and the loops that keep them honest."""

import asyncio
import contextlib
import os
import platform
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import structlog

from callsheet.db.database import TRANSIENT_ERRORS, Database
from callsheet.db.listener import Listener
from callsheet.db.statements import sql
from callsheet.domain.ids import new_id
from callsheet.engine.jobs.complete import Completer
from callsheet.engine.submissions.poller import Poller
from callsheet.engine.submissions.provider_cancellation import ProviderCanceller
from callsheet.engine.worker.cleaner import clean_up
from callsheet.engine.worker.context import WorkerServices
from callsheet.engine.worker.executor import Executor
from callsheet.engine.worker.heartbeat import Heartbeat
from callsheet.engine.worker.rescuer import Rescuer
from callsheet.engine.worker.scheduler import Scheduler
from callsheet.operation.catalog import Catalog
from callsheet.queue.claim import ClaimedJob, Claimer
from callsheet.queue.lanes import Lane
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_TIDY_INTERVAL = timedelta(hours=1)
_LAST_WORDS = 10.0
"""Seconds to hand jobs back in, once the grace period is over."""


class Worker:
    """Runs lanes until it is stopped.

    `catalog` holds only operations whose needs this machine meets.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        catalog: Catalog,
        tools: WorkerServices,
        lanes: dict[str, int],
        name: str | None = None,
        id: UUID | None = None,
        only: UUID | None = None,
    ) -> None:
        self.id: UUID = id or new_id()
        self.name = expand_name(name or settings.worker_name)
        self._settings = settings
        self._database = database
        self._catalog = catalog
        self._completer = Completer(database)
        self._reporter = tools.progress_writer
        self._cache = tools.cache
        self._runner = Executor(catalog, tools, self._completer)
        self._operations = [operation.name for operation in catalog.operations()]
        self._suspect_from = max(1, settings.crash_limit - 1)
        self._claimer = Claimer(
            database,
            self.id,
            self.name,
            self._operations,
            suspect_from=self._suspect_from,
            only=only,
        )
        self._lanes = {queue: self._lane(queue, size) for queue, size in lanes.items()}
        timeout = settings.worker_timeout.total_seconds()
        self._heartbeat = Heartbeat(database, self.id, self._runner, self._completer, worker_timeout=timeout)
        self._beat_now = asyncio.Event()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._left = False
        self._listener = Listener(
            database.dsn,
            ["callsheet_ready", "callsheet_control"],
            heard=self._on_notify,
            on_gap=self._catch_up,
        )
        self._promoter = Scheduler(database)
        self._poller = Poller(
            database, tools.providers, interval=settings.provider_poll_interval.total_seconds(), only=only
        )
        self._canceller = ProviderCanceller(database, tools.providers, only=only)
        self._rescuer = Rescuer(database, self.id, worker_timeout=timeout, crash_limit=settings.crash_limit)

    def _lane(self, queue: str, size: int) -> Lane:
        return Lane(queue, size, self._claimer, self._run_job, began=self._reporter.start_job)

    @property
    def running(self) -> int:
        """How many jobs run now."""
        return sum(lane.running for lane in self._lanes.values())

    def stop(self, *, at_once: bool = False) -> None:
        """Begin to stop: claim no more, let jobs go on for the grace period, then hand the rest back.

        `at_once` leaves the grace period out, also when the worker is stopping already.
        """
        self._stop.set()
        if at_once:
            self._hurry.set()

    async def run(self) -> None:
        """Work until `stop` is called."""
        await self._register()
        await self._claimer.refresh_limits(list(self._lanes))
        loops = [asyncio.create_task(coroutine, name=name) for name, coroutine in self._loops().items()]
        lanes = [asyncio.create_task(lane.run(), name=f"lane {lane.queue}") for lane in self._lanes.values()]
        self._wake_all()
        log.info("worker started", worker=self.name, lanes={q: lane.size for q, lane in self._lanes.items()})
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({stop, *loops, *lanes}, return_when=asyncio.FIRST_COMPLETED)
            for task in (*loops, *lanes):
                if task.done():
                    task.result()
            await self._drain(lanes)
        finally:
            for lane in self._lanes.values():
                lane.cancel()
            await _cancelled([stop, *lanes, *loops])
            self._heartbeat.close()

    def _loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        settings = self._settings
        return {
            "completer": self._completer.run(),
            "reporter": self._reporter.run(),
            "listener": self._listener.run(),
            "beat": self._heartbeat_loop(),
            "poll": self._every(settings.poll_interval, self._poll),
            "promote": self._every(settings.schedule_interval, self._promoter.release_due),
            "poller": self._poller.run(),
            "call off": self._every(settings.provider_poll_interval, self._canceller.tell),
            "rescue": self._every(settings.rescue_interval, self._rescue),
            "tidy": self._every(_TIDY_INTERVAL, self._clean_up, at_once=True),
        }

    async def _register(self) -> None:
        await self._database.retry(
            lambda c: sql.register_worker(
                c,
                id=self.id,
                name=self.name,
                host=platform.node(),
                pid=os.getpid(),
                version=version("callsheet"),
                lanes=orjson.dumps({queue: lane.size for queue, lane in self._lanes.items()}).decode(),
                operations=self._operations,
            )
        )

    async def _drain(self, lane_tasks: list[asyncio.Task[None]]) -> None:
        log.info("worker stopping", worker=self.name, running=self.running)
        for lane in self._lanes.values():
            lane.close()
        await self._grace(lane_tasks)
        with contextlib.suppress(*TRANSIENT_ERRORS):
            async with asyncio.timeout(_LAST_WORDS):
                await self._release_jobs(lane_tasks)
                await self._reporter.flush()
                # What was cancelled just now: there may be no other worker to tell its provider.
                await self._canceller.tell()
                # No beat comes after it, which would register the worker again.
                self._left = True
                await self._database.retry(lambda c: sql.unregister_worker(c, id=self.id), seconds=5)
        log.info("worker stopped", worker=self.name)

    async def _release_jobs(self, lane_tasks: list[asyncio.Task[None]]) -> None:
        """Stop what still runs, with what a claim on its way still brings."""
        while True:
            for run in list(self._runner.runs.values()):
                log.info("job handed back", job=str(run.job.id))
                run.stop("stopping")
            claiming = [task for task in lane_tasks if not task.done()]
            if not claiming:
                break
            await asyncio.wait(claiming, timeout=0.1)
        await self._all_drained()

    async def _grace(self, lane_tasks: list[asyncio.Task[None]]) -> None:
        """Let jobs go on until they have ended, the grace period is over, or there is a hurry."""

        async def drain() -> None:
            # A claim that is on its way still brings jobs.
            await asyncio.wait(lane_tasks)
            await self._all_drained()

        drained, hurry = asyncio.create_task(drain()), asyncio.create_task(self._hurry.wait())
        seconds = self._settings.grace_period.total_seconds()
        await asyncio.wait({drained, hurry}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        await _cancelled([drained, hurry])

    async def _all_drained(self) -> None:
        for lane in self._lanes.values():
            await lane.drained()

    def _on_notify(self, channel: str, payload: str) -> None:
        if channel == "callsheet_ready":
            if lane := self._lanes.get(payload):
                lane.wake()
            return
        verb, _, what = payload.partition(" ")
        mine = what == str(self.id) if verb in ("cancel", "lanes") else what in self._lanes
        if mine:
            self._beat_now.set()

    def _catch_up(self) -> None:
        self._wake_all()
        self._beat_now.set()

    def _wake_all(self) -> None:
        for lane in self._lanes.values():
            lane.wake()

    async def _run_job(self, job: ClaimedJob) -> None:
        await self._runner.run(job)

    async def _heartbeat_loop(self) -> None:
        interval = self._settings.heartbeat_interval.total_seconds()
        while not self._left:
            try:
                # The beat first: what comes after it may take its time.
                await self._send_heartbeat()
                for queue in await self._claimer.refresh_limits(list(self._lanes)):
                    self._lanes[queue].wake()
            except (*TRANSIENT_ERRORS, asyncpg.PostgresError) as error:
                log.warning("beat missed", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._beat_now.wait(), interval)
            self._beat_now.clear()

    async def _rescue(self) -> None:
        if self._heartbeat.steady:
            await self._rescuer.rescue()

    async def _send_heartbeat(self) -> None:
        lanes = await self._heartbeat.send(stopping=self._stop.is_set())
        if lanes is None:
            await self._register()
            return
        for queue, size in lanes.items():
            lane = self._lanes.get(queue)
            if lane is not None and lane.size != size:
                log.info("lane resized", queue=queue, size=size)
                lane.resize(size)

    async def _poll(self) -> None:
        for queue in await self._claimer.queues_with_work(list(self._lanes)):
            self._lanes[queue].wake()
        await self._claim_suspect()

    async def _claim_suspect(self) -> None:
        """Run jobs that may have killed their workers one at a time.

        So a poison job cannot drag others into its own end again and again.
        """
        if any(run.job.starts > self._suspect_from for run in self._runner.runs.values()):
            return
        for queue in await self._claimer.queues_with_suspects(list(self._lanes)):
            if await self._lanes[queue].claim_suspect():
                return

    async def _clean_up(self) -> None:
        await clean_up(self._database, self._cache, interval=_TIDY_INTERVAL)

    async def _every(self, interval: timedelta, work: Callable[[], Awaitable[Any]], *, at_once: bool = False) -> None:
        while True:
            await asyncio.sleep(0 if at_once else interval.total_seconds())
            at_once = False
            try:
                await work()
            except (*TRANSIENT_ERRORS, asyncpg.PostgresError) as error:
                log.warning("upkeep put off", error=type(error).__name__)


def expand_name(pattern: str) -> str:
    """Fill in `%h` (host) and `%p` (process id)."""
    return pattern.replace("%h", platform.node()).replace("%p", str(os.getpid()))


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
