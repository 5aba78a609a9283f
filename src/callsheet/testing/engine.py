"""An engine inside the test's process.

    async with running_engine([shout]) as engine:
        execution = await engine.run({"jobs": [{"id": "a", "operation": "shout", "params": {"text": "hi"}}]})
        assert execution.jobs[0].result == {"text": "HI"}

It is the real engine with a database, a storage and a worker with its lanes.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from callsheet.domain.events import Event
from callsheet.domain.plan_validation import read_submission
from callsheet.domain.records import Execution, Job
from callsheet.engine.jobs.cancel import cancel_execution, cancel_job
from callsheet.engine.jobs.retry import retry_execution, retry_job
from callsheet.engine.jobs.submit import submit
from callsheet.engine.reads.events import events_after
from callsheet.engine.reads.executions import get_execution
from callsheet.engine.worker.loop import Worker
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import Operation
from callsheet.providers.contract import Provider
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings
from callsheet.wiring import Runtime, open_runtime


class Engine:
    """A runtime with workers. Created by `running_engine`."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.workers: list[Worker] = []
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    async def start_worker(self, lanes: Mapping[str, int] | None = None, *, name: str | None = None) -> Worker:
        """Start another worker in this process. It is stopped with the engine."""
        worker = self.runtime.worker(dict(lanes) if lanes else None, name=name)
        self.workers.append(worker)
        self._tasks[worker.id] = asyncio.create_task(worker.run(), name=f"worker {worker.name}")
        return worker

    async def stop_worker(self, worker: Worker) -> None:
        """Stop a worker gracefully, as SIGTERM does. Raises the worker's error."""
        worker.stop()
        await self._tasks.pop(worker.id)
        self.workers.remove(worker)

    async def kill_worker(self, worker: Worker) -> None:
        """Stop a worker immediately: it neither requeues its jobs nor unregisters."""
        task = self._tasks.pop(worker.id)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.workers.remove(worker)

    async def submit(self, plan: Mapping[str, Any], *, idempotency_key: str | None = None, **around: Any) -> UUID:
        """Submit a plan and return the execution id. `around` are other fields of the submission, such as metadata."""
        submitted = await submit(
            self.runtime.database,
            read_submission({"executionPlan": plan, **around}),
            self.runtime.catalog,
            max_jobs=self.runtime.settings.max_jobs_per_plan,
            idempotency_key=idempotency_key,
        )
        return submitted.execution_id

    async def run(self, plan: Mapping[str, Any], *, timeout: float = 30, **around: Any) -> Execution:
        """Submit a plan, wait for its end, and return the execution."""
        execution_id = await self.submit(plan, **around)
        return await self.ended(execution_id, timeout=timeout)

    async def ended(self, execution_id: UUID, *, timeout: float = 30) -> Execution:
        """Wait for the end of an execution and return it. Raises AssertionError after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                async for _ in self.runtime.event_stream.follow(execution_id):
                    pass
        except TimeoutError:
            raise await self._timeout_error(execution_id, "its end", timeout) from None
        return await self.execution(execution_id)

    async def wait(
        self, execution_id: UUID, event: str, *, job: str | None = None, after: int = 0, timeout: float = 10
    ) -> Event:
        """Wait for the first event of a type (`job.running`), recorded or future. `job` is a job id of the plan.

        Raises AssertionError with the recorded events after `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                async for found in self.runtime.event_stream.follow(execution_id, after=after, forever=True):
                    if found.type == event and job in (None, found.job_id):
                        return found
        except TimeoutError:
            raise await self._timeout_error(execution_id, f"{event} of {job or 'any job'}", timeout) from None
        raise AssertionError("the event stream ended")

    async def events(self, execution_id: UUID, *, job: str | None = None) -> list[Event]:
        """Return the recorded events of one job or of all."""
        found: list[Event] = []
        while page := await events_after(self.runtime.database, execution_id, found[-1].number if found else 0):
            found += page
        return [event for event in found if job in (None, event.job_id)]

    async def execution(self, execution_id: UUID) -> Execution:
        """Return an execution in its current state."""
        return await get_execution(self.runtime.database, execution_id, self.runtime.sign)

    async def job(self, execution_id: UUID, job: str) -> Job:
        """Return a job in its current state, by its id in the plan."""
        execution = await self.execution(execution_id)
        return next(found for found in execution.jobs if found.job_id == job)

    async def cancel(self, execution_id: UUID, *, job: str | None = None) -> None:
        """Cancel an execution, or one of its jobs."""
        if job is None:
            await cancel_execution(self.runtime.database, execution_id)
        else:
            await cancel_job(self.runtime.database, (await self.job(execution_id, job)).id)

    async def retry(self, execution_id: UUID, *, job: str | None = None, resubmit: bool = False) -> int:
        """Retry the unsuccessful jobs, or one job. Return the number of jobs that run again."""
        if job is None:
            return await retry_execution(self.runtime.database, execution_id, resubmit=resubmit)
        return await retry_job(self.runtime.database, (await self.job(execution_id, job)).id, resubmit=resubmit)

    async def _timeout_error(self, execution_id: UUID, awaited: str, timeout: float) -> AssertionError:
        for task in self._tasks.values():
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                return AssertionError(f"waited for {awaited}, but the worker ended with {error!r}")
        waits = [
            f"\n  {job.job_id} is {job.status}: {job.wait_reason.message}"
            for job in (await self.execution(execution_id)).jobs
            if job.wait_reason is not None
        ]
        seen = [f"{e.number} {e.type} {e.job_id or ''} {e.data or ''}" for e in await self.events(execution_id)]
        events = "\n  ".join(seen[-50:])
        return AssertionError(f"waited {timeout:g} s for {awaited}{''.join(waits)}\nrecorded events:\n  {events}")

    async def close(self) -> None:
        """Stop every worker. Raises the first error of a worker."""
        for worker in self.workers:
            worker.stop()
        results = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


@asynccontextmanager
async def running_engine(
    operations: Iterable[Operation],
    *,
    lanes: Mapping[str, int] | None = None,
    settings: Settings | None = None,
    workers: int = 1,
    providers: Iterable[Provider] = (),
    provider_settings: Iterable[ProviderSettings] = (),
) -> AsyncIterator[Engine]:
    """Run an engine with these operations, and with these providers in addition to the installed ones.

    `provider_settings` configure installed providers, in place of the environment.

    Without settings it uses a temporary folder and an embedded PostgreSQL that takes some seconds to start. To share
    one among many tests, start one `callsheet.db.embedded.postgres.EmbeddedPostgres` and set its URL in
    `settings.database_url`. `lanes` are the slots of each worker by queue.
    """
    with tempfile.TemporaryDirectory(prefix="callsheet-engine-") as folder:
        engine_settings = settings or Settings(_env_file=None, data_dir=Path(folder), grace_period="1s")
        async with open_runtime(
            engine_settings,
            Catalog(operations),
            migrate=True,
            extra_providers=providers,
            provider_settings=provider_settings,
        ) as runtime:
            engine = Engine(runtime)
            for _ in range(workers):
                await engine.start_worker(lanes)
            try:
                yield engine
            finally:
                await engine.close()
