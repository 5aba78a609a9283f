"""The contract of operations: their declaration, and the context of a run."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, get_type_hints, overload
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from callsheet.comfyui.pool import Pool
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import Transient
from callsheet.domain.media_source import MediaSource
from callsheet.domain.queues import canonical_queue
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.operation_api.blocking_context import BlockingContext
from callsheet.operation_api.run_in_process import in_process
from callsheet.operation_api.run_in_thread import in_thread
from callsheet.operation_api.state_store import StateStore
from callsheet.providers.contract import Provider, SubmitRequest, Task, TaskStatus
from callsheet.settings import Settings

T = TypeVar("T")
P = TypeVar("P", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)

RunIn = Literal["thread", "process"]
"""Where an operation that is a plain function runs."""

WorkerLostPolicy = Literal["retry", "resume", "park"]
"""What happens to a running job whose worker is lost.

`retry` runs it again; for local work. `resume` runs it again, and `Context.submit_once` returns the task of the earlier
run; for work at a provider. `park` fails it with `outcome_unknown` until a person decides; for side effects that must
not be repeated, such as a paid call.
"""


class Cache(Protocol):
    """Content-addressed cache of intermediate files, shared by all workers.

        key = f"piece/{digest}"
        if not await job.cache.fetch(key, path):
            await make(path)
            await job.cache.keep(key, path)

    A key is `<kind>/<64 hexadecimal digits>`. The digits must identify everything that determines the contents, since
    other jobs use the file. Any file can disappear at any time.
    """

    async def fetch(self, key: str, target: Path) -> bool:
        """Copy the cached file to `target`, read-only. Return False on a cache miss.

        Raises DiskFull when there is no space for it.
        """

    async def keep(self, key: str, path: Path) -> None:
        """Cache a finished file under the key. A failure is logged, and does not fail the job."""


@dataclass(frozen=True, slots=True)
class OpenSubmission:
    """A submission of an earlier run of the job."""

    provider: str
    model: str
    """The provider's name of the model."""
    task: Task | None
    """The task that the provider created; None while it is unknown whether the provider accepted the submission."""


@dataclass(frozen=True, slots=True)
class ChildJob:
    """A job that a running job adds to its execution and waits for."""

    id: str
    """Same form as job ids in a plan. In the execution, the child's id is `<parent id>/<id>`."""
    operation: str
    params: dict[str, Any]
    """JSON values. References are not resolved."""


class RunChildJobs(Exception):
    """Raised by an operation to run child jobs first.

        if not job.children_done:
            raise RunChildJobs([ChildJob("part-1", "render-segments", {"segments": [0]})])
        results = await job.child_results()

    The run ends, releases its slot and does not count as an attempt. After all child jobs have succeeded or failed, the
    operation runs again from the start. A job can add child jobs once.
    """

    def __init__(self, jobs: Sequence[ChildJob]) -> None:
        """Raises ValueError for an empty sequence."""
        if not jobs:
            raise ValueError("RunChildJobs needs at least one job")
        super().__init__(f"{len(jobs)} child jobs must run first")
        self.jobs = tuple(jobs)


class Context(Protocol):
    """What a running operation uses to read inputs, report progress and store results.

    path = await job.fetch_input(params.src)
    job.progress(0.5, "half done")
    return Clip(video=await job.keep(path))
    """

    @property
    def id(self) -> UUID:
        """Id of the job record; globally unique."""

    @property
    def execution_id(self) -> UUID:
        """Id of the job's execution."""

    @property
    def job_id(self) -> str:
        """The job's id in its plan."""

    @property
    def operation(self) -> str:
        """The stored name of the operation."""

    @property
    def attempt(self) -> int:
        """1 for the first run, plus 1 for each failed run before this one."""

    @property
    def children_done(self) -> bool:
        """Whether the job's child jobs (`RunChildJobs`) have ended. The job cannot add more then."""

    @property
    def dir(self) -> Path:
        """Working folder of this run; deleted at its end."""

    @property
    def settings(self) -> Settings:
        """Settings of this worker."""

    @property
    def ffmpeg(self) -> FFmpeg:
        """Runs FFmpeg. Its processes are stopped when the run ends."""

    @property
    def cache(self) -> Cache:
        """Cache of intermediate files, shared by all jobs."""

    @property
    def store(self) -> StateStore:
        """State of the operation in tables of its own; its writes are part of the completion."""

    @property
    def comfyui(self) -> Pool:
        """The ComfyUI servers of this worker."""

    async def worker_host_count(self) -> int:
        """Return the number of hosts with a live worker that runs this operation; at least 1."""

    async def queue_depth(self, queue: str) -> int:
        """Return the number of ready jobs in a queue."""

    async def has_live_worker(self, operation: str, queue: str) -> bool:
        """Return whether a live worker runs this operation in this queue, and the queue is not paused."""

    async def child_results(self) -> Mapping[str, dict[str, Any] | None]:
        """Return the results of the child jobs by their `ChildJob.id`; None for a failed child."""

    @property
    def progress_before(self) -> float:
        """Progress of the run before, from 0 to 1, if the operation resumes its work after a lost worker; else 0."""

    def progress(self, done: float, message: str | None = None) -> None:
        """Report progress, from 0 to 1. Can be called at any rate; writes to the database are throttled."""

    async def show_wait(self, message: str | None, *, stops_clock: bool = False, **facts: Any) -> None:
        """Show that the run waits for a server, and for what; with None, that it continues.

        The wait reason of the job is `server`, with these facts. With `stops_clock`, the wait does not count towards
        the time limit.
        """

    def log(self, message: str, **facts: Any) -> Awaitable[None]:
        """Record a message for people as an event `job.log`. Do not include secrets. See `publish` for awaiting it."""

    def publish(self, **partial: Any) -> Awaitable[None]:
        """Record intermediate results of a running job as an event `job.output`.

        The event is recorded by the call, and stored with or without `await`, also after an outage of the database.
        An operation that records many events awaits the calls: they wait while more than 1,000 events, or 8 million
        characters, of the job wait for the database. Without `await`, DatabaseUnavailable is raised at 10,000 events,
        or 64 million characters.
        """

    async def fetch_input(self, source: MediaSource) -> Path:
        """Download an input file and return its path. A local file is not copied.

        An outage of the storage is waited for. Raises BadSource for a source that is not allowed or does not exist,
        SourceUnreachable, StorageUnreachable or DiskFull for temporary failures, and StorageRejected when the settings
        of the storage are wrong.
        """

    async def keep(
        self, path: Path, *, name: str | None = None, media_type: str | None = None, at_once: bool = False
    ) -> Artifact:
        """Store a finished file and return its artifact, for the operation's result.

        It becomes an artifact of the job when the run succeeds. With `at_once`, it becomes one now, is published as
        `artifact`, and stays one if the run does not succeed (`StoredArtifact.from_unfinished_run`): for results of
        long work that are useful alone.

        An outage or a full storage is waited for: the file stays in its place, only the transfer is repeated, and the
        time limit of the job is paused. Raises DiskFull or StorageUnreachable when that lasts too long, StorageRejected
        when the settings of the storage are wrong, and, with `at_once`, LeaseLost when another run has the job now.
        """

    async def once(self, step: str, action: Callable[[], Awaitable[T]], kind: type[T] | TypeAdapter[T]) -> T:
        """Run a side effect, such as a paid call, at most once in the life of the job. Return its value.

            charge = await job.once("charge", lambda: api.charge(9.99), Charge)

        The start of the step is stored before `action` runs, and its value afterwards. A later run gets the stored
        value, parsed as `kind`. A later run that finds a started step without a value raises OutcomeUnknown instead of
        repeating the step. When `action` raises NoEffect, or an error that proves that no connection was made, the step
        is reset, and a later run can repeat it.
        """

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The providers by name. Access raises ConfigurationError for a provider that is not configured here."""

    def webhook_url(self, provider: Provider, step: str = "submit") -> str | None:
        """Return the webhook URL for the submission of this step.

        None when this server has no public URL, or the provider sends no webhooks.
        """

    async def submit_once(self, provider: Provider, request: SubmitRequest, step: str = "submit") -> Task:
        """Submit a request to a provider, at most once in the life of the job. Return the provider's task.

            task = await job.submit_once(provider, SubmitRequest("model", {"prompt": params.prompt}))
            status = await job.wait_for_result(task)

        The submission is stored before the request is sent, and the task afterwards. A later run gets the stored task
        without sending anything. The request's `client_reference` is set here.

        Raises SubmissionRejected, ProviderRateLimited or ProviderUnreachable when the provider certainly created no
        task. Then the request can be submitted again, also to another provider. Use the same step for it; otherwise a
        later run would submit to the first provider again (`open_submission` returns which provider was used).

        When the outcome is unknown, the submission is reconciled with the provider, which can take long. If that fails,
        SubmissionUnknown is raised, and only a manual retry with `resubmit` sends the request again. Do not catch this
        error to use another provider: the result could be paid twice.
        """

    async def open_submission(self, step: str = "submit") -> OpenSubmission | None:
        """Return the submission of an earlier run in this step, without sending anything; None without one.

        If its `task` is None, it is unknown whether the provider accepted it. Call `submit_once` with the same provider
        and step to reconcile it.
        """

    async def public_url(self, source: MediaSource) -> str | None:
        """Return a temporary URL at which providers can download an input file.

        None when the source is not publicly reachable: a local file, or a server without a public URL.
        """

    async def wait_for_result(self, task: Task) -> TaskStatus:
        """Return the final status of a task that has succeeded.

        Until the task ends, the job is snoozed: the run ends, the slot is released, and the operation runs again from
        the start when the provider reports an end. Code before this call must therefore be fast and free of side
        effects, except through `once` and `submit_once`. Raises ProviderFailed with the provider's reason, and TimedOut
        when the task exceeds the provider's deadline.
        """


@dataclass(frozen=True, slots=True)
class Operation:
    """A declared operation. Manifest, API schema, CLI help and validation are derived from it."""

    name: str
    params: type[BaseModel]
    result: type[BaseModel]
    run: Callable[[Any, Any], Awaitable[BaseModel]]
    summary: str
    queue: str = "default"
    priority: int | None = None
    """Default priority of its jobs; None uses the default of the queue."""
    timeout: timedelta = timedelta(minutes=10)
    """Time limit of one run."""
    timeout_setting: str | None = None
    """Setting that replaces `timeout`; see `Catalog.with_settings`."""
    attempts: int = 3
    """Maximum number of runs, if every failure is transient."""
    transient: tuple[type[BaseException], ...] = (Transient,)
    """Exceptions that are retried; all others are final."""
    on_worker_lost: WorkerLostPolicy = "retry"
    needs: frozenset[str] = frozenset()
    """Requirements on the worker: `ffmpeg`, `gpu`, `interpolation`, `search` (of winners), `speech` (recognition),
    `upscaling`, `voice`.
    """
    aliases: tuple[str, ...] = ()
    blocking_validation: bool = False
    """Whether the validators of `params` read files. Plans with such an operation are validated in a thread."""
    estimate_cost: "EstimateCost | None" = None
    """None: its jobs cost nothing at providers, or it is not known that they do."""
    validation_context: Settings | None = field(default=None, compare=False, repr=False)
    """Settings for the validators of `params` (pydantic's `ValidationInfo.context`); see `Catalog.with_settings`."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job is expected to cost at a provider."""

    dollars: Decimal | None
    """None: it may cost something, and how much is not known."""


EstimateCost: TypeAlias = Callable[[Mapping[str, Any], Settings], Estimate]
"""Returns what a job costs, from its params as submitted, with references."""


class Declare(Protocol):
    """Declares a function as an operation."""

    @overload
    def __call__(self, function: Callable[[Context, P], Awaitable[R]], /) -> Operation: ...

    @overload
    def __call__(self, function: Callable[[BlockingContext, P], R], /) -> Operation: ...


_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TRANSIENT: tuple[type[BaseException], ...] = (Transient, ConnectionError, TimeoutError)


def operation(
    name: str,
    *,
    queue: str = "default",
    priority: int | None = None,
    timeout: timedelta = timedelta(minutes=10),
    timeout_setting: str | None = None,
    attempts: int = 3,
    transient: Iterable[type[BaseException]] = _TRANSIENT,
    on_worker_lost: WorkerLostPolicy = "retry",
    needs: Iterable[str] = (),
    aliases: Iterable[str] = (),
    blocking_validation: bool = False,
    estimate_cost: EstimateCost | None = None,
    run_in: RunIn | None = None,
) -> Declare:
    """Declare a function as an operation: `async (job: Context, params) -> result`, or without `async`.

        @operation("shout", timeout=timedelta(minutes=1))
        async def shout(job: Context, params: ShoutParams) -> ShoutResult:
            return ShoutResult(text=params.text.upper())

    Params and result are pydantic models, taken from the annotations. The first line of the docstring is the summary.

    - `name`: stored in the database, so it must not change later. `aliases` are accepted in plans.
    - `queue`, `priority`: where its jobs wait, and their default priority (default: that of the queue).
    - `timeout`: time limit of one run. `timeout_setting` names the setting that replaces it.
    - `attempts`: maximum number of runs. Only exceptions of the types `transient` are retried.
    - `on_worker_lost`: what happens when the worker of a run is lost (`WorkerLostPolicy`).
    - `needs`: requirements on the worker, such as `ffmpeg`.
    - `blocking_validation`: the validators of the params read files, so plans with it are validated in a thread.
    - `estimate_cost`: returns what a job costs at a provider, from its params and the settings. It may read files if
      the validators do.
    - `run_in`: where a plain function `(job: BlockingContext, params) -> result` runs: in a `thread` (default), or in a
      `process` of its own, which can be killed.

    Raises TypeError at declaration for an invalid name, signature or number of attempts.
    """
    if not _NAME.fullmatch(name):
        raise TypeError(f"operation name '{name}' must consist of lowercase letters, digits and single hyphens")
    if attempts < 1:
        raise TypeError(f"operation '{name}': attempts must be at least 1, got {attempts}")

    def declare(function: Callable[[Any, Any], Any]) -> Operation:
        params, result = _models(name, function)
        return Operation(
            name=name,
            params=params,
            result=result,
            run=_async_run(name, function, run_in),
            summary=(inspect.getdoc(function) or name).splitlines()[0],
            queue=canonical_queue(queue),
            priority=priority,
            timeout=timeout,
            timeout_setting=timeout_setting,
            attempts=attempts,
            transient=tuple(transient),
            on_worker_lost=on_worker_lost,
            needs=frozenset(needs),
            aliases=tuple(aliases),
            blocking_validation=blocking_validation,
            estimate_cost=estimate_cost,
        )

    return declare


def _async_run(
    name: str, function: Callable[[Any, Any], Any], run_in: RunIn | None
) -> Callable[[Any, Any], Awaitable[BaseModel]]:
    if inspect.iscoroutinefunction(function):
        if run_in is not None:
            raise TypeError(f"operation '{name}': run_in='{run_in}' is for plain functions; remove it, or the `async`")
        return function
    if run_in == "process":
        return in_process(function)
    if run_in in (None, "thread"):
        return in_thread(function)
    raise TypeError(f"operation '{name}': run_in must be 'thread' or 'process', got {run_in!r}")


def _models(name: str, function: Callable[..., Any]) -> tuple[type[BaseModel], type[BaseModel]]:
    hints = get_type_hints(function)
    names = list(inspect.signature(function).parameters)
    if len(names) != 2:
        raise TypeError(f"operation '{name}' must take (job, params), not ({', '.join(names)})")
    params, result = hints.get(names[1]), hints.get("return")
    for subject, model in ((f"'{names[1]}'", params), ("the return value", result)):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"operation '{name}': annotate {subject} with a pydantic model, got {model!r}")
    assert params is not None and result is not None  # noqa: S101 - checked above
    return params, result
