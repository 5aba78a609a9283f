"""Running a plan here and now, with a runtime of one's own for as long as it takes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from callsheet.domain.errors import InvalidState
from callsheet.domain.plan import Plan, Submission
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.domain.plan_validation import check_plan, read_plan, read_submission
from callsheet.domain.records import Event, Execution, StoredArtifact
from callsheet.engine.jobs.cancel import cancel_execution
from callsheet.engine.jobs.submit import submit
from callsheet.engine.reads.views import get_execution
from callsheet.logs import use_host_logging
from callsheet.operation.catalog import Catalog, discover
from callsheet.operation.contract import Operation
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings
from callsheet.wiring import Runtime, open_runtime

PlanLike = Mapping[str, Any] | Plan | Submission | Path | str
OnEvent = Callable[[Event], None]

_LAST_WORDS = 15.0
"""Seconds that a cancelled execution gets to end."""


def run(
    plan: PlanLike,
    *,
    operations: Iterable[Operation] = (),
    out: Path | str | None = None,
    settings: Settings | None = None,
    provider_settings: Iterable[ProviderSettings] = (),
    on_event: OnEvent | None = None,
) -> Execution:
    """Run a plan to its end and return what became of it; whether it succeeded is told by `execution.status`.

    `plan` is the plan itself, with or without what is submitted around it, or the path of a JSON or YAML file.
    `operations` are known for this run besides the installed ones. Finished files are copied into the folder `out`,
    also those of an execution that failed in another place; with None they stay in the storage. `on_event` is called
    with every event as it is stored. `provider_settings`, such as `LumaSettings(api_key=…)`, replace those of the
    environment.

    It brings its own worker, and the embedded database unless the settings name another. Other workers on the same
    database may take some of the jobs. Local files may be used from the working folder and from that of the plan.

    Raises PlanRefused with every problem of the plan before anything is stored. Ctrl-C cancels the execution, waits
    until its jobs have really stopped, and raises KeyboardInterrupt.
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
    raise RuntimeError("callsheet.run() was called while an event loop runs; write `await callsheet.arun(…)` there")


async def arun(
    plan: PlanLike,
    *,
    operations: Iterable[Operation] = (),
    out: Path | str | None = None,
    settings: Settings | None = None,
    provider_settings: Iterable[ProviderSettings] = (),
    on_event: OnEvent | None = None,
) -> Execution:
    """Do as `run` does, inside a running event loop; cancelling the task cancels the execution."""
    use_host_logging()
    settings = _for_one_run(settings or Settings(), plan)
    catalog = load_catalog(operations)
    submission = _submission(plan, settings, catalog)
    check_plan(submission.execution_plan, catalog, max_jobs=settings.max_jobs_per_plan)
    async with open_runtime(settings, catalog, migrate=True, provider_settings=provider_settings) as runtime:
        execution_id = await _submitted(runtime, submission)
        async with _working(runtime, execution_id) as work:
            try:
                await _finish(work, _follow(runtime, execution_id, on_event))
            except BaseException:
                await _cancel(runtime, execution_id)
                raise
        execution = await get_execution(runtime.database, execution_id, runtime.sign)
        if out is not None:
            await download_artifacts(runtime, execution, Path(out))
    return execution


def load_catalog(own: Iterable[Operation] = ()) -> Catalog:
    """Return the installed operations and these; raises ConfigurationError when two have one name."""
    catalog = discover()
    for operation in own:
        catalog.add(operation, operation.run.__module__)
    return catalog


def parse_submission(data: Any, catalog: Catalog) -> Submission:
    """Read a plan that may stand alone or inside a submission; raises PlanRefused with every field that is wrong."""
    if isinstance(data, Mapping) and not data.keys() & {"executionPlan", "execution_plan"}:
        return Submission(execution_plan=read_plan(data, catalog))
    return read_submission(data, catalog)


def _submission(plan: PlanLike, settings: Settings, catalog: Catalog) -> Submission:
    if isinstance(plan, Submission):
        return plan
    if isinstance(plan, Plan):
        return Submission(execution_plan=plan)
    if isinstance(plan, str | Path):
        return parse_submission(read_plan_text(Path(plan).read_bytes(), max_bytes=settings.max_body_bytes), catalog)
    return parse_submission(plan, catalog)


def _for_one_run(settings: Settings, plan: object) -> Settings:
    """The worker of one run uses its user's files, and leaves as soon as there is nothing left to do."""
    own = [Path(plan).resolve().parent] if isinstance(plan, str | Path) else []
    own += [Path.cwd()]
    roots = [*(folder for folder in dict.fromkeys(own) if folder not in settings.source_roots), *settings.source_roots]
    return settings.model_copy(update={"source_roots": roots, "grace_period": timedelta(0)})


async def _submitted(runtime: Runtime, submission: Submission) -> UUID:
    submitting = asyncio.ensure_future(
        submit(runtime.database, submission, runtime.catalog, max_jobs=runtime.settings.max_jobs_per_plan)
    )
    try:
        return (await asyncio.shield(submitting)).execution_id
    except asyncio.CancelledError:
        await _cancel(runtime, (await submitting).execution_id)
        raise


@asynccontextmanager
async def _working(runtime: Runtime, execution_id: UUID) -> AsyncIterator[asyncio.Task[None]]:
    """Run a worker for this execution alone: it may read this user's files, which other plans have no claim to."""
    worker = runtime.worker(only=execution_id)
    work = asyncio.create_task(worker.run(), name="worker")
    try:
        yield work
    finally:
        worker.stop()
        await asyncio.wait({work})


async def _finish(work: asyncio.Task[None], following: Coroutine[Any, Any, None]) -> None:
    """Wait for the end of `following`; raises what the worker raises, should it end before."""
    task = asyncio.create_task(following)
    try:
        await asyncio.wait({task, work}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            work.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    task.result()


async def _follow(runtime: Runtime, execution_id: UUID, on_event: OnEvent | None) -> None:
    async for event in runtime.event_stream.follow(execution_id):
        if on_event is not None:
            on_event(event)


async def _cancel(runtime: Runtime, execution_id: UUID) -> None:
    """Cancel the execution and wait until its jobs have stopped."""
    try:
        await cancel_execution(runtime.database, execution_id)
    except InvalidState:  # it ended just now
        return
    async with asyncio.timeout(_LAST_WORDS):
        async for _ in runtime.event_stream.follow(execution_id):
            pass


async def download_artifacts(runtime: Runtime, execution: Execution, folder: Path) -> dict[UUID, Path]:
    """Copy the execution's files into a folder; returns where each one is.

    Files of one name are told apart by the job that made them. Raises DiskFull or StorageUnreachable.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    places = {artifact_id: folder / name for artifact_id, name in unique_file_names(execution).items()}
    for artifact in execution.artifacts:
        await runtime.storage.get(artifact.key, places[artifact.artifact_id])
    return places


def unique_file_names(execution: Execution) -> dict[UUID, str]:
    """Return a name for each of the execution's files that no other has."""
    jobs = {job.id: job.job_id.replace("/", "-") for job in execution.jobs}
    by_name: dict[str, list[StoredArtifact]] = {}
    for artifact in execution.artifacts:
        by_name.setdefault(artifact.name, []).append(artifact)
    return {
        artifact.artifact_id: name if len(same) == 1 else f"{jobs[artifact.job_id]}-{name}"
        for name, same in by_name.items()
        for artifact in same
    }
