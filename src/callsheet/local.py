"""Local runs: a plan from submission to finished files in one process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from callsheet.domain.errors import InvalidState, PlanRefused, Problem
from callsheet.domain.plan import Plan, Submission
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.domain.plan_validation import read_plan, read_submission
from callsheet.domain.records import Event, Execution, StoredArtifact
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.engine.jobs.submit import submit
from callsheet.engine.reads.executions import get_execution
from callsheet.engine.reads.wait_reasons import has_able_worker
from callsheet.logs import use_host_logging
from callsheet.operation_api.catalog import Catalog, discover
from callsheet.operation_api.contract import Operation
from callsheet.operation_api.requirements import missing_requirements
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings
from callsheet.wiring import Runtime, open_runtime

PlanLike = Mapping[str, Any] | Plan | Submission | Path | str
OnEvent = Callable[[Event], None]

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
) -> Execution:
    """Run a plan to its end and return the execution. `execution.status` says whether it succeeded.

    `plan` is a plan, a submission, or the path of a JSON or YAML file with either. `operations` are available in this
    run in addition to the installed ones. Artifacts are copied to the folder `out`, also those of a failed execution;
    with None they stay in the storage. `on_event` is called with every event after it is stored. `provider_settings`,
    such as `LumaSettings(api_key=…)`, replace those of the environment.

    The run starts its own worker, and the embedded database unless the settings name a database. Other workers on the
    same database can run some of the jobs. Plans may use local files from the working directory and the plan's folder.

    Raises PlanRefused with every problem of the plan, before anything is stored; also for an operation that neither
    this machine nor another worker on the database can run. Ctrl-C cancels the execution, waits
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
) -> Execution:
    """Run a plan as `run` does, inside a running event loop. Cancelling the task cancels the execution."""
    use_host_logging()
    settings = _local_settings(settings or Settings(), plan)
    catalog = load_catalog(operations).with_settings(settings)
    submission = _read_submission(plan, settings, catalog)
    async with open_runtime(settings, catalog, migrate=True, provider_settings=provider_settings) as runtime:
        await _refuse_impossible_jobs(runtime, submission)
        execution_id = await _submit(runtime, submission)
        async with _running_worker(runtime, execution_id) as worker_task:
            try:
                await _wait_for_end(worker_task, _follow_events(runtime, execution_id, on_event))
            except BaseException:
                await _cancel(runtime, execution_id)
                raise
        execution = await get_execution(runtime.database, execution_id, runtime.sign)
        if out is not None:
            await download_artifacts(runtime, execution, Path(out))
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


async def _refuse_impossible_jobs(runtime: Runtime, submission: Submission) -> None:
    """Raise PlanRefused for jobs that neither the worker of this run nor another one on the database can run."""
    missing = missing_requirements(runtime.catalog, runtime.settings)
    problems = []
    for place, job in enumerate(submission.execution_plan.jobs):
        operation = runtime.catalog.get(job.operation)
        if operation is None or operation.name not in missing:
            continue
        if await has_able_worker(runtime.database, operation.name, operation.queue):
            continue
        reasons = ". ".join(missing[operation.name].values())
        message = f"'{job.operation}' cannot run on this machine. {reasons}"
        problems.append(Problem(f"jobs[{place}].operation", "missing_requirement", message))
    if problems:
        raise PlanRefused(problems)


async def _submit(runtime: Runtime, submission: Submission) -> UUID:
    submitting = asyncio.ensure_future(
        submit(runtime.database, submission, runtime.catalog, max_jobs=runtime.settings.max_jobs_per_plan)
    )
    try:
        return (await asyncio.shield(submitting)).execution_id
    except asyncio.CancelledError:
        await _cancel(runtime, (await submitting).execution_id)
        raise


@asynccontextmanager
async def _running_worker(runtime: Runtime, execution_id: UUID) -> AsyncIterator[asyncio.Task[None]]:
    """Run a worker for this execution only. It may read the user's files, so it must not run jobs of other plans."""
    worker = runtime.worker(only=execution_id)
    worker_task = asyncio.create_task(worker.run(), name="worker")
    try:
        yield worker_task
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


async def download_artifacts(runtime: Runtime, execution: Execution, folder: Path) -> dict[UUID, Path]:
    """Copy an execution's artifacts to a folder. Return their paths by artifact id.

    Artifacts with the same name get the id of their job as a prefix. Raises DiskFull or StorageUnreachable.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    paths = {artifact_id: folder / name for artifact_id, name in unique_file_names(execution).items()}
    for artifact in execution.artifacts:
        await runtime.storage.get(artifact.key, paths[artifact.artifact_id])
    return paths


def unique_file_names(execution: Execution) -> dict[UUID, str]:
    """Return a unique file name for each artifact of an execution, by artifact id."""
    jobs = {job.id: job.job_id.replace("/", "-") for job in execution.jobs}
    by_name: dict[str, list[StoredArtifact]] = {}
    for artifact in execution.artifacts:
        by_name.setdefault(artifact.name, []).append(artifact)
    return {
        artifact.artifact_id: name if len(same) == 1 else f"{jobs[artifact.job_id]}-{name}"
        for name, same in by_name.items()
        for artifact in same
    }
