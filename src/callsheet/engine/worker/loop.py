"""The worker: lanes that run jobs, and the maintenance loops."""

import asyncio
import contextlib
import os
import platform
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import orjson
import structlog

from callsheet.db.clock import follow_database_clock
from callsheet.db.database import FOREVER, Database
from callsheet.db.listener import Listener
from callsheet.db.outages import DATABASE_ERRORS, TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.ids import new_id
from callsheet.domain.queues import COMFYUI_QUEUE
from callsheet.engine.jobs.approvals import expire_approvals
from callsheet.engine.jobs.batch_cancellation import continue_batch_cancellations
from callsheet.engine.jobs.blocked import report_blocked_jobs
from callsheet.engine.jobs.bulk_work import continue_bulk_actions
from callsheet.engine.jobs.completer import Completer
from callsheet.engine.jobs.owners import limits_of
from callsheet.engine.jobs.places import give_places
from callsheet.engine.submissions.poller import Poller
from callsheet.engine.submissions.provider_cancellation import ProviderCanceller
from callsheet.engine.worker.cleaner import clean_up
from callsheet.engine.worker.context import WorkerServices
from callsheet.engine.worker.disk_cleaner import DiskCleaner
from callsheet.engine.worker.executor import Executor, Run
from callsheet.engine.worker.heartbeat import Heartbeat, HeartbeatResponse
from callsheet.engine.worker.heartbeat_thread import HeartbeatThread
from callsheet.engine.worker.predecessors import Predecessors
from callsheet.engine.worker.recycling import Recycling, RecyclingLimits
from callsheet.engine.worker.rescuer import Rescuer, suspect_from
from callsheet.engine.worker.resource_watch import PublishResources, ResourceWatch
from callsheet.engine.worker.scheduler import Scheduler
from callsheet.files.scratch_folders import remove_abandoned_folders
from callsheet.operation_api.catalog import Catalog
from callsheet.queue.claim import ClaimedJob, Claimer
from callsheet.queue.lanes import Lane
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_CLEANUP_INTERVAL = timedelta(hours=1)
_PUBLIC_URL_INTERVAL = timedelta(seconds=15)
_CLOCK_INTERVAL = timedelta(minutes=1)
_RELEASE_TIMEOUT = 10.0
"""Seconds to release jobs and unregister after the grace period."""
_RELEASE_TIMEOUT_IN_OUTAGE = 3.0
"""The same while the database does not respond to heartbeats."""


class WorkerProcess(Protocol):
    """The process of a worker that runs nothing else."""

    def report_alive(self, allowed_silence: float) -> None:
        """Report that the process runs. It is hung if no report follows within this many seconds."""

    def report_recycling(self) -> None:
        """Report that the worker claims no more jobs, so that its successor can start."""

    def kill(self) -> None:
        """End the process at once."""


class Worker:
    """Runs the jobs of its lanes until it is stopped.

    `catalog` contains only operations whose needs this machine meets. `missing` has the other operations, with the
    needs that this machine does not meet and the reasons. `lanes` maps queues to slots. With `only_reserved`, it runs
    only the jobs that are reserved for it. `process` is given if the process exists for this worker alone, and may be
    killed when an operation blocks it beyond its time limit. `limits` say when the process is replaced. `follows` are
    the ids of earlier processes of this worker, which still end their jobs. `publish_resources` publishes each
    measurement of the machine.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        catalog: Catalog,
        services: WorkerServices,
        lanes: dict[str, int],
        missing: Mapping[str, Mapping[str, str]],
        name: str | None = None,
        id: UUID | None = None,
        only_reserved: bool = False,
        process: WorkerProcess | None = None,
        publish_resources: PublishResources | None = None,
        limits: RecyclingLimits | None = None,
        follows: Sequence[UUID] = (),
    ) -> None:
        self.id: UUID = id or new_id()
        self.name = expand_name(name or settings.worker_name)
        self._settings = settings
        self._database = database
        self._catalog = catalog
        self._completer = Completer(database)
        self._progress_writer = services.progress_writer
        self._public_url = services.public_url
        self._storage = services.storage
        self._job_log_writer = services.job_log_writer
        self._cache = services.cache
        self._executor = Executor(catalog, services, self._completer)
        self._missing = missing
        self._only_reserved = only_reserved
        self._operations = [operation.name for operation in catalog.operations()]
        self._suspect_from = suspect_from(settings.crash_limit)
        self._claimer = Claimer(
            database,
            self.id,
            self.name,
            self._operations,
            suspect_from=self._suspect_from,
            only_reserved=only_reserved,
        )
        self._comfyui = services.comfyui
        self._recycling = Recycling(limits or RecyclingLimits())
        self._predecessors = Predecessors(database, follows)
        self._configured_lanes = lanes
        self._lanes = {queue: self._lane(queue, size) for queue, size in lanes.items()}
        timeout = settings.worker_timeout.total_seconds()
        self.registered = asyncio.Event()
        """Set when the database knows this worker, so that jobs can be reserved for it."""
        self._heartbeat = Heartbeat(
            database,
            self.id,
            self._executor,
            self._completer,
            worker_timeout=timeout,
            is_stopping=lambda: self._stopping.is_set() or self._draining.is_set(),
        )
        self._heartbeat_thread = HeartbeatThread(
            self._heartbeat,
            interval=settings.heartbeat_interval.total_seconds(),
            grace=settings.grace_period.total_seconds(),
            runs=lambda: list(self._executor.runs.values()),
            on_hang=self._end_hung_run,
            on_alive=process.report_alive if process else _ignore,
        )
        self._process = process
        self._stopping = asyncio.Event()
        self._draining = asyncio.Event()
        """Set when the worker is to end after its running jobs, however long they take."""
        self._has_successor = False
        """Whether another process takes its place."""
        self._skip_grace = asyncio.Event()
        self._unregistered = False
        self._ready_channel = database.address.channel("ready")
        self._listener = Listener(
            database.address,
            [self._ready_channel, database.address.channel("control")],
            on_notify=self._on_notify,
            on_gap=self._on_listener_gap,
        )
        self._scheduler = Scheduler(database)
        only = self.id if only_reserved else None
        self._poller = Poller(
            database, services.providers, interval=settings.provider_poll_interval.total_seconds(), only=only
        )
        self._canceller = ProviderCanceller(database, services.providers, only=only)
        self._disk_cleaner = DiskCleaner(database, settings)
        self._rescuer = Rescuer(database, self.id, worker_timeout=timeout, crash_limit=settings.crash_limit)
        self._resource_watch = ResourceWatch(database, settings, self.id, self.name, publish=publish_resources)

    def _lane(self, queue: str, size: int) -> Lane:
        limit = self._comfyui.useful_jobs if queue == COMFYUI_QUEUE else None
        lane = Lane(
            queue,
            size,
            self._claimer,
            self._run_job,
            on_started=self._progress_writer.notify_started,
            limit=limit,
            in_use_elsewhere=partial(self._slots_in_use_elsewhere, queue),
            budget=self._recycling.budget,
        )
        if queue == COMFYUI_QUEUE:
            self._comfyui.add_listener(lane.wake)
        return lane

    def _slots_in_use_elsewhere(self, queue: str) -> int:
        used = self._predecessors.slots_in_use(queue)
        if used and queue == COMFYUI_QUEUE and self._settings.comfyui_path is not None:
            # One managed server at a time: two would not fit onto the GPU.
            return self._lanes[queue].size
        return used

    @property
    def running(self) -> int:
        """Number of running jobs."""
        return sum(lane.running for lane in self._lanes.values())

    def stop(self, *, immediately: bool = False) -> None:
        """Start to stop: claim no more jobs, let running ones finish during the grace period, then release the rest.

        `immediately` skips the grace period, also if the worker is already stopping.
        """
        self._stopping.set()
        if immediately:
            self._skip_grace.set()

    def drain(self) -> None:
        """Claim no more jobs, and end after the running ones, however long they take. `stop` limits the time."""
        self._draining.set()

    def recycle(self, reason: str = "an operator asked for it") -> None:
        """Make room for another process of this worker, and end as `drain` does."""
        if not self._draining.is_set():
            log.info("worker makes room for its successor", worker=self.name, reason=reason, running=self.running)
            self._has_successor = True
            self._draining.set()

    async def run(self) -> None:
        """Work until `stop`, `drain` or `recycle` is called, or a limit of the process is reached."""
        stop = asyncio.create_task(self._stopping.wait())
        drain = asyncio.create_task(self._draining.wait())
        starting = asyncio.create_task(self._start())
        await asyncio.wait({stop, drain, starting}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            log.info("worker stopped before it was registered", worker=self.name)
            await _cancel_and_wait([stop, drain, starting])
            return
        starting.result()
        loops = [asyncio.create_task(coroutine, name=name) for name, coroutine in self._loops().items()]
        lanes = [asyncio.create_task(lane.run(), name=f"lane {lane.queue}") for lane in self._lanes.values()]
        self._wake_lanes()
        log.info("worker started", worker=self.name, lanes={q: lane.size for q, lane in self._lanes.items()})
        try:
            await _first_of({stop, drain}, loops=[*loops, *lanes])
            if not stop.done():
                await self._finish_jobs(stop, loops, lanes)
            await self._drain(lanes)
        finally:
            for lane in self._lanes.values():
                lane.cancel()
            await _cancel_and_wait([stop, drain, *lanes, *loops])
            for space in self._settings.scratch_dirs:
                await asyncio.to_thread(remove_abandoned_folders, space)
            self._heartbeat.cancel_requeues()

    async def _finish_jobs(
        self, stop: asyncio.Task[Any], loops: list[asyncio.Task[None]], lanes: list[asyncio.Task[None]]
    ) -> None:
        """Close the lanes, let the successor start, and wait until no job runs, or the worker is to stop."""
        for lane in self._lanes.values():
            lane.close()
        self._heartbeat_thread.send_now()  # with its new status
        # The successor counts the jobs that run here, so those of claims in progress must be known first.
        claimed = asyncio.create_task(_all(lanes))
        drained: asyncio.Task[None] | None = None
        try:
            await _first_of({stop, claimed}, loops=loops)
            if self._has_successor and self._process is not None and not stop.done():
                self._process.report_recycling()
            drained = asyncio.create_task(self._wait_drained())
            await _first_of({stop, drained}, loops=loops)
        finally:
            await _cancel_and_wait([claimed, *([drained] if drained else [])])

    def _loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        settings = self._settings
        return {
            "completer": self._completer.run(),
            "progress writer": self._progress_writer.run(),
            "job log writer": self._job_log_writer.run(),
            "listener": self._listener.run(),
            "heartbeat": self._heartbeat_thread.run(),
            "heartbeat responses": self._follow_heartbeats(),
            "fallback poll": self._every(settings.poll_interval, self._poll),
            "scheduler": self._every(settings.schedule_interval, self._scheduler.release_due),
            "places of executions": self._every(settings.schedule_interval, self._give_places),
            "approval deadlines": self._every(settings.schedule_interval, self._expire_approvals),
            "cancellation of batches": self._every(settings.schedule_interval, self._cancel_batches),
            "bulk actions": self._every(settings.schedule_interval, self._do_bulk_actions),
            "provider poller": self._poller.run(),
            "provider canceller": self._every(settings.provider_poll_interval, self._canceller.send_due),
            "rescuer": self._every(settings.rescue_interval, self._rescue),
            "recycling": self._recycle_at_limit(),
            "slots of earlier processes": self._every(settings.schedule_interval, self._follow_predecessors),
            "public URL": self._every(_PUBLIC_URL_INTERVAL, self._refresh_public_url),
            "clock": self._every(_CLOCK_INTERVAL, self._follow_clock),
            "reporter of blocked jobs": self._every(settings.blocked_interval, self._report_blocked),
            "disk cleaner": self._disk_cleaner.run(),
            "cleaner": self._every(_CLEANUP_INTERVAL, self._clean_up, immediately=True),
            "resource watch": self._every(settings.resource_interval, self._watch_resources, immediately=True),
        }

    async def _start(self) -> None:
        """Register, and read what the lanes need. This waits for the database without a limit."""
        await self._register()
        self.registered.set()
        await self._predecessors.refresh()
        await self._claimer.refresh_limits(list(self._lanes))
        await self._public_url.refresh(self._database)

    async def _register(self, *, timeout: float = FOREVER) -> None:
        row = await self._database.retry(
            lambda c: sql.register_worker(
                c,
                id=self.id,
                name=self.name,
                host=platform.node(),
                pid=os.getpid(),
                version=version("callsheet"),
                lanes=orjson.dumps(self._configured_lanes).decode(),
                operations=self._operations,
                missing=orjson.dumps(self._missing).decode(),
                timeout=self._settings.worker_timeout.total_seconds(),
                only_reserved=self._only_reserved,
            ),
            timeout=timeout,
        )
        self._resize_lanes(orjson.loads(row["lanes"]))

    def _resize_lanes(self, sizes: Mapping[str, int]) -> None:
        for queue, size in sizes.items():
            lane = self._lanes.get(queue)
            if lane is not None and lane.size != size:
                log.info("lane resized", queue=queue, size=size)
                lane.resize(size)

    async def _drain(self, lane_tasks: list[asyncio.Task[None]]) -> None:
        log.info("worker stopping", worker=self.name, running=self.running)
        for lane in self._lanes.values():
            lane.close()
        await self._wait_grace_period(lane_tasks)
        leaving = asyncio.create_task(self._leave(lane_tasks), name="leave")
        limit = _RELEASE_TIMEOUT if self._heartbeat.is_healthy else _RELEASE_TIMEOUT_IN_OUTAGE
        await asyncio.wait({leaving}, timeout=limit)
        if not leaving.done():
            # The database is silent. Other workers rescue the jobs of this one when its heartbeats are missing.
            log.warning("worker stops without a response of the database", worker=self.name, running=self.running)
            self._database.terminate()
        await _cancel_and_wait([leaving])
        log.info("worker stopped", worker=self.name)

    async def _leave(self, lane_tasks: list[asyncio.Task[None]]) -> None:
        with contextlib.suppress(*TRANSIENT_ERRORS):
            await self._release_jobs(lane_tasks)
            await self._progress_writer.flush()
            await self._job_log_writer.flush()
            # Send cancels of jobs that were cancelled just now: there may be no other worker to do it.
            await self._canceller.send_due()
            # A heartbeat in progress must not register the worker again.
            self._unregistered = True
            await self._database.retry(lambda c: sql.unregister_worker(c, id=self.id), timeout=5)

    async def _release_jobs(self, lane_tasks: list[asyncio.Task[None]]) -> None:
        """Stop all running jobs, including those of a claim that is still in progress."""
        self._executor.releasing.set()
        while True:
            for run in list(self._executor.runs.values()):
                log.info("job released", job=str(run.job.id))
                run.stop("stopping")
            claiming = [task for task in lane_tasks if not task.done()]
            if not claiming:
                break
            await asyncio.wait(claiming, timeout=0.1)
        await self._wait_drained()

    async def _wait_grace_period(self, lane_tasks: list[asyncio.Task[None]]) -> None:
        """Wait until all jobs have ended, the grace period is over, or it is skipped."""

        async def drain() -> None:
            # A claim in progress can still start jobs, so wait for the lanes first.
            await asyncio.wait(lane_tasks)
            await self._wait_drained()

        drained, skip_grace = asyncio.create_task(drain()), asyncio.create_task(self._skip_grace.wait())
        seconds = self._settings.grace_period.total_seconds()
        await asyncio.wait({drained, skip_grace}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        await _cancel_and_wait([drained, skip_grace])

    async def _wait_drained(self) -> None:
        for lane in self._lanes.values():
            await lane.wait_drained()

    def _on_notify(self, channel: str, payload: str) -> None:
        if channel == self._ready_channel:
            if lane := self._lanes.get(payload):
                lane.wake()
            return
        verb, _, subject = payload.partition(" ")
        if verb == "clean-disk":
            self._disk_cleaner.clean_now()
            return
        concerns_me = subject == str(self.id) if verb in ("cancel", "lanes", "stop") else subject in self._lanes
        if concerns_me:
            self._heartbeat_thread.send_now()

    def _on_listener_gap(self) -> None:
        self._wake_lanes()
        self._heartbeat_thread.send_now()

    def _wake_lanes(self) -> None:
        for lane in self._lanes.values():
            lane.wake()

    async def _run_job(self, job: ClaimedJob) -> None:
        self._heartbeat_thread.report_run(job.timeout_seconds)
        try:
            await self._executor.run(job)
        finally:
            self._recycling.job_ended()

    async def _follow_heartbeats(self) -> None:
        while True:
            response = await self._heartbeat_thread.next_response()
            try:
                await self._apply_heartbeat(response)
                for queue in await self._claimer.refresh_limits(list(self._lanes)):
                    self._lanes[queue].wake()
            except TRANSIENT_ERRORS as error:
                self._database.outage.failed("follow a heartbeat", error)
            except asyncpg.PostgresError as error:
                log.error("could not follow a heartbeat", exc_info=error)

    async def _end_hung_run(self, run: Run) -> None:
        """Fail the job of a run that blocks the event loop, and end this process. Called in the heartbeat thread."""
        log.error("a job blocks the worker beyond its time limit", **run.job.log_facts, ends=self._process is not None)
        try:
            await self._heartbeat.fail_hung_run(run, worker_ends=self._process is not None)
        except DATABASE_ERRORS as error:
            log.warning("could not record a hung run", **run.job.log_facts, error=type(error).__name__)
        if self._process is not None:
            self._process.kill()

    async def _rescue(self) -> None:
        # A worker that cannot send its own heartbeat must not declare others lost.
        if self._heartbeat.is_healthy:
            await self._rescuer.rescue()

    async def _apply_heartbeat(self, response: HeartbeatResponse) -> None:
        self._heartbeat.apply(response)
        if response.lanes is None:
            if not self._unregistered:
                await self._register(timeout=60)
            return
        if response.stop_requested and not self._stopping.is_set():
            log.info("stop requested by an operator", worker=self.name)
            self.stop()
        self._resize_lanes(response.lanes)

    async def _poll(self) -> None:
        for queue in await self._claimer.queues_with_work(list(self._lanes)):
            self._lanes[queue].wake()
        await self._claim_suspect()

    async def _claim_suspect(self) -> None:
        """Run suspects, jobs that may have crashed their workers, one at a time.

        Otherwise a poison job would repeatedly take down the jobs that run next to it.
        """
        if any(run.job.starts > self._suspect_from for run in self._executor.runs.values()):
            return
        for queue in await self._claimer.queues_with_suspects(list(self._lanes)):
            if await self._lanes[queue].claim_suspect():
                return

    async def _watch_resources(self) -> None:
        # The worker of `callsheet run` is none of the fleet, and ends with its execution.
        if not self._only_reserved:
            await self._resource_watch.record()

    async def _recycle_at_limit(self) -> None:
        self._recycling.check_start()
        self.recycle(await self._recycling.wait())
        await asyncio.Event().wait()  # a loop does not end

    async def _follow_predecessors(self) -> None:
        for queue in await self._predecessors.refresh():
            if lane := self._lanes.get(queue):
                lane.wake()

    async def _refresh_public_url(self) -> None:
        await self._public_url.refresh(self._database)

    async def _follow_clock(self) -> None:
        await follow_database_clock(self._database)

    async def _give_places(self) -> None:
        await give_places(self._database, self._settings.max_running_executions)

    async def _expire_approvals(self) -> None:
        await expire_approvals(self._database)

    async def _cancel_batches(self) -> None:
        await continue_batch_cancellations(self._database)

    async def _do_bulk_actions(self) -> None:
        await continue_bulk_actions(self._database, limits_of(self._settings))

    async def _report_blocked(self) -> None:
        await report_blocked_jobs(self._database, min_age=self._settings.blocked_interval)

    async def _clean_up(self) -> None:
        await clean_up(
            self._database,
            self._storage,
            self._cache,
            interval=_CLEANUP_INTERVAL,
            upload_max_age=self._settings.upload_max_age,
            webhook_history=self._settings.webhook_history,
            audit_history=self._settings.audit_history,
            schedule_history=self._settings.schedule_history,
        )

    async def _every(
        self, interval: timedelta, work: Callable[[], Awaitable[Any]], *, immediately: bool = False
    ) -> None:
        while True:
            await asyncio.sleep(0 if immediately else interval.total_seconds())
            immediately = False
            try:
                await work()
            except TRANSIENT_ERRORS as error:
                self._database.outage.failed("maintenance", error)
            except asyncpg.PostgresError as error:
                log.error("maintenance failed, will retry", exc_info=error)


def expand_name(pattern: str) -> str:
    """Replace `%h` with the host name and `%p` with the process id."""
    return pattern.replace("%h", platform.node()).replace("%p", str(os.getpid()))


def _ignore(_allowed_silence: float) -> None:
    """Report to no supervisor."""


async def _first_of(ends: set[asyncio.Task[Any]], *, loops: Sequence[asyncio.Task[None]]) -> None:
    """Wait for one of `ends`. A loop ends only with an error, which is raised."""
    await asyncio.wait({*ends, *loops}, return_when=asyncio.FIRST_COMPLETED)
    for task in loops:
        if task.done():
            task.result()


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)


async def _cancel_and_wait(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
