"""Running one job: from its claim to its recorded outcome."""

import asyncio
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import asyncpg
import orjson
import structlog
from pydantic import BaseModel

from callsheet.db.database import DATABASE_UNAVAILABLE, FOREVER, TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain import references
from callsheet.domain.errors import CallsheetError, InternalError, TimedOut
from callsheet.domain.plan_validation import validate_params
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.child_jobs import child_jobs, is_child_job
from callsheet.engine.jobs.complete import Completer
from callsheet.engine.jobs.outcomes import Backoff, Outcome, failure, unexpected
from callsheet.engine.jobs.snooze import Snooze
from callsheet.engine.worker.context import JobContext, WorkerServices
from callsheet.operation.catalog import Catalog
from callsheet.operation.contract import Operation, RunChildJobs
from callsheet.queue.claim import ClaimedJob

log = structlog.get_logger(__name__)

StopReason = Literal["cancelled", "lost", "stopping"]


@dataclass(slots=True)
class Run:
    """A job that runs in this process."""

    job: ClaimedJob
    task: asyncio.Task[Any]
    working: bool = True
    """Whether the operation runs; once it has ended, its outcome is being recorded and nothing stops that."""
    stop_reason: StopReason | None = None

    def stop(self, reason: StopReason) -> None:
        """End the run early. The first reason counts, except that a lost job is lost."""
        stopping = self.stop_reason is not None
        if not stopping or reason == "lost":
            self.stop_reason = reason
        # Once: every beat asks again, and a second cancellation would break into the clean-up after the first.
        if self.working and not stopping:
            self.task.cancel(reason)


class Executor:
    """Runs claimed jobs and has their outcomes recorded."""

    def __init__(self, catalog: Catalog, tools: WorkerServices, completer: Completer) -> None:
        self._catalog = catalog
        self._tools = tools
        self._completer = completer
        settings = tools.settings
        self._back_off = Backoff(settings.retry_base.total_seconds(), settings.retry_cap.total_seconds())
        self.runs: dict[UUID, Run] = {}
        self.unrecorded: set[tuple[UUID, int]] = set()
        """Runs (job, epoch) that began here and whose end is not recorded."""

    async def run(self, job: ClaimedJob) -> None:
        """Run one job to its recorded end, in a task of its own.

        An outcome that is no longer ours to tell is dropped with its files.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - lanes start tasks
        if earlier := self.runs.get(job.id):
            # It was taken from us and came back to us.
            earlier.stop("lost")
        run = self.runs[job.id] = Run(job, task)
        self.unrecorded.add((job.id, job.epoch))
        context = JobContext(job, self._tools)
        try:
            outcome = await self._outcome(run, context)
            recorded = None if outcome is None else await self._record(outcome, job)
            self.unrecorded.discard((job.id, job.epoch))
            if recorded is not JobStatus.SUCCEEDED:
                await self._forget(context)
        finally:
            if self.runs.get(job.id) is run:
                del self.runs[job.id]
            await context.close()

    async def _outcome(self, run: Run, context: JobContext) -> Outcome | None:
        job = run.job
        if job.cancel_requested:
            run.working = False
            return _ended(job, JobStatus.CANCELLED)
        operation = self._catalog[job.operation]
        error: BaseException | None = None
        result = None
        try:
            result = await self._work(operation, job, context)
        except asyncio.CancelledError as cancelled:
            if run.stop_reason is None and run.task.cancelling():
                raise
            error = cancelled
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - every way an operation can fail becomes an outcome
            error = raised
        finally:
            run.working = False
        if run.stop_reason is not None:
            run.task.uncancel()
        if run.stop_reason == "lost":
            return None
        if error is None:
            return _ended(job, JobStatus.SUCCEEDED, result=result, artifacts=context.kept)
        return self._without_result(run, operation, error, context)

    def _without_result(self, run: Run, operation: Operation, error: BaseException, context: JobContext) -> Outcome:
        if isinstance(error, Snooze) and run.stop_reason != "cancelled":
            return _ended(run.job, JobStatus.WAITING, wait=error.wait)
        if isinstance(error, RunChildJobs):
            try:
                return self._deferred(run.job, error, context)
            except Exception as refusal:  # noqa: BLE001 - the checks of the operations wanted run in here
                error = refusal
        return self._unsuccessful(run, operation, error)

    def _deferred(self, job: ClaimedJob, wish: RunChildJobs, context: JobContext) -> Outcome:
        if context.children_done:
            raise InternalError("The operation wants jobs to run first for a second time.")
        first = child_jobs(job, wish.jobs, self._tools.catalog)
        return _ended(job, JobStatus.PENDING, children=first, reason=str(wish))

    def _unsuccessful(self, run: Run, operation: Operation, error: BaseException) -> Outcome:
        job = run.job
        if run.stop_reason == "stopping":
            return _ended(job, JobStatus.QUEUED, reason="worker stopping")
        if run.stop_reason == "cancelled":
            return _ended(job, JobStatus.CANCELLED)
        if not isinstance(error, (CallsheetError, *operation.transient, *DATABASE_UNAVAILABLE, OSError)):
            trace = error.__traceback__
            error = unexpected(error)
            log.error(
                "operation failed unforeseen",
                job=str(job.id),
                operation=job.operation,
                incident=error.facts["incident"],
                exc_info=error.with_traceback(trace),
            )
        return failure(job, operation, error, self._back_off)

    async def _work(self, operation: Operation, job: ClaimedJob, context: JobContext) -> str:
        params = validate_params(await self._resolved(job), operation.params)
        context.children_done = await self._ran_first(job)
        try:
            async with asyncio.timeout(job.timeout_seconds) as limit:
                result = await operation.run(context, params)
        except TimeoutError:
            if limit.expired():
                raise TimedOut(
                    f"The job ran longer than its time limit of {job.timeout_seconds:g} s.",
                    seconds=job.timeout_seconds,
                ) from None
            raise
        if not isinstance(result, BaseModel):
            raise InternalError(
                f"The operation returned {type(result).__name__} where it declares {operation.result.__name__}."
            )
        return result.model_dump_json(by_alias=True)

    async def _resolved(self, job: ClaimedJob) -> dict[str, Any]:
        params: dict[str, Any] = orjson.loads(job.params)
        if "${" not in job.params or is_child_job(job.job_id):
            return params
        rows = await self._tools.database.retry(lambda c: sql.upstream_results(c, ids=[job.id]), seconds=FOREVER)
        results = {row["job_id"]: orjson.loads(row["result"]) if row["result"] else None for row in rows}
        resolved: dict[str, Any] = references.resolve(params, results)
        return resolved

    async def _ran_first(self, job: ClaimedJob) -> bool:
        # Whoever had others run first was claimed before.
        if job.epoch == 1:
            return False
        return bool(
            await self._tools.database.retry(
                lambda c: sql.children_done(c, id=job.id, job_id=job.job_id), seconds=FOREVER
            )
        )

    async def _record(self, outcome: Outcome, job: ClaimedJob) -> JobStatus | None:
        try:
            await self._tools.progress_writer.flush(job.id)
        except TRANSIENT_ERRORS as error:
            log.warning("last progress was not stored", job=str(job.id), error=type(error).__name__)
        try:
            recorded = await self._completer.end(outcome)
        except asyncpg.PostgresError as error:
            log.error("result refused by the database", job=str(job.id), exc_info=error)
            refusal = InternalError(f"The operation's result cannot be stored: {error}")
            return await self._completer.end(failure(job, self._catalog[job.operation], refusal, self._back_off))
        if recorded is None:
            log.warning("a late outcome was refused: the job belongs to another run", job=str(job.id))
        return recorded

    async def _forget(self, context: JobContext) -> None:
        try:
            await context.delete_files()
        except (CallsheetError, OSError) as error:
            log.warning("files of a run that came to nothing were left behind", job=str(context.id), error=str(error))


def _ended(job: ClaimedJob, status: JobStatus, **more: Any) -> Outcome:
    return Outcome(job.id, job.execution_id, job.epoch, status, **more)
