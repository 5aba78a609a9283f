"""Executor: run one claimed job and record its outcome."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import asyncpg
import orjson
import structlog
from pydantic import BaseModel

from callsheet.db.commit_once import commit_once
from callsheet.db.database import FOREVER
from callsheet.db.outages import DATABASE_ERRORS, DATABASE_UNAVAILABLE
from callsheet.db.statements import sql
from callsheet.domain import references
from callsheet.domain.errors import CallsheetError, InternalError, JobError, StateConflict, TimedOut
from callsheet.domain.plan_validation import validate_params
from callsheet.domain.statuses import ENDED, JobStatus
from callsheet.engine.jobs.child_jobs import child_job_rows, is_child_job
from callsheet.engine.jobs.completer import Completer
from callsheet.engine.jobs.discarded_run import record_discarded_run
from callsheet.engine.jobs.exception_texts import chained_exception, single_exception
from callsheet.engine.jobs.failures import Backoff, failure_outcome, unexpected_error
from callsheet.engine.jobs.outcomes import Outcome, RunKey
from callsheet.engine.jobs.snooze import Snooze
from callsheet.engine.worker.approval_waits import approval_wait
from callsheet.engine.worker.context import JobContext, WorkerServices
from callsheet.engine.worker.finished_results import digest_inputs
from callsheet.media.probing.probe_pools import probes_of_lane
from callsheet.operation_api.approval_request import WaitForApproval
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import Operation, RunChildJobs
from callsheet.operation_api.run_in_thread import wait_for_leftover_thread
from callsheet.processes.output_capture import capture_output
from callsheet.queue.claim import ClaimedJob
from callsheet.tracing import Span, is_tracing, span, traceparent_of

log = structlog.get_logger(__name__)

StopReason = Literal["cancelled", "lost", "stopping"]


@dataclass(slots=True)
class Run:
    """A run of a job in this process."""

    job: ClaimedJob
    task: asyncio.Task[Any]
    in_operation: bool = True
    """Whether the operation is running. Afterwards its outcome is recorded, which cannot be stopped."""
    stop_reason: StopReason | None = None
    started: float = field(default_factory=time.monotonic)
    """On the monotonic clock."""

    def stop(self, reason: StopReason) -> None:
        """Stop the run. The first reason counts, except that "lost" overrides it."""
        is_stopping = self.stop_reason is not None
        if not is_stopping or reason == "lost":
            self.stop_reason = reason
        # Cancel only once: every heartbeat asks again, and another cancel would interrupt the operation's clean-up.
        if self.in_operation and not is_stopping:
            self.task.cancel(reason)


class Executor:
    """Runs claimed jobs and records their outcomes."""

    def __init__(self, catalog: Catalog, services: WorkerServices, completer: Completer) -> None:
        self._catalog = catalog
        self._services = services
        self._completer = completer
        settings = services.settings
        self._backoff = Backoff(settings.retry_base.total_seconds(), settings.retry_cap.total_seconds())
        self.runs: dict[UUID, Run] = {}
        self.unrecorded: set[RunKey] = set()
        """Runs that started here and whose outcome is not recorded."""
        self.releasing = asyncio.Event()
        """Set when the worker stops after its grace period."""

    async def run(self, job: ClaimedJob) -> None:
        """Run one job until its outcome is recorded. Must be called in a task of its own.

        If the run has lost its job, its outcome is discarded and its files are deleted.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - lanes start tasks
        if earlier := self.runs.get(job.id):
            # The job was requeued and claimed again by this same worker, and the earlier run does not know yet.
            earlier.stop("lost")
        run = self.runs[job.id] = Run(job, task)
        self.unrecorded.add((job.id, job.epoch))
        context = JobContext(job, self._services)
        try:
            with _facts_of(job), _job_span(job) as current:
                await self._run_and_record(run, context, current)
        finally:
            if self.runs.get(job.id) is run:
                del self.runs[job.id]
            await wait_for_leftover_thread(job.id, unless=self.releasing)
            await context.close()

    async def _run_and_record(self, run: Run, context: JobContext, current: Span) -> None:
        job = run.job
        log.info("job claimed", **job.log_facts, queue=job.queue, start=job.starts)
        outcome = await self._run_to_outcome(run, context)
        recorded = None if outcome is None else await self._record_traced(outcome, job)
        self.unrecorded.discard((job.id, job.epoch))
        current.add({"callsheet.status": "lost" if recorded is None else recorded.value})
        if outcome is not None and outcome.error is not None:
            current.fail(orjson.loads(outcome.error)["code"])
        if outcome is not None and recorded is not None:
            log.info("job ended" if recorded in ENDED else "run ended", **_end_facts(run, outcome, recorded))
        else:
            await self._report_discarded_run(job)
        if recorded is JobStatus.SUCCEEDED:
            await context.discard_finished()
        else:
            await self._delete_files(context)

    async def _record_traced(self, outcome: Outcome, job: ClaimedJob) -> JobStatus | None:
        with span("record the outcome"):
            return await self._record(outcome, job)

    async def _run_to_outcome(self, run: Run, context: JobContext) -> Outcome | None:
        """Run the operation. Return its outcome, or None if the run has lost its job."""
        job = run.job
        if job.cancel_requested:
            run.in_operation = False
            return _outcome(job, JobStatus.CANCELLED)
        operation = self._catalog[job.operation]
        error: BaseException | None = None
        result = None
        run_log = self._services.job_log_writer.open(job)
        try:
            with (
                capture_output(run_log.add),
                probes_of_lane(job.queue),
                # A run that waits for a provider ends with an exception, too.
                span(f"operation {job.operation}", marks_errors=False),
            ):
                result = await self._run_operation(operation, job, context)
        except asyncio.CancelledError as cancelled:
            if run.stop_reason is None and run.task.cancelling():
                # The worker itself is being cancelled: record nothing.
                raise
            error = cancelled
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - every failure of an operation becomes an outcome
            error = raised
        finally:
            run.in_operation = False
            run_log.close()
        if run.stop_reason is not None:
            run.task.uncancel()
        if run.stop_reason == "lost":
            return None
        if error is None:
            writes = tuple(context.store.writes)
            return _outcome(job, JobStatus.SUCCEEDED, result=result, artifacts=context.kept, state_writes=writes)
        return self._outcome_of_error(run, operation, error, context)

    def _outcome_of_error(self, run: Run, operation: Operation, error: BaseException, context: JobContext) -> Outcome:
        if isinstance(error, Snooze) and run.stop_reason != "cancelled":
            return _outcome(run.job, JobStatus.WAITING, wait=error.wait)
        if isinstance(error, WaitForApproval) and run.stop_reason != "cancelled":
            return _outcome(run.job, JobStatus.WAITING, wait=approval_wait(error.request, self._services))
        if isinstance(error, RunChildJobs):
            try:
                return self._child_jobs_outcome(run.job, error, context)
            except Exception as invalid:  # noqa: BLE001 - runs the validators of the requested operations
                error = invalid
        return self._failure_outcome(run, operation, error)

    def _child_jobs_outcome(self, job: ClaimedJob, request: RunChildJobs, context: JobContext) -> Outcome:
        if context.children_done:
            raise InternalError("The operation requested child jobs for a second time.")
        children = child_job_rows(job, request.jobs, self._services.catalog)
        return _outcome(job, JobStatus.PENDING, children=children, reason=str(request))

    def _failure_outcome(self, run: Run, operation: Operation, error: BaseException) -> Outcome:
        job = run.job
        if run.stop_reason == "stopping":
            return _outcome(job, JobStatus.QUEUED, reason="worker stopping")
        if run.stop_reason == "cancelled":
            return _outcome(job, JobStatus.CANCELLED)
        error = single_exception(error)
        if not isinstance(error, CallsheetError):
            log.error("operation raised an exception", **job.log_facts, exc_info=error)
            if not isinstance(error, (*operation.transient, *DATABASE_UNAVAILABLE, OSError)):
                error = unexpected_error(error)
        elif chained_exception(error) is not None:
            log.warning("job failed, with a cause", **job.log_facts, code=error.code, exc_info=error)
        return failure_outcome(job, operation, error, self._backoff)

    async def _run_operation(self, operation: Operation, job: ClaimedJob, context: JobContext) -> str:
        given = await self._resolve_params(job)
        inputs = digest_inputs(operation.name, given)
        if job.epoch > 1 and (finished := await context.store_finished(inputs)) is not None:
            return finished
        params = validate_params(given, operation.params)
        context.children_done = await self._children_done(job)
        try:
            async with context.time_limit as limit:
                result = await operation.run(context, params)
        except TimeoutError:
            if limit.expired:
                raise TimedOut(
                    f"The job ran longer than its time limit of {job.timeout_seconds:g} s.",
                    seconds=job.timeout_seconds,
                ) from None
            raise
        if not isinstance(result, BaseModel):
            raise InternalError(
                f"The operation returned {type(result).__name__}, but it declares {operation.result.__name__}."
            )
        text = result.model_dump_json(by_alias=True)
        await context.finish(inputs, text)
        return text

    async def _resolve_params(self, job: ClaimedJob) -> dict[str, Any]:
        params: dict[str, Any] = orjson.loads(job.params)
        # Params of a child job are plain values; what looks like a reference in them is text.
        if "${" not in job.params or is_child_job(job.job_id):
            return params
        rows = await self._services.database.retry(lambda c: sql.upstream_results(c, ids=[job.id]), timeout=FOREVER)
        results = {row["job_id"]: orjson.loads(row["result"]) if row["result"] else None for row in rows}
        resolved: dict[str, Any] = references.resolve(params, results)
        return resolved

    async def _children_done(self, job: ClaimedJob) -> bool:
        # Only a job that was claimed before can have child jobs. This saves a query in most runs.
        if job.epoch == 1:
            return False
        return bool(
            await self._services.database.retry(
                lambda c: sql.children_done(c, id=job.id, job_id=job.job_id), timeout=FOREVER
            )
        )

    async def _record(self, outcome: Outcome, job: ClaimedJob) -> JobStatus | None:
        try:
            await self._services.progress_writer.flush(job.id)
            await self._services.job_log_writer.flush()
        except DATABASE_ERRORS as error:
            log.warning("could not store the last progress and log lines", **job.log_facts, error=type(error).__name__)
        try:
            return await self._completer.record(outcome)
        except StateConflict as error:
            rejection: JobError = error
            log.warning("the state of an operation was changed meanwhile", **job.log_facts)
        except asyncpg.PostgresError as error:
            log.error("database rejected a result", job=str(job.id), exc_info=error)
            rejection = InternalError(f"The operation's result cannot be stored: {error}")
        operation = self._catalog[job.operation]
        return await self._completer.record(failure_outcome(job, operation, rejection, self._backoff))

    async def _report_discarded_run(self, job: ClaimedJob) -> None:
        log.warning("discarded the outcome of a run that lost its job", **job.log_facts, epoch=job.epoch)
        try:
            await commit_once(self._services.database, lambda c: record_discarded_run(c, job))
        except DATABASE_ERRORS as error:
            log.warning("could not record the event of a discarded run", **job.log_facts, error=type(error).__name__)

    async def _delete_files(self, context: JobContext) -> None:
        try:
            await context.delete_files()
        except (CallsheetError, OSError) as error:
            log.warning(
                "could not delete the files of a failed run",
                job=str(context.id),
                error=str(error) or type(error).__name__,
                keys=[artifact.key for artifact in context.kept],
            )


def _end_facts(run: Run, outcome: Outcome, recorded: JobStatus) -> dict[str, Any]:
    facts = {**run.job.log_facts, "status": str(recorded), "seconds": round(time.monotonic() - run.started, 3)}
    if outcome.error is not None:
        error = orjson.loads(outcome.error)
        facts |= {"code": error["code"], "message": error["message"]}
    if outcome.reason is not None:
        facts["reason"] = outcome.reason
    return facts


def _outcome(job: ClaimedJob, status: JobStatus, **fields: Any) -> Outcome:
    return Outcome(job.id, job.execution_id, job.epoch, status, **fields)


def _facts_of(job: ClaimedJob) -> AbstractContextManager[None]:
    """Add the ids of a job to all log lines of the block."""
    return structlog.contextvars.bound_contextvars(
        execution=str(job.execution_id), job=str(job.id), job_id=job.job_id, operation=job.operation
    )


@contextmanager
def _job_span(job: ClaimedJob) -> Iterator[Span]:
    """Return a block with the span of a run, after a span of the time in which its job was ready."""
    facts: dict[str, str | int] = {
        "callsheet.execution": str(job.execution_id),
        "callsheet.job": job.job_id,
        "callsheet.job.record": str(job.id),
        "callsheet.operation": job.operation,
        "callsheet.queue": job.queue,
        "callsheet.attempt": job.attempts + 1,
    }
    parent = traceparent_of(job.traceparent, job.execution_id)
    if is_tracing():
        with span(f"queue {job.queue}", parent=parent, attributes=facts, started=job.queued_at):
            pass  # from `queued_at` until now: the claim
    with span(f"job {job.operation}", kind="consumer", parent=parent, attributes=facts, marks_errors=False) as current:
        yield current
