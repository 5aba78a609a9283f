"""The context of one run of one operation, without a database.

job = RecordingContext(tmp_path)
result = await thumbnail.run(job, ThumbnailParams(src=MediaSource("clip.mp4")))
assert job.progress_reports[-1].done == 1
assert job.path_of(result.picture).stat().st_size > 0
"""

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable, Iterable, Mapping
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
from callsheet.files.media_types import guess_media_type
from callsheet.files.object_keys import object_key, safe_name
from callsheet.files.storage import open_folder
from callsheet.media.ffmpeg.binary import open_ffmpeg
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import probe_if_media
from callsheet.operation.contract import OpenSubmission
from callsheet.providers.contract import Provider, SubmitRequest, Task, TaskStatus
from callsheet.providers.task_result import require_success
from callsheet.settings import Settings

_BETWEEN_LOOKS = 0.01

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """One report: how much is done, from 0 to 1."""

    done: float
    message: str | None


class RecordingContext:
    """Keeps all that an operation does with its context, for the test to look at.

    Everything lies under `folder`: working files in `work`, kept files in `kept`, the cache in `cache`; contexts of
    one folder share it. `attempt` is the number of the run, `ran_first` tells it that the jobs it wanted to run first
    have ended, `host_count` how many machines there are, `providers` whom it can order from,
    `comfyui` a pool of ComfyUI servers that several contexts share (default: one of its own).
    """

    def __init__(
        self,
        folder: Path,
        *,
        operation: str = "tested",
        attempt: int = 1,
        ran_first: bool = False,
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
        self.children_done = ran_first
        self.host_count = host_count
        self.queue_lengths: dict[str, int] = {}
        self.unserved: set[str] = set()
        self.results_first: dict[str, dict[str, Any] | None] = {}
        self.settings = settings or Settings(_env_file=None, data_dir=folder / "data")
        self.comfyui = comfyui or Pool(self.settings)
        self.progress_reports: list[Progress] = []
        self.logs: list[dict[str, Any]] = []
        self.partial_data: list[dict[str, Any]] = []
        self.kept: list[Artifact] = []
        self.steps: dict[str, Any] = {}
        self.providers = {provider.name: provider for provider in providers}
        self.orders: dict[str, SubmitRequest] = {}
        """What was sent, by step."""
        self.asked: dict[str, str] = {}
        """Whom, by step."""
        self.tasks: dict[str, Task] = {}
        """What came of it."""
        self.refused: list[SubmitRequest] = []
        """What was sent and certainly not taken."""
        self._folder = folder

    @cached_property
    def dir(self) -> Path:
        """A folder for working files."""
        folder = self._folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def ffmpeg(self) -> FFmpeg:
        """The FFmpeg of this machine; raises ConfigurationError where there is none."""
        return open_ffmpeg(self.settings)

    @cached_property
    def cache(self) -> FileCache:
        """A real one, in a folder."""
        return FileCache(open_folder(self._folder / "cache"), max_age=timedelta(days=1))

    async def worker_host_count(self) -> int:
        """Return `host_count`."""
        return self.host_count

    async def queue_depth(self, queue: str) -> int:
        """Return what `queue_lengths` says."""
        return self.queue_lengths.get(queue, 0)

    async def has_live_worker(self, operation: str, queue: str) -> bool:
        """Tell whether `unserved` names neither of the two."""
        return not {operation, queue} & self.unserved

    async def child_results(self) -> Mapping[str, dict[str, Any] | None]:
        """Return `results_first`."""
        return self.results_first

    def progress(self, done: float, message: str | None = None) -> None:
        """Add to `progress_reports`."""
        self.progress_reports.append(Progress(done, message))

    def log(self, message: str, **facts: Any) -> None:
        """Add to `logs`."""
        self.logs.append({"message": message, **facts})

    def publish(self, **partial: Any) -> None:
        """Add to `partial_data`."""
        self.partial_data.append(partial)

    async def fetch_input(self, source: MediaSource) -> Path:
        """Return the path of a local file or of a kept one; raises BadSource for anything else."""
        if source.kind is SourceKind.PATH:
            path = Path(str(source.root))
        elif source.kind is SourceKind.ARTIFACT:
            path = self._kept_file(source.artifact_id)
        else:
            raise BadSource(f"this context opens local paths and kept files, not {source.text}")
        if not await asyncio.to_thread(path.is_file):
            raise BadSource(f"there is no file {path}")
        return path

    async def keep(self, path: Path, *, name: str | None = None, media_type: str | None = None) -> Artifact:
        """Copy a file into `kept` and add its record to the list of that name."""
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
            sha256=await asyncio.to_thread(_sha256, target),
            probe=await probe_if_media(target),
        )
        self.kept.append(artifact)
        return artifact

    def path_of(self, artifact: Artifact) -> Path:
        """Return where a kept file lies."""
        return self._folder / "kept" / str(artifact.artifact_id) / artifact.name

    async def once(self, step: str, action: Callable[[], Awaitable[T]], kind: type[T] | TypeAdapter[T]) -> T:
        """Do it the first time, and give its value again after that, read back as it would be from the database."""
        reader: TypeAdapter[T] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        if step not in self.steps:
            self.steps[step] = reader.dump_python(await action(), mode="json")
        return reader.validate_python(self.steps[step])

    def webhook_url(self, provider: Provider, step: str = "submit") -> str | None:
        """Return an address under `settings.public_url`, if there is one and the provider calls back."""
        if self.settings.public_url is None or not provider.capabilities.webhook:
            return None
        return f"{self.settings.public_url}/api/webhooks/job/{self.id}?token={step}"

    async def submit_once(self, provider: Provider, order: SubmitRequest, step: str = "submit") -> Task:
        """Send it the first time, and give its task again after that. What is refused may be ordered again."""
        if step not in self.tasks:
            self.orders[step], self.asked[step] = replace(order, client_reference=str(new_id())), provider.name
            try:
                self.tasks[step] = await provider.submit(self.orders[step])
            except (SubmissionRejected, ProviderRateLimited, ProviderUnreachable):
                self.refused.append(self.orders.pop(step))
                raise
        return self.tasks[step]

    async def open_submission(self, step: str = "submit") -> OpenSubmission | None:
        """Return what was ordered in a step; where no task came of it, its outcome is unknown."""
        order = self.orders.get(step)
        return None if order is None else OpenSubmission(self.asked[step], order.model, self.tasks.get(step))

    async def public_url(self, source: MediaSource) -> str | None:
        """Return a URL as it is, else an address under `settings.public_url`, if there is one; it leads nowhere."""
        if source.kind is SourceKind.URL:
            return str(source.root)
        if self.settings.public_url is None or source.kind is not SourceKind.ARTIFACT:
            return None
        return f"{self.settings.public_url}/files/{source.artifact_id}?sig=tested"

    async def wait_for_result(self, task: Task) -> TaskStatus:
        """Look until the task has ended, with next to no pause, and return the last look; raises ProviderFailed."""
        provider = self.providers[task.provider]
        look = await provider.get_status(task)
        while not look.ended:
            await asyncio.sleep(_BETWEEN_LOOKS)
            look = await provider.get_status(task)
        return require_success(task, look)

    def _kept_file(self, artifact_id: UUID) -> Path:
        for artifact in self.kept:
            if artifact.artifact_id == artifact_id:
                return self.path_of(artifact)
        raise BadSource(f"no artifact {artifact_id} was kept in this context")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
