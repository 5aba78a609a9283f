"""What a running operation is given: the context, made real."""

import asyncio
import shutil
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from callsheet.comfyui.pool import Pool
from callsheet.db.database import FOREVER, Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import LeaseLost, NoEffect, OutcomeUnknown
from callsheet.domain.ids import new_id
from callsheet.domain.media_source import MediaSource
from callsheet.engine.submissions.input_urls import input_url
from callsheet.engine.submissions.submit_once import Submissions
from callsheet.engine.submissions.task_awaiter import TaskAwaiter
from callsheet.engine.uncancellable import run_uncancellable
from callsheet.engine.worker.progress_writer import ProgressWriter
from callsheet.files.cache import FileCache
from callsheet.files.object_keys import object_key, safe_name
from callsheet.files.sources import SourceOpener
from callsheet.files.storage import Storage
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import probe_if_media
from callsheet.operation.catalog import Catalog
from callsheet.operation.contract import OpenSubmission
from callsheet.providers.contract import Provider, SubmitRequest, Task, TaskStatus
from callsheet.queue.claim import ClaimedJob
from callsheet.settings import Settings

T = TypeVar("T")


class WorkerServices:
    """What all runs of one worker share."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        storage: Storage,
        opener: SourceOpener,
        reporter: ProgressWriter,
        catalog: Catalog,
        cache: FileCache,
        ffmpeg: Callable[[], FFmpeg],
        providers: Mapping[str, Provider],
        comfyui: Pool,
    ) -> None:
        self.settings = settings
        self.database = database
        self.storage = storage
        self.opener = opener
        self.progress_writer = reporter
        self.catalog = catalog
        """All operations, also those that only other workers can run."""
        self.cache = cache
        self.ffmpeg = ffmpeg
        self.providers = providers
        self.comfyui = comfyui


class JobContext:
    """The context of one run of one job."""

    def __init__(self, job: ClaimedJob, tools: WorkerServices) -> None:
        self._job = job
        self._services = tools
        self._dir: Path | None = None
        self.kept: list[Artifact] = []
        self.children_done = False
        """Whether jobs that this one wanted to run first have ended."""
        settings = tools.settings
        self._submissions = Submissions(
            job,
            tools.database,
            public_url=settings.public_url.rstrip("/") if settings.public_url else None,
            patience=settings.submission_recovery_timeout.total_seconds(),
        )
        self._task_awaiter = TaskAwaiter(job, tools.database, tools.providers)

    @property
    def id(self) -> UUID:
        """Of the job record."""
        return self._job.id

    @property
    def execution_id(self) -> UUID:
        """Of the execution that the job belongs to."""
        return self._job.execution_id

    @property
    def job_id(self) -> str:
        """The job's id inside its plan."""
        return self._job.job_id

    @property
    def operation(self) -> str:
        """The operation's stored name."""
        return self._job.operation

    @property
    def attempt(self) -> int:
        """1 for the first run."""
        return self._job.attempts + 1

    @property
    def settings(self) -> Settings:
        """Those of this worker."""
        return self._services.settings

    @property
    def ffmpeg(self) -> FFmpeg:
        """Runs FFmpeg."""
        return self._services.ffmpeg()

    @property
    def cache(self) -> FileCache:
        """Finished work in the storage."""
        return self._services.cache

    @property
    def comfyui(self) -> Pool:
        """The ComfyUI servers of this worker."""
        return self._services.comfyui

    async def worker_host_count(self) -> int:
        """Return how many machines have a living worker that runs this operation; at least 1."""
        timeout = self._services.settings.worker_timeout.total_seconds()
        found: int = await self._services.database.retry(
            lambda c: sql.count_worker_hosts(c, operation=self._job.operation, queue=self._job.queue, timeout=timeout)
        )
        # Our own worker counts, also while it is stopping.
        return max(1, found)

    async def queue_depth(self, queue: str) -> int:
        """Return how many jobs are ready in a queue, and wait for a seat."""
        found: int = await self._services.database.retry(lambda c: sql.queue_depth(c, queue=queue))
        return found

    async def has_live_worker(self, operation: str, queue: str) -> bool:
        """Tell whether a living worker takes jobs of an operation from a queue, and the queue is not paused."""
        timeout = self._services.settings.worker_timeout.total_seconds()
        found: bool = await self._services.database.retry(
            lambda c: sql.has_live_worker(c, operation=operation, queue=queue, timeout=timeout)
        )
        return found

    async def child_results(self) -> Mapping[str, dict[str, Any] | None]:
        """Return what the jobs that ran first returned, by their ids."""
        rows = await self._services.database.retry(lambda c: sql.upstream_results(c, ids=[self._job.id]))
        below = f"{self._job.job_id}/"
        first = {row["job_id"].removeprefix(below): row["result"] for row in rows if row["job_id"].startswith(below)}
        return {name: orjson.loads(result) if result else None for name, result in first.items()}

    @property
    def dir(self) -> Path:
        """A folder for this run alone."""
        if self._dir is None:
            self._dir = self._services.settings.scratch_dir / f"{self._job.id}-{self._job.epoch}"
            self._dir.mkdir(parents=True, exist_ok=True)
        return self._dir

    def progress(self, done: float, message: str | None = None) -> None:
        """Report how much is done, from 0 to 1."""
        self._services.progress_writer.progress(self._job, done, message)

    def log(self, message: str, **facts: Any) -> None:
        """Tell people something about this run."""
        self._services.progress_writer.add_event(self._job, "job.log", {"message": message, **facts})

    def publish(self, **partial: Any) -> None:
        """Publish intermediate results."""
        self._services.progress_writer.add_event(self._job, "job.output", partial)

    async def fetch_input(self, source: MediaSource) -> Path:
        """Bring an input file here."""
        return await self._services.opener.open(source, self.dir)

    async def keep(self, path: Path, *, name: str | None = None, media_type: str | None = None) -> Artifact:
        """Store a finished file."""
        name = self._free_name(safe_name(name or path.name))
        key = object_key(self._job.operation, self._job.id, name, epoch=self._job.epoch)
        probe = await probe_if_media(path)
        stored = await self._services.storage.put(key, path, media_type=media_type)
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
        return artifact

    def _free_name(self, name: str) -> str:
        taken = {artifact.name for artifact in self.kept}
        path, number = Path(name), 1
        while name in taken:
            number += 1
            name = f"{path.stem}-{number}{path.suffix}"
        return name

    async def once(self, step: str, action: Callable[[], Awaitable[T]], kind: type[T] | TypeAdapter[T]) -> T:
        """Do something that must never be done twice."""
        reader: TypeAdapter[T] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        if not await self._begin(step):
            return await self._earlier_value(step, reader)
        return await run_uncancellable(self._do(step, action, reader))

    async def _begin(self, step: str) -> bool:
        """Write down that a step begins; False when it was begun before."""
        tries = 0

        async def begin(connection: Connection) -> bool:
            nonlocal tries
            tries += 1
            if await sql.begin_step(connection, job=self._job.id, name=step, epoch=self._job.epoch):
                return True
            row = await sql.get_step(connection, job=self._job.id, name=step)
            # The answer to our own first try may have been lost.
            return tries > 1 and row is not None and row["epoch"] == self._job.epoch and row["done_at"] is None

        return await self._services.database.retry(begin, seconds=FOREVER)

    async def _do(self, step: str, action: Callable[[], Awaitable[T]], reader: TypeAdapter[T]) -> T:
        mine = {"job": self._job.id, "name": step, "epoch": self._job.epoch}
        try:
            value = await action()
        except (NoEffect, ConnectionRefusedError, socket.gaierror):
            await self._services.database.retry(lambda c: sql.undo_step(c, **mine), seconds=FOREVER)
            raise
        text = reader.dump_json(value).decode()
        await self._services.database.retry(lambda c: sql.end_step(c, **mine, value=text), seconds=FOREVER)
        return value

    async def _earlier_value(self, step: str, reader: TypeAdapter[T]) -> T:
        row = await self._services.database.retry(lambda c: sql.get_step(c, job=self._job.id, name=step))
        if row is None:
            raise LeaseLost()
        if row["done_at"] is None:
            begun_at = row["begun_at"].isoformat()
            raise OutcomeUnknown(
                f"The step '{step}' was begun at {begun_at}, and whether it took effect is not known. "
                "It is not done again by itself; retry with resubmit to do so.",
                step=step,
                begun_at=begun_at,
            )
        return reader.validate_python(orjson.loads(row["value"]))

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Somebody else's generators, by name."""
        return self._services.providers

    def webhook_url(self, provider: Provider, step: str = "submit") -> str | None:
        """Return the address that belongs into the order of this step."""
        return self._submissions.webhook_url(provider, step)

    async def submit_once(self, provider: Provider, order: SubmitRequest, step: str = "submit") -> Task:
        """Send an order, at most once in the life of the job."""
        return await self._submissions.submit_once(provider, order, step)

    async def open_submission(self, step: str = "submit") -> OpenSubmission | None:
        """Return what an earlier run has ordered in a step."""
        return await self._submissions.open_submission(step)

    async def public_url(self, source: MediaSource) -> str | None:
        """Return an address at which others can fetch an input file for a while."""
        tools = self._services
        return await input_url(source, settings=tools.settings, storage=tools.storage, database=tools.database)

    async def wait_for_result(self, task: Task) -> TaskStatus:
        """Return how a task that was ordered has ended."""
        return await self._task_awaiter.wait_for_result(self._submissions.sent_submission(task))

    async def delete_files(self) -> None:
        """Delete the stored files of a run that came to nothing; their keys are this run's alone."""
        if self.kept:
            await self._services.storage.delete([artifact.key for artifact in self.kept])

    async def close(self) -> None:
        """Remove the run's folder."""
        if self._dir is not None:
            await asyncio.to_thread(shutil.rmtree, self._dir, ignore_errors=True)
