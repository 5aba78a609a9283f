"""Composition root: creates the services of one process from the settings."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from uuid import UUID

import structlog

from callsheet.ads.winners.indexes import WinnerIndexes
from callsheet.comfyui.pool import Pool
from callsheet.comfyui.server_records import ServerListing
from callsheet.db.address import DatabaseAddress, parse_address
from callsheet.db.clock import follow_database_clock
from callsheet.db.database import FOREVER, Database
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.embedded.staging import refuse_during_restore
from callsheet.db.outages import DATABASE_ERRORS, TRANSIENT_ERRORS, is_fatal, original_error, outage_reason
from callsheet.db.read_database import ReadDatabase
from callsheet.db.refusals import REJECTIONS, connection_error
from callsheet.db.replica import Replica
from callsheet.db.upgrade import check_revision, upgrade
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import CallsheetError, ConfigurationError, DatabaseUnavailable
from callsheet.domain.queues import canonical_queue
from callsheet.engine.fleet.public_url import RECORD_INTERVAL, PublicUrl, record_public_url
from callsheet.engine.jobs.approvals import expire_approvals
from callsheet.engine.jobs.batch_cancellation import continue_batch_cancellations
from callsheet.engine.jobs.blocked import report_blocked_jobs
from callsheet.engine.jobs.bulk_work import continue_bulk_actions
from callsheet.engine.jobs.owners import limits_of
from callsheet.engine.metric_totals import MetricWriter
from callsheet.engine.reads.artifacts import find_artifact
from callsheet.engine.reads.event_stream import EventStream
from callsheet.engine.retention.clean_up import clean_up
from callsheet.engine.retention.disk import clean_disk, request_disk_clean_ups
from callsheet.engine.retention.orphan_work import OrphanWork
from callsheet.engine.schedules.file import store_defined_schedules
from callsheet.engine.schedules.firing import DueTask, ScheduleRunner, record_task_result
from callsheet.engine.schedules.resource_watch import watch_resources
from callsheet.engine.submissions.webhook_inbox import WebhookInbox
from callsheet.engine.worker.context import WorkerServices
from callsheet.engine.worker.job_log_writer import JobLogWriter
from callsheet.engine.worker.loop import Worker, WorkerProcess
from callsheet.engine.worker.progress_writer import ProgressWriter
from callsheet.engine.worker.recycling import RecyclingLimits
from callsheet.files.approval_links import approval_link
from callsheet.files.cache import FileCache
from callsheet.files.signed_urls import signed_file_url, signing_key
from callsheet.files.sources import SourceOpener
from callsheet.files.storage import Storage, open_storage
from callsheet.media.ffmpeg.binary import open_ffmpeg
from callsheet.media.probing.probe_pools import use_sandbox
from callsheet.notify.alerts import alert_failure_streaks
from callsheet.notify.resource_channel import resource_channel
from callsheet.notify.webhooks import WebhookSender
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.requirements import missing_requirements, runnable_operations
from callsheet.providers.catalog import Providers, discover_providers
from callsheet.providers.contract import Provider
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_ALERT_INTERVAL = 2.0
"""Seconds between two searches for queues whose jobs fail."""
_APPROVAL_INTERVAL = 1.0
"""Seconds between two searches for approvals whose deadline has passed."""
_SCHEDULES_INTERVAL = 1.0
"""Seconds between two searches for schedules that are due."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The container of one process: the settings, the open database and the services that use it.

    API, CLI and library get everything from here. Created by `open_runtime`.
    """

    settings: Settings
    database: Database
    reads: Database
    """For lists, searches and counts, which may be a few seconds old: read replicas, or the database itself."""
    catalog: Catalog
    storage: Storage
    key: bytes
    """Signing key of this installation."""
    event_stream: EventStream
    providers: Providers
    comfyui: Pool
    comfyui_servers: ServerListing
    winners: WinnerIndexes

    def sign(self, artifact: Artifact) -> tuple[str, datetime]:
        """Return a signed URL of the artifact, and its expiry time."""
        expires = datetime.now(UTC) + self.settings.signed_url_ttl
        url = self.storage.sign(artifact.key, lifetime=self.settings.signed_url_ttl)
        if url is None:
            url = signed_file_url(self.key, self.base_url, artifact.artifact_id, expires=expires)
        return url, expires

    def link_approval(self, approval_id: UUID, deadline: datetime) -> str:
        """Return the signed link to the page of an approval, which is valid until its deadline."""
        return approval_link(self.key, self.base_url, approval_id, deadline)

    @property
    def base_url(self) -> str:
        """The public URL of this server, without a trailing slash."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return (self.settings.public_url or f"http://{host}:{self.settings.port}").rstrip("/")

    def worker(
        self,
        lanes: dict[str, int] | None = None,
        *,
        name: str | None = None,
        id: UUID | None = None,
        only_reserved: bool = False,
        process: WorkerProcess | None = None,
        limits: RecyclingLimits | None = None,
        follows: Sequence[UUID] = (),
    ) -> Worker:
        """Return a new worker with these lanes; default: one lane for each queue of the known operations.

        With `only_reserved`, the worker runs only the jobs that are reserved for it. `process` is given if the process
        may be killed when an operation hangs. `limits` say when the process is replaced, and `follows` has the ids of
        earlier processes of this worker that still end their jobs.
        """
        catalog = runnable_operations(self.catalog, self.settings)
        channel = resource_channel(self.settings)
        return Worker(
            settings=self.settings,
            database=self.database,
            catalog=catalog,
            services=self._worker_services(),
            lanes={canonical_queue(queue): slots for queue, slots in (lanes or self.default_lanes()).items()},
            missing=missing_requirements(self.catalog, self.settings),
            name=name,
            id=id,
            only_reserved=only_reserved,
            process=process,
            publish_resources=channel.publish if channel else None,
            limits=limits,
            follows=follows,
        )

    def webhook_sender(self) -> WebhookSender:
        """Return a sender for the webhooks in the outbox."""
        return WebhookSender(
            self.database, sign=self.sign, key=self.key, settings=self.settings, base_url=self.base_url
        )

    def schedule_runner(self) -> ScheduleRunner:
        """Return what starts the plans of schedules."""
        return ScheduleRunner(self.database, self.catalog, self.settings)

    async def store_defined_schedules(self) -> None:
        """Store the schedules of the settings, as a server does at its start. Raises ConfigurationError."""
        await store_defined_schedules(self.database, self.settings.schedules_file)

    async def run_server_tasks(self) -> None:
        """Do the periodic work of an API server until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_every(self.settings.blocked_interval.total_seconds(), self._report_blocked_jobs))
            tasks.create_task(_every(RECORD_INTERVAL, self._record_public_url))
            tasks.create_task(_every(_ALERT_INTERVAL, self._send_alerts))
            tasks.create_task(_every(_APPROVAL_INTERVAL, self._expire_approvals))
            tasks.create_task(_every(self.settings.schedule_interval.total_seconds(), self._cancel_batches))
            tasks.create_task(_every(_SCHEDULES_INTERVAL, partial(self._run_schedules, tasks)))
            tasks.create_task(_every(self.settings.schedule_interval.total_seconds(), self._do_bulk_actions))
            tasks.create_task(_every(_CLOCK_INTERVAL, self._follow_database_clock))
            tasks.create_task(_every(_DISK_INTERVAL, self._clean_disk))
            tasks.create_task(_every(_ORPHANS_INTERVAL, self.continue_orphan_searches))

    async def _report_blocked_jobs(self) -> None:
        await report_blocked_jobs(self.database, min_age=self.settings.blocked_interval)

    async def _send_alerts(self) -> None:
        await alert_failure_streaks(self.database, self.settings)

    async def _expire_approvals(self) -> None:
        await expire_approvals(self.database)

    async def _cancel_batches(self) -> None:
        await continue_batch_cancellations(self.database)

    async def _run_schedules(self, tasks: asyncio.TaskGroup) -> None:
        runner = self.schedule_runner()
        while await runner.run_due():  # until nothing more is due
            pass
        for due in runner.due_tasks:
            tasks.create_task(self._run_task(due))

    async def _run_task(self, due: DueTask) -> None:
        try:
            await record_task_result(self.database, due, await self._do_task(due))
        except (*DATABASE_ERRORS, CallsheetError) as error:
            # The next one does the rest. An error must not end the server.
            log.error("a task was broken off", task=due.task, exc_info=error)

    async def _do_task(self, due: DueTask) -> str:
        """Do the work of a task. Returns what it has done, for people."""
        if due.task == "resource-watch":
            return await watch_resources(self.database, due.schedule)
        await request_disk_clean_ups(self.database)
        await self._clean_disk()
        done = await clean_up(self.database, self.storage, self.settings.retention)
        return f"deleted {done.executions:,} executions with {done.files:,} files ({done.bytes:,} bytes)"

    async def _clean_disk(self) -> None:
        try:
            await clean_disk(self.database, self.settings)
        except OSError as error:
            log.error("the disk could not be cleaned, will retry", exc_info=error)

    async def continue_orphan_searches(self) -> None:
        """Carry out the searches for orphans, and their deletion, that no live server has."""
        await OrphanWork(self.database, self.storage, list(self.catalog)).continue_all()

    async def _do_bulk_actions(self) -> None:
        await continue_bulk_actions(self.database, limits_of(self.settings))

    async def _record_public_url(self) -> None:
        if self.settings.public_url is not None:
            await record_public_url(self.database, self.settings.public_url)

    async def _follow_database_clock(self) -> None:
        await follow_database_clock(self.database)

    def webhook_inbox(self) -> WebhookInbox:
        """Return the inbox for webhooks of providers."""
        return WebhookInbox(self.database, self.providers)

    def default_lanes(self) -> dict[str, int]:
        """Return the number of slots for every queue of the known operations."""
        return select_lanes(self.catalog.queues(), {}, self.settings)

    def _worker_services(self) -> WorkerServices:
        async def find(artifact_id: UUID) -> Artifact:
            return await find_artifact(self.database, artifact_id, timeout=FOREVER)

        return WorkerServices(
            settings=self.settings,
            database=self.database,
            storage=self.storage,
            opener=SourceOpener(self.storage, self.settings, find),
            progress_writer=ProgressWriter(self.database),
            job_log_writer=JobLogWriter(
                self.database,
                max_lines=self.settings.job_log_max_lines,
                max_bytes=self.settings.job_log_max_bytes,
            ),
            catalog=self.catalog,
            cache=FileCache(self.storage, max_age=self.settings.cache_max_age),
            ffmpeg=cache(lambda: open_ffmpeg(self.settings)),
            providers=self.providers,
            comfyui=self.comfyui,
            public_url=PublicUrl(self.settings),
            key=self.key,
        )


@asynccontextmanager
async def open_database(
    settings: Settings,
    *,
    migrate: bool,
    wait: bool = False,
    connected_before: bool = False,
    on_wait: Callable[[str], None] | None = None,
) -> AsyncIterator[Database]:
    """Open the configured database, or start the embedded one.

    With `migrate`, pending migrations are applied; without it, an outdated schema raises ConfigurationError. The
    embedded database is always migrated, as it has no other operator.

    Raises DatabaseUnavailable when it does not respond; with `wait`, this waits for it instead, without a limit, and
    calls `on_wait` with the reason. Raises DatabaseUnavailable too when it rejects the login or does not have the
    database, and ConfigurationError for an invalid URL; with `connected_before`, these errors are waited for as well,
    because the same settings have worked.
    """
    async with AsyncExitStack() as stack:
        if settings.database_url is not None:
            address = configured_address(settings)
            for line in address.ignored:
                log.warning("a parameter of DATABASE_URL is ignored", parameter=line)
        else:
            refuse_during_restore(settings.data_dir)
            embedded = EmbeddedPostgres(settings.data_dir / "postgres")
            dsn = await asyncio.to_thread(embedded.start)
            address = parse_address(dsn, schema=settings.database_schema)
            stack.push_async_callback(asyncio.to_thread, embedded.stop)
            migrate = True

        async def connect() -> Database:
            if migrate:
                await upgrade(address)
            async with AsyncExitStack() as opening:
                database = await opening.enter_async_context(Database(address, size=settings.database_pool_size))
                if not migrate:
                    await check_revision(database)
                stack.push_async_exit(opening.pop_all().__aexit__)
            return database

        if wait:
            yield await _connect_when_available(settings, connect, connected_before, on_wait)
        else:
            yield await _connect(settings, connect)


async def _connect(settings: Settings, connect: Callable[[], Awaitable[Database]]) -> Database:
    try:
        return await connect()
    except (*REJECTIONS, *DATABASE_ERRORS) as error:
        if not _is_unavailable(error):
            raise
        raise database_unavailable(settings, error) from None


async def _connect_when_available(
    settings: Settings,
    connect: Callable[[], Awaitable[Database]],
    connected_before: bool,
    on_wait: Callable[[str], None] | None,
) -> Database:
    started, delay, has_waited = time.monotonic(), _MIN_DELAY, False
    while True:
        try:
            database = await connect()
        except (*REJECTIONS, *DATABASE_ERRORS) as error:
            if not _is_unavailable(error):
                raise
            if isinstance(original_error(error), REJECTIONS) and not connected_before:
                raise database_unavailable(settings, error) from None
            if on_wait is not None:
                on_wait(outage_reason(error))
            log.warning(
                "waiting for the database",
                reason=database_unavailable(settings, error).message,
                seconds=round(time.monotonic() - started),
                next_try=round(delay, 1),
            )
            has_waited = True
        else:
            if has_waited:
                log.info("the database is available", seconds=round(time.monotonic() - started))
            return database
        await asyncio.sleep(delay)
        delay = min(delay * 2, _MAX_DELAY)


def _is_unavailable(error: Exception) -> bool:
    return is_fatal(error) or isinstance(error, (*REJECTIONS, *TRANSIENT_ERRORS))


def database_unavailable(settings: Settings, error: BaseException) -> CallsheetError:
    """Return the error for an unusable database, with its address and the reason but without its password."""
    error = original_error(error)
    if settings.database_url is not None:
        return connection_error(configured_address(settings), error)
    if isinstance(error, CallsheetError):
        return error
    return DatabaseUnavailable(
        f"The embedded database in {settings.data_dir} does not respond ({type(error).__name__}: {error})."
    )


def configured_address(settings: Settings) -> DatabaseAddress:
    """Return the address of the setting DATABASE_URL. Raises ConfigurationError if it is invalid."""
    assert settings.database_url is not None  # noqa: S101 - the caller has checked
    return parse_address(settings.database_url.get_secret_value(), schema=settings.database_schema)


_CLOCK_INTERVAL = 60.0
_DISK_INTERVAL = 3600.0
_ORPHANS_INTERVAL = 1.0
"""Seconds between two reads of the database's clock."""
_MIN_DELAY, _MAX_DELAY = 0.5, 15.0
"""Seconds between two tries to connect at the start; doubled after each."""


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    catalog: Catalog,
    *,
    migrate: bool = False,
    wait: bool = False,
    connected_before: bool = False,
    on_wait: Callable[[str], None] | None = None,
    follow_events: bool = True,
    read_replicas: bool = True,
    extra_providers: Iterable[Provider] = (),
    provider_settings: Iterable[ProviderSettings] = (),
) -> AsyncIterator[Runtime]:
    """Open a runtime and close it at the end.

    `wait`, `connected_before` and `on_wait` are those of `open_database`. `follow_events` listens for events of
    other processes (`Runtime.event_stream`), `read_replicas` opens those of the settings (`Runtime.reads`).
    `extra_providers` are available in addition to the installed ones. `provider_settings` replace those of the
    environment.
    """
    use_sandbox(settings.ffmpeg_sandbox)
    async with (
        discover_providers(settings, provider_settings=provider_settings, opened=extra_providers) as providers,
        Pool(settings) as comfyui,
        open_database(
            settings, migrate=migrate, wait=wait, connected_before=connected_before, on_wait=on_wait
        ) as database,
        _open_reads(settings, database, read_replicas) as reads,
    ):
        await follow_database_clock(database)
        event_stream = EventStream(database)
        runtime = Runtime(
            settings=settings,
            database=database,
            reads=reads,
            catalog=catalog.with_settings(settings),
            storage=await asyncio.to_thread(open_storage, settings),
            key=await asyncio.to_thread(signing_key, settings),
            event_stream=event_stream,
            providers=providers,
            comfyui=comfyui,
            comfyui_servers=ServerListing(comfyui),
            winners=WinnerIndexes(settings.winners_dir),
        )
        listening = asyncio.create_task(event_stream.run()) if follow_events else None
        metric_writer = MetricWriter(database)
        counting = asyncio.create_task(metric_writer.run(), name="metrics")
        try:
            yield runtime
        finally:
            await metric_writer.close(counting)
            await runtime.winners.close()
            await runtime.comfyui_servers.close()
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)


@asynccontextmanager
async def _open_reads(settings: Settings, database: Database, read_replicas: bool) -> AsyncIterator[Database]:
    address = read_address(settings) if read_replicas else None
    if address is None:
        yield database
        return
    replicas = [Replica(each, size=settings.database_pool_size) for each in address.each_host() or [address]]
    async with ReadDatabase(database, replicas, max_lag=settings.database_read_max_lag.total_seconds()) as reads:
        yield reads


def read_address(settings: Settings) -> DatabaseAddress | None:
    """Return the address of the read replicas, if there are any. Raises ConfigurationError if it is invalid."""
    if settings.database_read_url is None:
        return None
    try:
        return parse_address(settings.database_read_url.get_secret_value(), schema=settings.database_schema)
    except ConfigurationError as error:
        raise ConfigurationError(error.message.replace("DATABASE_URL", "DATABASE_READ_URL", 1)) from None


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work now and then periodically, until cancelled. Errors are logged: they must not end the server."""
    while True:
        try:
            await work()
        except DATABASE_ERRORS as error:
            log.warning("periodic work failed, will retry", error=type(error).__name__)
        except CallsheetError as error:
            log.error("periodic work failed, will retry", exc_info=error)
        await asyncio.sleep(seconds)


def select_lanes(queues: Iterable[str], concurrency: dict[str, int], settings: Settings) -> dict[str, int]:
    """Return the number of slots by queue: from `concurrency`, else from the settings."""
    default = settings.lanes.get("default", 8)
    return {queue: concurrency.get(queue) or settings.lanes.get(queue, default) for queue in queues}
