"""A context for one run of one operation, without a database.

job = RecordingContext(tmp_path)
result = await thumbnail.run(job, ThumbnailParams(src=MediaSource("clip.mp4")))
assert job.progress_reports[-1].done == 1
assert job.path_of(result.image).stat().st_size > 0
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from callsheet.comfyui.pool import Pool
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadSource, ProviderRateLimited, ProviderUnreachable, SubmissionRejected
from callsheet.domain.ids import new_id
from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.files.cache import FileCache
from callsheet.files.digest import sha256_of_file
from callsheet.files.media_types import guess_media_type
from callsheet.files.object_keys import object_key, safe_name
from callsheet.files.storage import open_folder
from callsheet.media.ffmpeg.binary import open_ffmpeg
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import probe_if_media
from callsheet.operation_api.contract import OpenSubmission
from callsheet.providers.contract import Provider, SubmitRequest, Task, TaskStatus
from callsheet.providers.task_result import require_success
from callsheet.settings import Settings

_POLL_INTERVAL = 0.01
"""Seconds between two polls of a task."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """One call of `progress`: the share done, from 0 to 1."""

    done: float
    message: str | None


class RecordingStore:
    """A `StateStore` in memory: `rows` are what the statements return, `writes` what the operation registered."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Mapping[str, Any]]] = {}
        """Rows by the name of the statement; default: none."""
        self.writes: list[tuple[str, dict[str, Any]]] = []
        """Name of the statement, and its values."""

    async def read(self, statement: str, **_values: Any) -> list[Mapping[str, Any]]:
        """Return the rows of the statement."""
        return self.rows.get(statement, [])

    def write_with_completion(self, statement: str, *, lock: str, **values: Any) -> None:  # noqa: ARG002 - no others
        """Add to `writes`."""
        self.writes.append((statement, values))


class RecordingContext:
    """A `Context` that records what an operation does.

    All files are under `folder`: working files in `work`, kept files in `kept`, the cache in `cache`. Contexts with the
    same folder share them. `attempt`, `children_done` and `providers` are what the operation sees; `host_count` is
    returned by `worker_host_count`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        operation: str = "tested",
        attempt: int = 1,
        children_done: bool = False,
        host_count: int = 1,
        settings: Settings | None = None,
        providers: Iterable[Provider] = (),
        comfyui: Pool | None = None,
    ) -> None:
        self.id: UUID = new_id()
        self.execution_id: UUID = new_id()
        self.job_id = "tested"
        self.operation = operation
        self.attempt = attempt
        self.children_done = children_done
        self.host_count = host_count
        self.queue_depths: dict[str, int] = {}
        """Returned by `queue_depth`; default 0."""
        self.without_worker: set[str] = set()
        """Operations and queues for which `has_live_worker` returns False."""
        self.results_of_children: dict[str, dict[str, Any] | None] = {}
        """Returned by `child_results`."""
        self.settings = settings or Settings(_env_file=None, data_dir=folder / "data")
        self.comfyui = comfyui or Pool(self.settings)
        self.progress_before = 0.0
        self.progress_reports: list[ProgressReport] = []
        self.waits: list[tuple[str | None, bool]] = []
        """Messages given to `show_wait`, and whether the clock stops."""
        self.wait_facts: list[dict[str, Any]] = []
        self.logs: list[dict[str, Any]] = []
        self.published: list[dict[str, Any]] = []
        self.kept: list[Artifact] = []
        self.kept_at_once: list[Artifact] = []
        """Those of `kept` that stay if the run does not succeed."""
        self.steps: dict[str, Any] = {}
        self.store = RecordingStore()
        self.providers = {provider.name: provider for provider in providers}
        self.submit_requests: dict[str, SubmitRequest] = {}
        """The accepted submissions, by step."""
        self.submitted_to: dict[str, str] = {}
        """Names of their providers, by step."""
        self.tasks: dict[str, Task] = {}
        """Their tasks, by step."""
        self.rejected_requests: list[SubmitRequest] = []
        """The rejected submissions."""
        self._folder = folder

    @cached_property
    def dir(self) -> Path:
        """The folder for working files."""
        folder = self._folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def ffmpeg(self) -> FFmpeg:
        """The FFmpeg of this machine. Raises ConfigurationError without one."""
        return open_ffmpeg(self.settings)

    @cached_property
    def cache(self) -> FileCache:
        """A file cache in a folder."""
        return FileCache(open_folder(self._folder / "cache"), max_age=timedelta(days=1))

    async def worker_host_count(self) -> int:
        """Return `host_count`."""
        return self.host_count

    async def queue_depth(self, queue: str) -> int:
        """Return the value in `queue_depths`; default 0."""
        return self.queue_depths.get(queue, 0)

    async def has_live_worker(self, operation: str, queue: str) -> bool:
        """Return whether `without_worker` contains neither the operation nor the queue."""
        return not {operation, queue} & self.without_worker

    async def child_results(self) -> Mapping[str, dict[str, Any] | None]:
        """Return `results_of_children`."""
        return self.results_of_children

    def progress(self, done: float, message: str | None = None) -> None:
        """Add to `progress_reports`."""
        self.progress_reports.append(ProgressReport(done, message))

    async def show_wait(self, message: str | None, *, stops_clock: bool = False, **facts: Any) -> None:
        """Add to `waits` and `wait_facts`."""
        self.waits.append((message, stops_clock))
        self.wait_facts.append(facts)

    def log(self, message: str, **facts: Any) -> Awaitable[None]:
        """Add to `logs`."""
        self.logs.append({"message": message, **facts})
        return _Recorded()

    def publish(self, **partial: Any) -> Awaitable[None]:
        """Add to `published`."""
        self.published.append(partial)
        return _Recorded()

    async def fetch_input(self, source: MediaSource) -> Path:
        """Return the path of a local or kept file. Raises BadSource for any other source."""
        if source.kind is SourceKind.PATH:
            path = Path(str(source.root))
        elif source.kind is SourceKind.ARTIFACT:
            path = self._kept_file(source.artifact_id)
        else:
            raise BadSource(f"this context supports local paths and kept files, not {source.text}")
        if not await asyncio.to_thread(path.is_file):
            raise BadSource(f"there is no file {path}")
        return path

    async def keep(
        self, path: Path, *, name: str | None = None, media_type: str | None = None, at_once: bool = False
    ) -> Artifact:
        """Copy a file to the folder `kept` and add its artifact to the list `kept`; to `kept_at_once`, too."""
        name = safe_name(name or path.name)
        artifact_id = new_id()
        target = self._folder / "kept" / str(artifact_id) / name
        await asyncio.to_thread(target.parent.mkdir, parents=True)
        await asyncio.to_thread(shutil.copyfile, path, target)
        artifact = Artifact(
            artifact_id=artifact_id,
            name=name,
            key=object_key(self.operation, self.id, name),
            media_type=media_type or guess_media_type(name),
            size=target.stat().st_size,
            sha256=await asyncio.to_thread(sha256_of_file, target),
            probe=await probe_if_media(target),
        )
        self.kept.append(artifact)
        if at_once:
            self.kept_at_once.append(artifact)
        return artifact

    def path_of(self, artifact: Artifact) -> Path:
        """Return the path of a kept file."""
        return self._folder / "kept" / str(artifact.artifact_id) / artifact.name

    async def once(self, step: str, action: Callable[[], Awaitable[T]], kind: type[T] | TypeAdapter[T]) -> T:
        """Run the action once per step. Later calls return its value, parsed from JSON as from the database."""
        reader: TypeAdapter[T] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        if step not in self.steps:
            self.steps[step] = reader.dump_python(await action(), mode="json")
        return reader.validate_python(self.steps[step])

    def webhook_url(self, provider: Provider, step: str = "submit") -> str | None:
        """Return a URL under `settings.public_url`; None without one, or if the provider sends no webhooks."""
        if self.settings.public_url is None or not provider.capabilities.webhook:
            return None
        return f"{self.settings.public_url}/api/webhooks/job/{self.id}?token={step}"

    async def submit_once(self, provider: Provider, request: SubmitRequest, step: str = "submit") -> Task:
        """Submit the request once per step. Later calls return its task. A rejected request can be submitted again."""
        if step not in self.tasks:
            self.submit_requests[step], self.submitted_to[step] = (
                replace(request, client_reference=str(new_id())),
                provider.name,
            )
            try:
                self.tasks[step] = await provider.submit(self.submit_requests[step])
            except (SubmissionRejected, ProviderRateLimited, ProviderUnreachable):
                self.rejected_requests.append(self.submit_requests.pop(step))
                raise
        return self.tasks[step]

    async def open_submission(self, step: str = "submit") -> OpenSubmission | None:
        """Return the submission of a step. Without a task, its outcome is unknown."""
        request = self.submit_requests.get(step)
        return None if request is None else OpenSubmission(self.submitted_to[step], request.model, self.tasks.get(step))

    async def public_url(self, source: MediaSource) -> str | None:
        """Return the URL of a URL source, else a placeholder URL under `settings.public_url`; None without one."""
        if source.kind is SourceKind.URL:
            return str(source.root)
        if self.settings.public_url is None or source.kind is not SourceKind.ARTIFACT:
            return None
        return f"{self.settings.public_url}/files/{source.artifact_id}?sig=tested"

    async def wait_for_result(self, task: Task) -> TaskStatus:
        """Poll the task until it ends, every 10 ms, and return its final status. Raises ProviderFailed."""
        provider = self.providers[task.provider]
        status = await provider.get_status(task)
        while not status.ended:
            await asyncio.sleep(_POLL_INTERVAL)
            status = await provider.get_status(task)
        return require_success(task, status)

    def _kept_file(self, artifact_id: UUID) -> Path:
        for artifact in self.kept:
            if artifact.artifact_id == artifact_id:
                return self.path_of(artifact)
        raise BadSource(f"no artifact {artifact_id} was kept in this context")


class _Recorded:
    """Awaiting it does not wait."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from ()
