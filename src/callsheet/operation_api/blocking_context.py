"""The job context of operations that are plain functions. They run in a thread or in a process of their own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from uuid import UUID

from callsheet.domain.artifacts import Artifact
from callsheet.domain.media_source import MediaSource
from callsheet.settings import Settings

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from callsheet.operation_api.contract import Context

T = TypeVar("T")


class JobStopped(BaseException):
    """The run was cancelled, has exceeded its time limit, or its worker stops. Do not catch it, except to clean up."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known about a run when it starts."""

    id: UUID
    execution_id: UUID
    job_id: str
    operation: str
    attempt: int
    dir: Path
    settings: Settings


class ContextBridge(Protocol):
    """Connection to the `Context` of the run, which lives in the event loop of the worker."""

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call an async method and return its result. Raises its error, and JobStopped."""

    def send(self, method: str, *args: Any, **options: Any) -> None:
        """Call a method that returns nothing, without waiting for it."""

    def once(self, step: str, action: Callable[[], T], kind: "type[T] | TypeAdapter[T]") -> T:
        """Run a side effect at most once in the life of the job."""

    def run_async(self, work: "Callable[[Context], Awaitable[T]]") -> T:
        """Run a coroutine function with the context, in the event loop. Raises TypeError in another process."""

    def check_stopped(self) -> None:
        """Raise JobStopped if the run must stop."""


class BlockingContext:
    """The services for one run of an operation that is a plain function.

        path = job.fetch_input(params.src)
        for number, frame in enumerate(frames):
            work(frame)
            job.progress(number / len(frames))
        return Clip(video=job.keep(target))

    Every method raises JobStopped once the run was cancelled or has exceeded its time limit. In a thread this is the
    only way to stop it, so a long run must call `progress` or `check_stopped` from time to time.
    """

    def __init__(self, facts: RunFacts, bridge: ContextBridge) -> None:
        self._facts = facts
        self._bridge = bridge

    @property
    def id(self) -> UUID:
        """Id of the job record; globally unique."""
        return self._facts.id

    @property
    def execution_id(self) -> UUID:
        """Id of the job's execution."""
        return self._facts.execution_id

    @property
    def job_id(self) -> str:
        """The job's id in its plan."""
        return self._facts.job_id

    @property
    def operation(self) -> str:
        """The stored name of the operation."""
        return self._facts.operation

    @property
    def attempt(self) -> int:
        """1 for the first run, plus 1 for each failed run before this one."""
        return self._facts.attempt

    @property
    def dir(self) -> Path:
        """Working folder of this run; deleted at its end."""
        return self._facts.dir

    @property
    def settings(self) -> Settings:
        """Settings of this worker."""
        return self._facts.settings

    def check_stopped(self) -> None:
        """Raise JobStopped if the run must stop."""
        self._bridge.check_stopped()

    def progress(self, done: float, message: str | None = None) -> None:
        """Report progress, from 0 to 1. Can be called at any rate; writes to the database are throttled."""
        self._send("progress", done, message)

    def log(self, message: str, **facts: Any) -> None:
        """Record a message for people as an event `job.log`. Do not include secrets. It can wait as `publish` does."""
        self._call("log", message, **facts)

    def publish(self, **partial: Any) -> None:
        """Record intermediate results of a running job as an event `job.output`.

        While many events of the job wait for the database, the call waits too.
        """
        self._call("publish", **partial)

    def fetch_input(self, source: MediaSource) -> Path:
        """Download an input file and return its path. Raises as `Context.fetch_input` does."""
        return cast(Path, self._call("fetch_input", source))

    def keep(
        self, path: Path, *, name: str | None = None, media_type: str | None = None, at_once: bool = False
    ) -> Artifact:
        """Store a finished file and return its artifact, as `Context.keep` does, and with its errors."""
        return cast(Artifact, self._call("keep", path, name=name, media_type=media_type, at_once=at_once))

    def once(self, step: str, action: Callable[[], T], kind: "type[T] | TypeAdapter[T]") -> T:
        """Run a side effect at most once in the life of the job; see `Context.once`.

        A process that is killed during the action leaves the outcome unknown, as the death of a worker does.
        """
        self._bridge.check_stopped()
        return self._bridge.once(step, action, kind)

    def run_async(self, work: "Callable[[Context], Awaitable[T]]") -> T:
        """Run a coroutine function with the async `Context`, and return its result. Not in a process of its own.

        job.run_async(lambda job: job.ffmpeg.run(arguments))
        """
        self._bridge.check_stopped()
        return self._bridge.run_async(work)

    def _call(self, method: str, *args: Any, **options: Any) -> Any:
        self._bridge.check_stopped()
        return self._bridge.call(method, *args, **options)

    def _send(self, method: str, *args: Any, **options: Any) -> None:
        self._bridge.check_stopped()
        self._bridge.send(method, *args, **options)
