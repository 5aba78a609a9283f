"""Local runs: a plan from submission to finished files in one process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from callsheet.domain.errors import InvalidState, PlanRefused, Problem
from callsheet.domain.events import Event
from callsheet.domain.plan import Plan, Submission
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.domain.plan_validation import CheckedPlan, check_submission, read_plan, read_submission
from callsheet.domain.records import Execution
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.engine.jobs.submit import submit
from callsheet.engine.reads.executions import get_execution
from callsheet.engine.worker.loop import Worker
from callsheet.engine.worker.storage_outage import StorageOutage
from callsheet.files.output_paths import output_paths
from callsheet.logs import use_host_logging
from callsheet.operation_api.catalog import Catalog, discover
from callsheet.operation_api.contract import Operation
from callsheet.operation_api.requirements import missing_requirements
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings
from callsheet.wiring import Runtime, open_runtime

PlanLike = Mapping[str, Any] | Plan | Submission | Path | str
OnEvent = Callable[[Event], None]
OnWait = Callable[[str | None], None]

_CANCEL_TIMEOUT = 15.0
"""Seconds to wait for a cancelled execution to end."""


def run(
    plan: PlanLike,
    *,
    operations: Iterable[Operation] = (),
    out: Path | str | None = None,
    settings: Settings | None = None,
    provider_settings: Iterable[ProviderSettings] = (),
    on_event: OnEvent | None = None,
    on_wait: OnWait | None = None,
) -> Execution:
    """Run a plan to its end and return the execution. `execution.status` says whether it succeeded.

    `plan` is a plan, a submission, or the path of a JSON or YAML file with either. `operations` are available in this
    run in addition to the installed ones. Artifacts are copied to `<job>/<name>` in the folder `out`, also those of a
    failed execution; with None they stay in the storage. The copy waits for a storage that is away, at most for
    `settings.storage_outage_timeout`; `on_wait` is called with the reason, and with None when it continues. `on_event`
    is called with every event after it is stored.
    `provider_settings`, such as `LumaSettings(api_key=…)`, replace those of the environment.

    The run starts its own worker, and the embedded database unless the settings name a database. Other workers on the
    same database leave its jobs alone, unless this process dies. Plans may use local files from the working directory
    and the plan's folder.

    Raises PlanRefused with every problem of the plan, before anything is stored; also for an operation that this
    machine cannot run. Ctrl-C cancels the execution, waits
    until its jobs have stopped, and raises KeyboardInterrupt.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        coroutine = arun(
            plan,
            operations=operations,
            out=out,
            settings=settings,
            provider_settings=provider_settings,
            on_event=on_event,
            on_wait=on_wait,
        )
        return asyncio.run(coroutine)
    raise RuntimeError("callsheet.run() was called inside a running event loop; use `await callsheet.arun(…)`")


async def arun(
    plan: PlanLike,
    *,
    operations: Iterable[Operation] = (),
    out: Path | str | None = None,
    settings: Settings | None = None,
    provider_settings: Iterable[ProviderSettings] = (),
    on_event: OnEvent | None = None,
    on_wait: OnWait | None = None,
) -> Execution:
    """Run a plan as `run` does, inside a running event loop. Cancelling the task cancels the execution."""
    use_host_logging()
    settings = _local_settings(settings or Settings(), plan)
    catalog = load_catalog(operations).with_settings(settings)
    submission = _read_submission(plan, settings, catalog)
    # Before a database is started.
    submission, checked = await asyncio.to_thread(
        check_submission, submission, catalog, max_jobs=settings.max_jobs_per_plan
    )
    _refuse_impossible_jobs(submission, catalog, settings)
    async with open_runtime(settings, catalog, migrate=True, provider_settings=provider_settings) as runtime:
        async with _running_worker(runtime) as (worker, worker_task):
            execution_id = await _submit(runtime, submission, checked, worker.id)
            try:
                await _wait_for_end(worker_task, _follow_events(runtime, execution_id, on_event))
            except BaseException:
                await _cancel(runtime, execution_id)
                raise
        execution = await get_execution(runtime.database, execution_id, runtime.sign)
        if out is not None:
            await download_artifacts(runtime, execution, Path(out), on_wait)
    return execution


def load_catalog(operations: Iterable[Operation] = ()) -> Catalog:
    """Return a catalog of the installed operations and `operations`. Raises ConfigurationError for a name conflict."""
    catalog = discover()
    for operation in operations:
        catalog.add(operation, operation.run.__module__)
    return catalog


def parse_submission(data: Any, catalog: Catalog) -> Submission:
    """Parse a plan or a submission. Raises PlanRefused with every invalid field."""
    if isinstance(data, Mapping) and not data.keys() & {"executionPlan", "execution_plan"}:
        return Submission(execution_plan=read_plan(data, catalog))
    return read_submission(data, catalog)


def _read_submission(plan: PlanLike, settings: Settings, catalog: Catalog) -> Submission:
    if isinstance(plan, Submission):
        return plan
    if isinstance(plan, Plan):
        return Submission(execution_plan=plan)
    if isinstance(plan, str | Path):
        return parse_submission(read_plan_text(Path(plan).read_bytes(), max_bytes=settings.max_body_bytes), catalog)
    return parse_submission(plan, catalog)


def _local_settings(settings: Settings, plan: object) -> Settings:
    """Return settings for the worker of a local run: it may read the user's files, and stops without a grace period."""
    folders = [Path(plan).resolve().parent] if isinstance(plan, str | Path) else []
    folders += [Path.cwd()]
    roots = [
        *(folder for folder in dict.fromkeys(folders) if folder not in settings.source_roots),
        *settings.source_roots,
    ]
    return settings.model_copy(update={"source_roots": roots, "grace_period": timedelta(0)})


def _refuse_impossible_jobs(submission: Submission, catalog: Catalog, settings: Settings) -> None:
    """Raise PlanRefused for jobs that the worker of this run cannot run; no other worker runs them."""
    missing = missing_requirements(catalog, settings)
    problems = []
    for place, job in enumerate(submission.execution_plan.jobs):
        operation = catalog.get(job.operation)
        if operation is not None and operation.name in missing:
            reasons = ". ".join(missing[operation.name].values())
            message = f"'{job.operation}' cannot run on this machine. {reasons}"
            problems.append(Problem(f"jobs[{place}].operation", "missing_requirement", message))
    if problems:
        raise PlanRefused(problems)


async def _submit(runtime: Runtime, submission: Submission, checked: CheckedPlan, worker_id: UUID) -> UUID:
    submitting = asyncio.ensure_future(
        submit(
            runtime.database,
            submission,
            runtime.catalog,
            max_jobs=runtime.settings.max_jobs_per_plan,
            reserved_for=worker_id,
            checked=checked,
            monthly_budget=runtime.settings.monthly_budget,
        )
    )
    try:
        return (await asyncio.shield(submitting)).execution_id
    except asyncio.CancelledError:
        await _cancel(runtime, (await submitting).execution_id)
        raise


@asynccontextmanager
async def _running_worker(runtime: Runtime) -> AsyncIterator[tuple[Worker, asyncio.Task[None]]]:
    """Run a worker that runs only jobs reserved for it. It may read the user's files, so it runs no other plans."""
    worker = runtime.worker(only_reserved=True)
    worker_task = asyncio.create_task(worker.run(), name="worker")
    try:
        await _wait_for_end(worker_task, _wait_for(worker.registered))
        yield worker, worker_task
    finally:
        worker.stop()
        await asyncio.wait({worker_task})


async def _wait_for_end(worker_task: asyncio.Task[None], following: Coroutine[Any, Any, None]) -> None:
    """Wait for the end of `following`. Raises the worker's error if the worker ends first."""
    task = asyncio.create_task(following)
    try:
        await asyncio.wait({task, worker_task}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            worker_task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    task.result()


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


async def _follow_events(runtime: Runtime, execution_id: UUID, on_event: OnEvent | None) -> None:
    async for event in runtime.event_stream.follow(execution_id):
        if on_event is not None:
            on_event(event)


async def _cancel(runtime: Runtime, execution_id: UUID) -> None:
    """Cancel an execution and wait until its jobs have stopped."""
    try:
        await cancel_execution(runtime.database, execution_id)
    except InvalidState:  # it ended meanwhile
        return
    async with asyncio.timeout(_CANCEL_TIMEOUT):
        async for _ in runtime.event_stream.follow(execution_id):
            pass


async def download_artifacts(
    runtime: Runtime, execution: Execution, folder: Path, on_wait: OnWait | None = None
) -> dict[UUID, Path]:
    """Copy an execution's artifacts to `<job>/<name>` in a folder. Return their paths by artifact id.

    Waits for the storage as workers do; `on_wait` is called with the reason, and with None when it continues. Raises
    DiskFull, or after `settings.storage_outage_timeout` StorageUnreachable.
    """

    async def changed(message: str | None, _seconds: float) -> None:
        if on_wait is not None:
            on_wait(message)

    outage = StorageOutage(timeout=runtime.settings.storage_outage_timeout.total_seconds(), on_change=changed)
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    paths = {artifact_id: folder / path for artifact_id, path in artifact_paths(execution).items()}
    for artifact in execution.artifacts:
        target = paths[artifact.artifact_id]
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        await outage.repeat(partial(runtime.storage.get, artifact.key, target))
    return paths


def artifact_paths(execution: Execution) -> dict[UUID, PurePosixPath]:
    """Return the path of each artifact of an execution below a folder, by artifact id: `<job>/<name>`."""
    return output_paths((a.artifact_id, a.job_id, a.name) for a in execution.artifacts)
