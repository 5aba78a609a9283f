"""The job context: the services of a worker for one running operation."""

import asyncio
import shutil
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from uuid import UUID

import orjson
import structlog
from pydantic import TypeAdapter

from callsheet.comfyui.pool import Pool
from callsheet.db.database import FOREVER, Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import DiskFull, LeaseLost, NoEffect, OutcomeUnknown, StorageRejected, StorageUnreachable
from callsheet.domain.event_types import EventType
from callsheet.domain.ids import new_id
from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.domain.wait_reasons import WaitCode, WaitReason
from callsheet.engine.fleet.public_url import PublicUrl
from callsheet.engine.jobs.artifact_rows import store_unfinished_artifact
from callsheet.engine.submissions.input_urls import input_url
from callsheet.engine.submissions.submit_once import Submissions
from callsheet.engine.submissions.task_awaiter import TaskAwaiter
from callsheet.engine.uncancellable import run_uncancellable
from callsheet.engine.worker.finished_results import FinishedResults
from callsheet.engine.worker.job_log_writer import JobLogWriter
from callsheet.engine.worker.progress_writer import ProgressWriter
from callsheet.engine.worker.run_wait import RunWait, storage_wait
from callsheet.engine.worker.state_store import JobStateStore
from callsheet.engine.worker.storage_outage import StorageOutage
from callsheet.engine.worker.time_limit import TimeLimit
from callsheet.files.cache import FileCache
from callsheet.files.digest import sha256_of_file
from callsheet.files.media_types import guess_media_type
from callsheet.files.object_keys import object_key, safe_name
from callsheet.files.scratch_folders import own_scratch_folder
from callsheet.files.sources import SourceOpener
from callsheet.files.storage import Storage, StoredFile
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import probe_if_media
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import OpenSubmission
from callsheet.providers.contract import Provider, SubmitRequest, Task, TaskStatus
from callsheet.queue.claim import ClaimedJob
from callsheet.settings import Settings

T = TypeVar("T")
_DELETE_TIMEOUT = 60.0

log = structlog.get_logger(__name__)


class WorkerServices:
    """Services that all runs of one worker share."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        storage: Storage,
        opener: SourceOpener,
        progress_writer: ProgressWriter,
        job_log_writer: JobLogWriter,
        catalog: Catalog,
        cache: FileCache,
        ffmpeg: Callable[[], FFmpeg],
        providers: Mapping[str, Provider],
        comfyui: Pool,
        public_url: PublicUrl,
        key: bytes,
    ) -> None:
        self.settings = settings
        self.database = database
        self.storage = storage
        self.opener = opener
        self.progress_writer = progress_writer
        self.job_log_writer = job_log_writer
        self.catalog = catalog
        """All operations, including those that this worker cannot run."""
        self.cache = cache
        self.ffmpeg = ffmpeg
        self.providers = providers
        self.comfyui = comfyui
        self.public_url = public_url
        self.key = key
        """Signing key of this installation."""


class JobContext:
    """Implements `Context` for one run of one job."""

    def __init__(self, job: ClaimedJob, services: WorkerServices) -> None:
        self._job = job
        self._services = services
        self._dir: Path | None = None
        self.kept: list[Artifact] = []
        self._kept_paths: dict[str, Path] = {}
        self._stored_at_once: set[str] = set()
        """Keys of the kept files that are artifacts already, and stay if the run does not succeed."""
        self._storage_error: StorageRejected | StorageUnreachable | DiskFull | None = None
        """The first error of the storage, if it did not take all kept files. They are on the disk then."""
        self.children_done = False
        """Whether this job has child jobs, all of which have ended."""
        settings = services.settings
        self.time_limit = TimeLimit(job.timeout_seconds)
        """Time limit of the operation; transfers to and from the storage do not count."""
        self._stopped_clock = ExitStack()
        self._wait = RunWait(services.database, job)
        self._outage = StorageOutage(
            timeout=settings.storage_outage_timeout.total_seconds(),
            time_limit=self.time_limit,
            on_change=self._on_outage,
        )
        self._scratch_space = settings.scratch_dir_of(job.queue)
        self._finished = FinishedResults(self._scratch_space, max_age=settings.finished_result_max_age)
        self._progress: tuple[float, str | None] = (job.progress, None)

    @property
    def id(self) -> UUID:
        """Id of the job record."""
        return self._job.id

    @property
    def execution_id(self) -> UUID:
        """Id of the execution."""
        return self._job.execution_id

    @property
    def job_id(self) -> str:
        """Id of the job in its plan."""
        return self._job.job_id

    @property
    def operation(self) -> str:
        """Canonical name of the operation."""
        return self._job.operation

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1."""
        return self._job.attempts + 1

    @property
    def settings(self) -> Settings:
        """The settings of this worker."""
        return self._services.settings

    @property
    def ffmpeg(self) -> FFmpeg:
        """The FFmpeg runner."""
        return self._services.ffmpeg()

    @cached_property
    def cache(self) -> FileCache:
        """The file cache in the object storage."""
        services = self._services
        return FileCache(services.storage, max_age=services.settings.cache_max_age, repeat=self._outage.repeat)

    @cached_property
    def store(self) -> JobStateStore:
        """The state of the operation."""
        return JobStateStore(self._services.database)

    @property
    def comfyui(self) -> Pool:
        """The ComfyUI servers of this worker."""
        return self._services.comfyui

    async def worker_host_count(self) -> int:
        """Return the number of hosts with a live worker that runs this operation, at least 1."""
        timeout = self._services.settings.worker_timeout.total_seconds()
        hosts: int = await self._services.database.retry(
            lambda c: sql.count_worker_hosts(
                c,
                operation=self._job.operation,
                queue=self._job.queue,
                execution_id=self._job.execution_id,
                timeout=timeout,
            ),
            timeout=FOREVER,
        )
        # This worker counts, also while it is stopping.
        return max(1, hosts)

    async def queue_depth(self, queue: str) -> int:
        """Return the number of queued jobs of a queue."""
        depth: int = await self._services.database.retry(lambda c: sql.queue_depth(c, queue=queue), timeout=FOREVER)
        return depth

    async def has_live_worker(self, operation: str, queue: str) -> bool:
        """Return whether a live worker runs an operation from a queue, and the queue is not paused."""
        timeout = self._services.settings.worker_timeout.total_seconds()
        is_live: bool = await self._services.database.retry(
            lambda c: sql.has_live_worker(
                c, operation=operation, queue=queue, execution_id=self._job.execution_id, timeout=timeout
            ),
            timeout=FOREVER,
        )
        return is_live

    async def child_results(self) -> Mapping[str, dict[str, Any] | None]:
        """Return the results of the child jobs by their ids; None for a failed one."""
        rows = await self._services.database.retry(
            lambda c: sql.upstream_results(c, ids=[self._job.id]), timeout=FOREVER
        )
        prefix = f"{self._job.job_id}/"
        results = {
            row["job_id"].removeprefix(prefix): row["result"] for row in rows if row["job_id"].startswith(prefix)
        }
        return {child: orjson.loads(result) if result else None for child, result in results.items()}

    @property
    def dir(self) -> Path:
        """A scratch folder of this run."""
        if self._dir is None:
            space = own_scratch_folder(self._scratch_space)
            self._dir = space / f"{self._job.id}-{self._job.epoch}"
            self._dir.mkdir(parents=True, exist_ok=True)
        return self._dir

    @property
    def progress_before(self) -> float:
        """Progress of the run before, if this one may continue its work; else 0."""
        return self._job.progress

    def progress(self, done: float, message: str | None = None) -> None:
        """Report progress, from 0 to 1."""
        self._progress = (done, message)
        self._services.progress_writer.progress(self._job, done, message)

    async def show_wait(self, message: str | None, *, stops_clock: bool = False, **facts: Any) -> None:
        """Show what the run waits for, or with None that it continues."""
        self._stopped_clock.close()
        if message is not None and stops_clock:
            self._stopped_clock.enter_context(self.time_limit.paused())
        done = self._progress[0]
        self._services.progress_writer.progress(self._job, done, message or self._progress[1])
        await self._wait.record(
            None if message is None else WaitReason(code=WaitCode.SERVER, message=message, facts=facts)
        )

    def log(self, message: str, **facts: Any) -> Awaitable[None]:
        """Log a message for the user as an event."""
        facts = {"message": message, **facts}
        return self._services.progress_writer.add_event(self._job, EventType.JOB_LOG, facts)

    def publish(self, **partial: Any) -> Awaitable[None]:
        """Publish intermediate results as an event."""
        return self._services.progress_writer.add_event(self._job, EventType.JOB_OUTPUT, partial)

    async def fetch_input(self, source: MediaSource) -> Path:
        """Fetch an input file and return its local path."""
        if source.kind not in (SourceKind.ARTIFACT, SourceKind.KEY):
            return await self._services.opener.open(source, self.dir)
        return await self._outage.repeat(lambda: self._services.opener.open(source, self.dir))

    async def keep(
        self, path: Path, *, name: str | None = None, media_type: str | None = None, at_once: bool = False
    ) -> Artifact:
        """Store a file as an artifact, at the end of the run or at once."""
        name = self._free_name(safe_name(name or path.name))
        key = object_key(self._job.operation, self._job.id, name, epoch=self._job.epoch)
        probe = await probe_if_media(path)
        try:
            stored = await self._put(key, path, media_type)
        except (StorageRejected, StorageUnreachable, DiskFull) as error:
            if at_once:
                raise
            stored = await self._keep_on_disk(key, path, media_type, error)
        artifact = Artifact(
            artifact_id=new_id(),
            name=name,
            key=key,
            media_type=stored.media_type,
            size=stored.size,
            sha256=stored.sha256,
            probe=probe,
        )
        self.kept.append(artifact)
        self._kept_paths[name] = path
        if at_once:
            await self._store_at_once(artifact)
        log.info(
            "file stored", **self._job.log_facts, artifact=str(artifact.artifact_id), name=name, size=artifact.size
        )
        return artifact

    async def _store_at_once(self, artifact: Artifact) -> None:
        """Make a stored file an artifact of the job now. Raises LeaseLost if this run does not own the job any more."""
        database, job = self._services.database, self._job
        if not await database.retry(
            lambda c: store_unfinished_artifact(c, job, artifact), timeout=FOREVER, transaction=True
        ):
            raise LeaseLost()
        self._stored_at_once.add(artifact.key)
        await self.publish(artifact=artifact.model_dump(mode="json", by_alias=True))

    async def _put(self, key: str, path: Path, media_type: str | None) -> StoredFile:
        return await self._outage.repeat_upload(lambda: self._services.storage.put(key, path, media_type=media_type))

    async def _keep_on_disk(
        self, key: str, path: Path, media_type: str | None, error: StorageRejected | StorageUnreachable | DiskFull
    ) -> StoredFile:
        """Keep a file that the storage did not take, so that the work of the run is not lost with it.

        The run continues to its end, and fails there with `error`. Raises it at once if the file cannot be kept.
        """
        name = PurePosixPath(key).name
        paths = {name: path} if self._storage_error else {**self._kept_paths, name: path}
        try:
            for each, source in paths.items():
                await asyncio.to_thread(self._finished.add_file, self._job.id, self._job.epoch, each, source)
        except OSError:
            raise error from None
        self._storage_error = self._storage_error or error
        size = (await asyncio.to_thread(path.stat)).st_size
        sha256 = await asyncio.to_thread(sha256_of_file, path)
        return StoredFile(key, size, sha256, media_type or guess_media_type(key))

    async def store_finished(self, inputs: str) -> str | None:
        """Store the files of an earlier run that finished with these inputs, and return its result; None without one.

        Raises the errors of the storage.
        """
        with self._finished.open(self._job.id, inputs) as finished:
            if finished is None:
                return None
            for artifact in finished.artifacts:
                self.kept.append(artifact)
                await self._put(artifact.key, finished.path_of(artifact), artifact.media_type)
        log.info("stored the finished files of an earlier run", **self._job.log_facts, files=len(finished.artifacts))
        return finished.result

    async def finish(self, inputs: str, result: str) -> None:
        """End the run. If the storage did not take all files, save the result, and raise the error of the storage."""
        if self._storage_error is None:
            return
        if self.store.writes:
            # They are not part of the saved result: the operation must run again to register them.
            raise self._storage_error
        save = partial(self._finished.save, self._job.id, self._job.epoch, inputs, result, self.kept)
        await asyncio.to_thread(save)
        log.warning("files of a finished run stay on the disk", **self._job.log_facts, files=len(self.kept))
        raise self._storage_error

    async def discard_finished(self) -> None:
        """Delete the finished files of earlier runs: the job has succeeded."""
        if self._job.epoch > 1:
            await asyncio.to_thread(self._finished.discard, self._job.id)

    def _free_name(self, name: str) -> str:
        taken = {artifact.name for artifact in self.kept}
        path, number = Path(name), 1
        while name in taken:
            number += 1
            name = f"{path.stem}-{number}{path.suffix}"
        return name

    async def once(self, step: str, action: Callable[[], Awaitable[T]], kind: type[T] | TypeAdapter[T]) -> T:
        """Run a step with a side effect at most once in the life of the job."""
        reader: TypeAdapter[T] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        if not await self._record_start(step):
            return await self._stored_value(step, reader)
        return await run_uncancellable(self._run_step(step, action, reader))

    async def _record_start(self, step: str) -> bool:
        """Record the start of a step. Return False if it was started before."""
        tries = 0

        async def begin(connection: Connection) -> bool:
            nonlocal tries
            tries += 1
            if await sql.begin_step(connection, job=self._job.id, name=step, epoch=self._job.epoch):
                return True
            row = await sql.get_step(connection, job=self._job.id, name=step)
            # An earlier try of this call may have been committed, and only its response was lost.
            return tries > 1 and row is not None and row["epoch"] == self._job.epoch and row["finished_at"] is None

        return await self._services.database.retry(begin, timeout=FOREVER)

    async def _run_step(self, step: str, action: Callable[[], Awaitable[T]], reader: TypeAdapter[T]) -> T:
        key = {"job": self._job.id, "name": step, "epoch": self._job.epoch}
        try:
            value = await action()
        except (NoEffect, ConnectionRefusedError, socket.gaierror):
            await self._services.database.retry(lambda c: sql.undo_step(c, **key), timeout=FOREVER)
            raise
        text = reader.dump_json(value).decode()
        await self._services.database.retry(lambda c: sql.end_step(c, **key, value=text), timeout=FOREVER)
        return value

    async def _stored_value(self, step: str, reader: TypeAdapter[T]) -> T:
        row = await self._services.database.retry(
            lambda c: sql.get_step(c, job=self._job.id, name=step), timeout=FOREVER
        )
        if row is None:
            raise LeaseLost()
        if row["finished_at"] is None:
            # The process died in the middle of the step. Repeating it could repeat its side effect.
            started_at = row["started_at"].isoformat()
            raise OutcomeUnknown(
                f"The step '{step}' started at {started_at}, but it is unknown whether it took effect. "
                "It is not repeated automatically; to repeat it, retry with resubmit.",
                step=step,
                startedAt=started_at,
            )
        return reader.validate_python(orjson.loads(row["value"]))

    @cached_property
    def _submissions(self) -> Submissions:
        services = self._services
        return Submissions(
            self._job,
            services.database,
            public_url=services.public_url.url,
            recovery_timeout=services.settings.submission_recovery_timeout.total_seconds(),
            hold=self._services.settings.hold_submissions,
        )

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Providers by name."""
        return self._services.providers

    def webhook_url(self, provider: Provider, step: str = "submit") -> str | None:
        """Return the webhook URL for the request of this step."""
        return self._submissions.webhook_url(provider, step)

    async def submit_once(self, provider: Provider, request: SubmitRequest, step: str = "submit") -> Task:
        """Submit a request to a provider, at most once in the life of the job."""
        return await self._submissions.submit_once(provider, request, step)

    async def open_submission(self, step: str = "submit") -> OpenSubmission | None:
        """Return the open submission of a step."""
        return await self._submissions.open_submission(step)

    async def public_url(self, source: MediaSource) -> str | None:
        """Return a temporary public URL of an input file."""
        services = self._services
        return await input_url(
            source,
            public_url=services.public_url.url,
            settings=services.settings,
            storage=services.storage,
            database=services.database,
        )

    async def wait_for_result(self, task: Task) -> TaskStatus:
        """Return the final status of a task that succeeded."""
        awaiter = TaskAwaiter(self._job, self._services.database, self._services.providers)
        return await awaiter.wait_for_result(self._submissions.sent_submission(task))

    async def _on_outage(self, message: str | None, seconds: float) -> None:
        """Show that the run waits for the storage, or that it continues."""
        done, last_message = self._progress
        shown = last_message if message is None else f"waiting for the storage: {message}"
        self._services.progress_writer.progress(self._job, done, shown)
        await self._wait.record(None if message is None else storage_wait(message, seconds))

    async def delete_files(self) -> None:
        """Delete the files of a run that did not succeed. Their keys contain its epoch: no other run uses them.

        Files that are artifacts already stay. Raises TimeoutError after a minute of an outage of the storage: the slot
        is needed for other jobs.
        """
        keys = [artifact.key for artifact in self.kept if artifact.key not in self._stored_at_once]
        if not keys:
            return
        async with asyncio.timeout(_DELETE_TIMEOUT):
            await self._outage.repeat(lambda: self._services.storage.delete(keys))

    async def close(self) -> None:
        """Delete the scratch folder, and files that were kept for an unfinished run."""
        self._wait.close()
        if self._storage_error is not None:
            await asyncio.to_thread(self._finished.discard_run, self._job.id, self._job.epoch)
        if self._dir is not None:
            await asyncio.to_thread(shutil.rmtree, self._dir, ignore_errors=True)
