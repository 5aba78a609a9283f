"""Polled workers: programs elsewhere that take one job at a time over HTTP, and send its result.

Each run is a worker of its own in the database, so that its lease is the heartbeat of that worker: if it is not
renewed, the rescuer requeues the job. The epoch is part of the id of the task, so a late result is refused.
"""

import asyncio
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import orjson
import structlog

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain import references
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import CallsheetError, InvalidState, NotFound
from callsheet.domain.ids import new_id
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.completer import Completer
from callsheet.engine.jobs.failures import Backoff, failure_outcome
from callsheet.engine.jobs.outcomes import Outcome
from callsheet.engine.worker.rescuer import suspect_from
from callsheet.files.object_keys import object_key, safe_name
from callsheet.files.storage import Storage
from callsheet.media.probing.probe import probe_if_media
from callsheet.operations.comfyui.operation import comfyui as comfyui_operation
from callsheet.operations.comfyui.results import ComfyUIFile, ComfyUIResult
from callsheet.queue.claim import ClaimedJob, Claimer
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_POLLERS = UUID("6f1d2c5e-8d3b-4f0a-9a55-2b1f0c9e7a10")
"""Namespace of the ids of pollers."""
_POLLER_TIMEOUT = 60.0
"""Seconds after its last poll for which a worker without a task counts as live."""


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file of a result, on the local disk."""

    path: Path
    name: str


class PolledWorkers:
    """Hands out the jobs of the queue `comfyui`, and records their results."""

    def __init__(self, database: Database, storage: Storage, settings: Settings) -> None:
        self._database = database
        self._storage = storage
        self._settings = settings
        self._backoff = Backoff(settings.retry_base.total_seconds(), settings.retry_cap.total_seconds())

    async def take(self, host: str) -> tuple[ClaimedJob, dict[str, Any]] | None:
        """Claim the oldest ready job for a worker on this host. Return it with its params; None if none is ready."""
        await self._register(uuid5(_POLLERS, host), host, _POLLER_TIMEOUT)
        worker = new_id()
        claimer = Claimer(
            self._database,
            worker,
            f"polled-{host}",
            [comfyui_operation.name],
            suspect_from=suspect_from(self._settings.crash_limit),
        )
        if not await claimer.queues_with_work([comfyui_operation.queue]):
            return None
        await claimer.refresh_limits([comfyui_operation.queue])
        await self._register(worker, host, self._settings.polled_worker_lease.total_seconds())
        claim = await claimer.claim(comfyui_operation.queue, 1)
        if not claim.jobs:
            claim = await claimer.claim(comfyui_operation.queue, 1, suspects=True)
        if not claim.jobs:
            await self._unregister(worker)
            return None
        (job,) = claim.jobs
        log.info("job claimed by a polled worker", **job.log_facts, host=host)
        return job, await self._params(job)

    async def renew(self, job: UUID, epoch: int, lease: float) -> bool:
        """Extend the lease of a run to `lease` seconds from now. Return whether the job is to be cancelled.

        Raises InvalidState if the run does not own its job any more.
        """
        row = await self._database.retry(lambda c: sql.renew_lease(c, job=job, epoch=epoch, lease=lease))
        if row is None:
            raise _lost(job, epoch)
        return bool(row["cancelled"])

    async def find(self, job: UUID, epoch: int) -> ClaimedJob:
        """Return a run. Raises InvalidState if it does not own its job any more."""
        return _claimed(await self._row(job, epoch))

    async def succeed(self, job: UUID, epoch: int, files: list[ReceivedFile]) -> None:
        """Store the files as artifacts, and record the success. Raises InvalidState for a late result."""
        row = await self._row(job, epoch)
        claimed = _claimed(row)
        artifacts = [await self._store(claimed, file) for file in files]
        outcome = Outcome(
            claimed.id,
            claimed.execution_id,
            claimed.epoch,
            JobStatus.SUCCEEDED,
            result=_result(artifacts, row["worker_name"], f"{job}-{epoch}").model_dump_json(by_alias=True),
            artifacts=artifacts,
        )
        try:
            await self._record(outcome, row["worker_id"])
        except InvalidState:
            await self._storage.delete([artifact.key for artifact in artifacts])
            raise

    async def fail(self, job: UUID, epoch: int, error: CallsheetError) -> None:
        """Record a failure. Raises InvalidState for a late result."""
        row = await self._row(job, epoch)
        await self._record(failure_outcome(_claimed(row), comfyui_operation, error, self._backoff), row["worker_id"])

    async def _row(self, job: UUID, epoch: int) -> asyncpg.Record:
        row = await self._database.retry(lambda c: sql.polled_run(c, job=job, epoch=epoch))
        if row is None:
            raise _lost(job, epoch)
        return row

    async def _record(self, outcome: Outcome, worker: UUID) -> None:
        completer = Completer(self._database)
        writing = asyncio.create_task(completer.run())
        try:
            recorded = await completer.record(outcome)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        if recorded is None:
            raise _lost(outcome.job, outcome.epoch)
        log.info("job of a polled worker ended", job=str(outcome.job), status=str(recorded))
        await self._unregister(worker)

    async def _store(self, job: ClaimedJob, file: ReceivedFile) -> Artifact:
        artifact_id, name = new_id(), safe_name(file.name)
        # Two results for one run can arrive at the same time. The key has a part of its own, so that the refused one
        # does not replace the files of the other.
        key = object_key(job.operation, job.id, f"{artifact_id.hex[-12:]}-{name}", epoch=job.epoch)
        probe = await probe_if_media(file.path)
        stored = await self._storage.put(key, file.path)
        return Artifact(
            artifact_id=artifact_id,
            name=name,
            key=key,
            media_type=stored.media_type,
            size=stored.size,
            sha256=stored.sha256,
            probe=probe,
        )

    async def _params(self, job: ClaimedJob) -> dict[str, Any]:
        params: dict[str, Any] = orjson.loads(job.params)
        if "${" not in job.params or "/" in job.job_id:  # params of a child job are plain values
            return params
        rows = await self._database.retry(lambda c: sql.upstream_results(c, ids=[job.id]))
        results = {row["job_id"]: orjson.loads(row["result"]) if row["result"] else None for row in rows}
        resolved: dict[str, Any] = references.resolve(params, results)
        return resolved

    async def _register(self, worker: UUID, host: str, timeout: float) -> None:
        await self._database.retry(
            lambda c: sql.register_worker(
                c,
                id=worker,
                name=f"polled-{host}",
                host=host,
                pid=0,
                version=version("callsheet"),
                lanes=orjson.dumps({comfyui_operation.queue: 1}).decode(),
                operations=[comfyui_operation.name],
                missing="{}",
                timeout=timeout,
                only_reserved=False,
            )
        )

    async def _unregister(self, worker: UUID) -> None:
        await self._database.retry(lambda c: sql.unregister_worker(c, id=worker))


def task_run(task: str) -> tuple[UUID, int]:
    """Return the job and the epoch in the id of a task. Raises NotFound for another text."""
    job, _, epoch = task.rpartition("-")
    try:
        return UUID(job), int(epoch)
    except ValueError:
        raise NotFound(f"There is no task '{task[:100]}'.") from None


def _lost(job: UUID, epoch: int) -> InvalidState:
    return InvalidState(f"The task {job}-{epoch} has ended, or was given to another worker.")


def _claimed(row: asyncpg.Record) -> ClaimedJob:
    names = ClaimedJob.__dataclass_fields__
    return ClaimedJob(**{name: row[name] for name in names})


def _result(artifacts: list[Artifact], server: str, prompt_id: str) -> ComfyUIResult:
    kinds: dict[str, list[Artifact]] = {"image": [], "video": [], "audio": [], "other": []}
    files = []
    for artifact in artifacts:
        found = artifact.media_type.partition("/")[0]
        kind = found if found in kinds else "other"
        kinds[kind].append(artifact)
        files.append(ComfyUIFile(node="", kind=kind, file=artifact))
    return ComfyUIResult(
        images=kinds["image"],
        videos=kinds["video"],
        audio=kinds["audio"],
        others=kinds["other"],
        texts={},
        files=files,
        server=server,
        prompt_id=prompt_id,
    )
