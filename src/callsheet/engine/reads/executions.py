"""Read executions."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.records import Execution, ExecutionSummary, Job, StoredArtifact
from callsheet.domain.statuses import ENDED, ExecutionStatus, JobStatus, execution_actions_from
from callsheet.engine.reads.artifacts import SignUrl, stored_artifact
from callsheet.engine.reads.id_times import id_at
from callsheet.engine.reads.jobs import job_record
from callsheet.engine.reads.wait_reasons import Fleet, read_fleet_of, wait_reason
from callsheet.processes.plan_thread import in_plan_thread

T = TypeVar("T")

_MAX_JOBS_ON_LOOP = 100
"""Larger executions are built in a thread, so that they do not block the event loop."""


_CLOCKS_DIFFER = timedelta(hours=1)
"""The time in an id is of the server, and `created_at` is of the database."""


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Filter of a list of executions; None matches all."""

    statuses: list[ExecutionStatus] | None = None
    search: str | None = None
    """Text in the name or the metadata, or the whole id."""
    created_after: datetime | None = None
    created_before: datetime | None = None
    operation: str | None = None
    """Canonical name of an operation that at least one job has. `queue` and `error_code` are of the same job."""
    queue: str | None = None
    error_code: str | None = None
    """Code of the error of a failed job."""
    id_prefix: str | None = None
    """First hexadecimal digits of the id."""
    plan: str | None = None
    """Name of a stored plan."""
    batch: UUID | None = None
    source: str | None = None
    """Queue or stream that an intake took it from."""
    api_key: UUID | None = None
    """Id of the API key that submitted it."""


async def get_execution(database: Database, execution_id: UUID, sign: SignUrl) -> Execution:
    """Return an execution with its jobs and artifacts. Raises NotFound."""
    stored = await _read_execution(database, execution_id, sign)
    return await _built(stored, stored.record)


async def get_executions(database: Database, ids: Sequence[UUID], sign: SignUrl) -> dict[UUID, Execution]:
    """Return executions with their jobs and artifacts, by id. Unknown ones are missing."""
    found = await _read_executions(database, ids, sign)
    return {id: await _built(stored, stored.record) for id, stored in found.items()}


async def execution_json(database: Database, execution_id: UUID, sign: SignUrl) -> bytes:
    """Return an execution as `get_execution` does, as JSON. Raises NotFound.

    It is encoded job by job: one call for thousands of jobs would hold the interpreter lock for too long.
    """
    stored = await _read_execution(database, execution_id, sign)
    return await _built(stored, stored.json)


async def _built(stored: "_StoredExecution", build: Callable[[], T]) -> T:
    return await in_plan_thread(build) if len(stored.jobs) > _MAX_JOBS_ON_LOOP else build()


async def _read_execution(database: Database, execution_id: UUID, sign: SignUrl) -> "_StoredExecution":
    found = await _read_executions(database, [execution_id], sign)
    if execution_id not in found:
        raise NotFound(f"There is no execution {execution_id}.")
    return found[execution_id]


async def _read_executions(database: Database, ids: Sequence[UUID], sign: SignUrl) -> "dict[UUID, _StoredExecution]":
    # One snapshot, so that executions, jobs and artifacts are consistent.
    async with database.connection() as c, c.transaction(isolation="repeatable_read", readonly=True):
        rows = await sql.executions_by_ids(c, ids=ids)
        if not rows:
            return {}
        jobs = await sql.jobs_of_executions(c, execution_ids=ids)
        dependencies = _by_execution(await sql.dependencies_of(c, execution_ids=ids))
        artifacts = _by_execution(await sql.artifacts_of_executions(c, execution_ids=ids))
        fleet = await read_fleet_of(c, jobs)
    jobs_by_execution = _by_execution(jobs)
    return {
        row["id"]: _StoredExecution(
            row, jobs_by_execution[row["id"]], dependencies[row["id"]], artifacts[row["id"]], fleet, sign
        )
        for row in rows
    }


def _by_execution(rows: Iterable[Mapping[str, Any]]) -> dict[UUID, list[Mapping[str, Any]]]:
    found: dict[UUID, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["execution_id"]].append(row)
    return found


@dataclass(frozen=True, slots=True)
class _StoredExecution:
    """The rows of an execution. Its methods are CPU-bound."""

    row: Mapping[str, Any]
    jobs: list[Mapping[str, Any]]
    dependencies: list[Mapping[str, Any]]
    artifacts: list[Mapping[str, Any]]
    fleet: Fleet
    sign: SignUrl

    def record(self) -> Execution:
        artifacts = self._artifact_records()
        return Execution(**self._fields(), jobs=list(self._job_records(artifacts)), artifacts=list(artifacts.values()))

    def json(self) -> bytes:
        artifacts = self._artifact_records()
        head = Execution(**self._fields(), jobs=[], artifacts=[]).model_dump_json(exclude={"jobs", "artifacts"})
        jobs = ",".join(job.model_dump_json() for job in self._job_records(artifacts))
        files = ",".join(artifact.model_dump_json() for artifact in artifacts.values())
        return f'{head[:-1]},"jobs":[{jobs}],"artifacts":[{files}]}}'.encode()

    def _fields(self) -> dict[str, Any]:
        counts: dict[JobStatus, int] = defaultdict(int)
        done = 0.0
        for job in self.jobs:
            status = JobStatus(job["status"])
            counts[status] += 1
            done += 1.0 if status in ENDED else job["progress"]
        return {
            **summary_fields(self.row, dict(counts), done),
            "inputs": None if self.row["inputs"] is None else orjson.loads(self.row["inputs"]),
            "callback_url": self.row["callback_url"],
            "last_event": self.row["last_event"],
        }

    def _artifact_records(self) -> dict[UUID, StoredArtifact]:
        return {row["id"]: stored_artifact(row, self.sign) for row in self.artifacts}

    def _job_records(self, artifacts: Mapping[UUID, StoredArtifact]) -> Iterator[Job]:
        dependencies = {row["downstream"]: row for row in self.dependencies}
        for job in self.jobs:
            found = dependencies.get(job["job_id"])
            upstream, awaited = (found["upstream"], found["awaited"]) if found else ([], [])
            yield job_record(job, upstream, artifacts, wait_reason(job, self.fleet, awaited))


async def list_executions(
    database: Database, filters: ExecutionFilter, *, before: UUID | None, limit: int
) -> list[ExecutionSummary]:
    """Return one page of executions, newest first. `before` is the last id of the previous page."""

    async def read(connection: Connection) -> list[ExecutionSummary]:
        rows = await sql.list_executions(connection, **filter_arguments(filters), before=before, limit=limit)
        counts: dict[UUID, dict[JobStatus, int]] = defaultdict(dict)
        done: dict[UUID, float] = defaultdict(float)
        for row in await sql.job_summaries(connection, execution_ids=[row["id"] for row in rows]):
            status = JobStatus(row["status"])
            counts[row["execution_id"]][status] = row["jobs"]
            done[row["execution_id"]] += row["jobs"] if status in ENDED else row["progress"]
        return [ExecutionSummary(**summary_fields(row, counts[row["id"]], done[row["id"]])) for row in rows]

    return await database.retry(read, timeout=5)


def filter_arguments(filters: ExecutionFilter) -> dict[str, Any]:
    """Return the arguments of the statements that find executions by a filter."""
    after, before = filters.created_after, filters.created_before
    return {
        "statuses": filters.statuses,
        "search": filters.search,
        "name_pattern": _pattern(filters.search),
        "metadata_pattern": _pattern(_json_text(filters.search)),
        "created_after": after,
        "created_before": before,
        "operation": filters.operation,
        "queue": filters.queue,
        "error_code": filters.error_code,
        "first_id": _latest(_padded(filters.id_prefix, "0"), id_at(after - _CLOCKS_DIFFER) if after else None),
        "last_id": _earliest(_padded(filters.id_prefix, "f"), id_at(before + _CLOCKS_DIFFER) if before else None),
        "plan": filters.plan,
        "batch": filters.batch,
        "source": filters.source,
        "api_key": filters.api_key,
    }


async def count_executions(database: Database, *, most: int) -> dict[ExecutionStatus, int]:
    """Return the number of executions by status, each counted up to `most`."""
    rows = await database.retry(lambda c: sql.execution_counts(c, statuses=list(ExecutionStatus), most=most), timeout=5)
    return {ExecutionStatus(row["status"]): row["executions"] for row in rows}


def _pattern(search: str | None) -> str | None:
    """Return the pattern of ILIKE for texts that contain the searched text literally."""
    if search is None:
        return None
    escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _json_text(search: str | None) -> str | None:
    """Return a text as it is written inside a JSON string."""
    return None if search is None else json.dumps(search, ensure_ascii=False)[1:-1]


def _padded(id_prefix: str | None, digit: str) -> UUID | None:
    return None if id_prefix is None else UUID(id_prefix.replace("-", "").ljust(32, digit))


def _latest(*ids: UUID | None) -> UUID | None:
    return max((id for id in ids if id is not None), default=None)


def _earliest(*ids: UUID | None) -> UUID | None:
    return min((id for id in ids if id is not None), default=None)


def summary_fields(row: Mapping[str, Any], counts: dict[JobStatus, int], done: float) -> dict[str, Any]:
    """Return the fields of the summary of an execution, from its row, its jobs by status and its sum of progress."""
    status = ExecutionStatus(row["status"])
    return {
        "execution_id": row["id"],
        "name": row["name"],
        "status": status,
        "progress": min(1.0, done / row["job_count"]),
        "job_counts": counts,
        "metadata": orjson.loads(row["metadata"]),
        "plan_name": row["plan_name"],
        "plan_version": row["plan_version"],
        "batch_id": row["batch_id"],
        "cancel_requested_at": row["cancel_requested_at"],
        "created_at": row["created_at"],
        "started_at": row["started_at"],
        "finished_at": row["finished_at"],
        "actions": execution_actions_from(status),
    }
