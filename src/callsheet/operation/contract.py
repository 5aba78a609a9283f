"""What an operation is, and what it is given to work with."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_type_hints
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from callsheet.comfyui.pool import Pool
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import Transient
from callsheet.domain.media_source import MediaSource
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.providers.contract import Provider, SubmitRequest, Task, TaskStatus
from callsheet.settings import Settings

T = TypeVar("T")
P = TypeVar("P", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)

WorkerLostPolicy = Literal["retry", "resume", "park"]
"""What happens to a job whose worker died: `retry` runs it again (local work), `resume` runs it again to go on with
what it has ordered (`Context.submit_once` gives it the same task), `park` fails it with `outcome_unknown` for a person to
decide (a paid call may have been made)."""


class Cache(Protocol):
    """Finished work under a name for its contents, shared by all workers.

    A key is `<kind>/<64 hexadecimal digits>`, such as `piece/ab12…`. The digits name everything that decides the
    contents; whoever finds a file under them must be able to take it for their own. Any file may be gone at any time.
    """

    async def fetch(self, key: str, target: Path) -> bool:
        """Bring what was kept under the key to `target`, to be read only; False when there is nothing.

        Raises DiskFull when there is no room for it.
        """

    async def keep(self, key: str, path: Path) -> None:
        """Keep a finished file under the key. What cannot be kept is logged, and is no failure of the job."""


@dataclass(frozen=True, slots=True)
class OpenSubmission:
    """What an earlier run of a job has ordered."""

    provider: str
    model: str
    """By the provider's own name."""
    task: Task | None
    """None: whether the provider took the order is not known yet."""


@dataclass(frozen=True, slots=True)
class ChildJob:
    """A job that another one wants to run first."""

    id: str
    """Formed as in a plan; in the execution it stands as `<id of the job that wants it>/<id>`."""
    operation: str
    params: dict[str, Any]
    """As JSON, with values only: what looks like a reference is text."""


class RunChildJobs(Exception):
    """Raised by an operation: these jobs are to run first.

    The job gives its seat back, which counts as no attempt, and begins anew when they have succeeded or failed: what
    became of them it sees by what they left in the cache. It can ask for this once (`Context.children_done`).
    """

    def __init__(self, jobs: Sequence[ChildJob]) -> None:
        """Raises ValueError when there are none."""
        if not jobs:
            raise ValueError("there must be jobs to run first")
        super().__init__(f"{len(jobs)} jobs are to run first")
        self.jobs = tuple(jobs)


class Context(Protocol):
    """What a running operation is given."""

    @property
    def id(self) -> UUID:
        """Of the job record; unique everywhere."""

    @property
    def execution_id(self) -> UUID:
        """Of the execution that the job belongs to."""

    @property
    def job_id(self) -> str:
        """The job's id inside its plan."""

    @property
    def operation(self) -> str:
        """The operation's stored name."""

    @property
    def attempt(self) -> int:
        """1 for the first run, one more for each run after a failure."""

    @property
    def children_done(self) -> bool:
        """Whether jobs that this one wanted to run first have ended (`RunChildJobs`); it cannot ask for more."""

    @property
    def dir(self) -> Path:
        """A folder for this run alone; removed when it ends."""

    @property
    def settings(self) -> Settings:
        """Those of this worker."""

    @property
    def ffmpeg(self) -> FFmpeg:
        """Runs FFmpeg; a run ends with the job, however the job ends."""

    @property
    def cache(self) -> Cache:
        """Work that later runs, and other jobs, need not do again."""

    @property
    def comfyui(self) -> Pool:
        """The ComfyUI servers of this worker."""

    async def worker_host_count(self) -> int:
        """Return how many machines have a living worker that runs this operation; at least 1."""

    async def queue_depth(self, queue: str) -> int:
        """Return how many jobs are ready in a queue, and wait for a seat."""

    async def has_live_worker(self, operation: str, queue: str) -> bool:
        """Tell whether a living worker takes jobs of an operation from a queue, and the queue is not paused."""

    async def child_results(self) -> Mapping[str, dict[str, Any] | None]:
        """Return what the jobs that ran first (`RunChildJobs`) returned, by their ids; None for those that failed."""

    def progress(self, done: float, message: str | None = None) -> None:
        """Report how much is done, from 0 to 1. Call it as often as you like: what is stored is throttled."""

    def log(self, message: str, **facts: Any) -> None:
        """Tell people something about this run; it becomes an event. Keep secrets out."""

    def publish(self, **partial: Any) -> None:
        """Publish intermediate results while the job runs; they become an event."""

    async def fetch_input(self, source: MediaSource) -> Path:
        """Bring an input file here and return its path; a local file is not copied.

        Raises BadSource when it must not be used, SourceUnreachable when it did not come.
        """

    async def keep(self, path: Path, *, name: str | None = None, media_type: str | None = None) -> Artifact:
        """Store a finished file and return its record; put that into the result.

        It counts as the job's artifact once the job has succeeded. Raises DiskFull or StorageUnreachable.
        """

    async def once(self, step: str, action: Callable[[], Awaitable[T]], kind: type[T] | TypeAdapter[T]) -> T:
        """Do something that must never be done twice, such as a paid call; later runs of the job get its value.

        The intent is written down before, the value after. A later run that finds the intent without a value
        raises OutcomeUnknown instead of doing it again. `kind` reads the stored value back. When `action` raises
        NoEffect, or could not connect at all, the intent is taken back, and a later run may do it.
        """

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Somebody else's generators, by name; raises ConfigurationError for one that is not set up here."""

    def webhook_url(self, provider: Provider, step: str = "submit") -> str | None:
        """Return the address that belongs into the order of this step, for the provider to call.

        None when this server cannot be reached from outside, or the provider calls nobody.
        """

    async def submit_once(self, provider: Provider, order: SubmitRequest, step: str = "submit") -> Task:
        """Send an order, at most once in the life of the job; a later run is given the task that came of it.

        The intent is written down before, the task after. The order's mark is set here. Raises Refused,
        ProviderRateLimited or ProviderUnreachable when certainly nothing was ordered: it may be ordered again, or of another
        provider. That other order belongs into the same step, or a later run would try the first provider once more;
        `ordered` tells it who took the order. When that is not known it is found out as far as the provider lets us,
        however long that takes; in the end SubmissionUnknown is raised, and only a person's retry with resubmit sends
        the order again. Give way to that error: whoever orders elsewhere instead may pay twice.
        """

    async def open_submission(self, step: str = "submit") -> OpenSubmission | None:
        """Return what an earlier run has ordered in a step, without sending anything; None when nothing is open there.

        Where its task is None, it is not known yet whether it was taken: `order` it again, of the same provider in the
        same step, to have that found out.
        """

    async def public_url(self, source: MediaSource) -> str | None:
        """Return an address at which others can fetch an input file for a while.

        None when there is no such address: the file lies on this machine alone, or nobody can reach this server.
        """

    async def wait_for_result(self, task: Task) -> TaskStatus:
        """Return how a task that was ordered has ended: well.

        Until it has, the job gives its seat back and waits, and the operation begins anew once there is something to
        see; so let nothing stand before it that is slow, or has an effect (`once`, `order`). Raises ProviderFailed
        with the provider's reason, or TimedOut when the task took longer than the provider is given.
        """


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as declared; the manifest, the API schema, the CLI help and the checks are made from it."""

    name: str
    params: type[BaseModel]
    result: type[BaseModel]
    run: Callable[[Any, Any], Awaitable[BaseModel]]
    summary: str
    queue: str = "default"
    priority: int | None = None
    """None: that of the queue."""
    timeout: timedelta = timedelta(minutes=10)
    """Time limit of one run."""
    attempts: int = 3
    """Runs in all, when failures are transient."""
    transient: tuple[type[BaseException], ...] = (Transient,)
    """Failures that may pass; every other failure is final."""
    on_worker_lost: WorkerLostPolicy = "retry"
    needs: frozenset[str] = frozenset()
    """What a worker must have: `ffmpeg`, `gpu`, …"""
    aliases: tuple[str, ...] = ()
    validation_context: Settings | None = field(default=None, compare=False, repr=False)
    """Settings for the validators of `params` (pydantic's `ValidationInfo.context`); see `Catalog.with_settings`."""


_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TRANSIENT: tuple[type[BaseException], ...] = (Transient, ConnectionError, TimeoutError)


def operation(
    name: str,
    *,
    queue: str = "default",
    priority: int | None = None,
    timeout: timedelta = timedelta(minutes=10),
    attempts: int = 3,
    transient: Iterable[type[BaseException]] = _TRANSIENT,
    on_worker_lost: WorkerLostPolicy = "retry",
    needs: Iterable[str] = (),
    aliases: Iterable[str] = (),
) -> Callable[[Callable[[Any, P], Awaitable[R]]], Operation]:
    """Declare an async function `(job: Context, params) -> result` as an operation.

    Params and result are pydantic models, read from the annotations; the first line of the docstring is the
    summary. `name` is stored in the database and outlives any renaming of the function. `attempts` counts all
    runs; only failures of the `transient` kinds are tried again.

    Raises TypeError, when it is declared and not when it runs, for anything that does not fit.
    """
    if not _NAME.fullmatch(name):
        raise TypeError(f"operation name '{name}' must be of small letters, digits and single hyphens")
    if attempts < 1:
        raise TypeError(f"operation '{name}': attempts must be at least 1, got {attempts}")

    def declare(function: Callable[[Any, P], Awaitable[R]]) -> Operation:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(
                f"operation '{name}' must be an `async def`; put blocking work into `await asyncio.to_thread(…)`"
            )
        params, result = _models(name, function)
        return Operation(
            name=name,
            params=params,
            result=result,
            run=function,
            summary=(inspect.getdoc(function) or name).splitlines()[0],
            queue=queue,
            priority=priority,
            timeout=timeout,
            attempts=attempts,
            transient=tuple(transient),
            on_worker_lost=on_worker_lost,
            needs=frozenset(needs),
            aliases=tuple(aliases),
        )

    return declare


def _models(name: str, function: Callable[..., Any]) -> tuple[type[BaseModel], type[BaseModel]]:
    hints = get_type_hints(function)
    takes = list(inspect.signature(function).parameters)
    if len(takes) != 2:
        raise TypeError(f"operation '{name}' must take (job, params), not ({', '.join(takes)})")
    params, result = hints.get(takes[1]), hints.get("return")
    for what, model in ((f"'{takes[1]}'", params), ("the return value", result)):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"operation '{name}': annotate {what} with a pydantic model, got {model!r}")
    assert params is not None and result is not None  # noqa: S101 - told above
    return params, result
