"""Read one page of the jobs of an execution, with what people see beside them.

Its cost depends on the page and not on the number of jobs, except for the plan graph, which large plans do not have.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import NotFound
from callsheet.domain.event_types import EventType
from callsheet.domain.events import Event
from callsheet.domain.records import ExecutionSummary, Job, JobLogLine, StoredArtifact
from callsheet.domain.statuses import ENDED, JobStatus
from callsheet.engine.reads.artifacts import SignUrl, stored_artifact
from callsheet.engine.reads.events import events_after
from callsheet.engine.reads.executions import summary_fields
from callsheet.engine.reads.jobs import job_record
from callsheet.engine.reads.wait_reasons import read_fleet_of, wait_reason

MAX_NODES = 1000
"""Jobs of a plan that is drawn as a graph."""
_MAX_EDGES = 5000
_MAX_FILES = 12
"""Artifacts of one job."""
_MAX_FAILED = 6
_SCANNED_EVENTS = 20_000
"""Newest events in which changes of status are searched."""
_NEWEST_EVENTS = 30
_READ_EVENTS = 200
"""Newest events among which those that are no progress are shown."""
_NEWEST_LINES = 100
_STATUS_EVENTS = [f"job.{status.value}" for status in JobStatus]


@dataclass(frozen=True, slots=True)
class JobsOfPage:
    """Which jobs are shown."""

    statuses: Sequence[JobStatus] | None = None
    root: str | None = None
    """A job by its id in the plan: it and its child jobs."""
    after: UUID | None = None
    """The last job of the previous page."""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A job in the graph of its plan, with its child jobs folded."""

    id: UUID
    job_id: str
    operation: str
    status: JobStatus
    progress: float
    started_at: datetime | None
    finished_at: datetime | None
    children: int
    ended_children: int


@dataclass(frozen=True, slots=True)
class PlanGraph:
    """The jobs of a plan and their dependencies: pairs of upstream and downstream job."""

    nodes: list[GraphNode]
    edges: list[tuple[UUID, UUID]]


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A change of the status of a job."""

    status: JobStatus
    at: datetime


@dataclass(frozen=True, slots=True)
class ExecutionPage:
    """An execution with one page of its jobs."""

    summary: ExecutionSummary
    inputs: dict[str, Any] | None
    last_event: int
    jobs: list[Job]
    next_after: UUID | None
    """`after` of the next page; None: this is the last one."""
    files: dict[UUID, list[StoredArtifact]]
    """The newest artifacts of each job."""
    file_counts: dict[UUID, int]
    failed: list[str]
    """Plan ids of the first failed jobs."""
    graph: PlanGraph | None
    """None: the plan has too many jobs to be drawn."""
    changes: dict[str, list[StatusChange]]
    """Plan id → its changes of status, oldest first."""
    events: list[Event] = field(default_factory=list)
    """The newest events without those of progress, oldest first."""


async def read_execution_page(
    database: Database, execution_id: UUID, asked: JobsOfPage, sign: SignUrl
) -> ExecutionPage:
    """Return an execution with a page of its jobs. Raises NotFound."""

    async def read(c: Connection) -> ExecutionPage:
        rows = await sql.executions_by_ids(c, ids=[execution_id])
        if not rows:
            raise NotFound(f"There is no execution {execution_id}.")
        return await _page(c, rows[0], asked, sign)

    async with database.connection() as c, c.transaction(isolation="repeatable_read", readonly=True):
        page = await read(c)
    newest = await events_after(database, execution_id, max(0, page.last_event - _READ_EVENTS), limit=_READ_EVENTS)
    page.events.extend([event for event in newest if event.type != EventType.JOB_PROGRESS][-_NEWEST_EVENTS:])
    return page


async def newest_log_lines(database: Database, execution_id: UUID) -> list[tuple[int, JobLogLine]]:
    """Return the newest log lines of an execution with their numbers, oldest first."""
    rows = await database.retry(
        lambda c: sql.newest_log_lines(c, execution_id=execution_id, limit=_NEWEST_LINES), timeout=5
    )
    return [(row["number"], JobLogLine(**{name: row[name] for name in JobLogLine.model_fields})) for row in rows[::-1]]


async def _page(c: Connection, row: Mapping[str, Any], asked: JobsOfPage, sign: SignUrl) -> ExecutionPage:
    execution_id = row["id"]
    found = await sql.page_of_jobs(
        c,
        execution_id=execution_id,
        statuses=asked.statuses,
        root=asked.root,
        after=asked.after,
        limit=asked.limit + 1,
    )
    jobs = found[: asked.limit]
    files, file_counts = await _files(c, execution_id, jobs, sign)
    failed = await sql.failed_jobs_of(c, execution_id=execution_id, limit=_MAX_FAILED)
    return ExecutionPage(
        summary=await _summary(c, row),
        inputs=None if row["inputs"] is None else orjson.loads(row["inputs"]),
        last_event=row["last_event"],
        jobs=await _job_records(c, jobs, files),
        next_after=jobs[-1]["id"] if len(found) > asked.limit else None,
        files=files,
        file_counts=file_counts,
        failed=[job["job_id"] for job in failed],
        graph=await _graph(c, execution_id) if row["job_count"] <= MAX_NODES * 10 else None,
        changes=await _changes(c, execution_id, jobs),
    )


async def _summary(c: Connection, row: Mapping[str, Any]) -> ExecutionSummary:
    counts: dict[JobStatus, int] = {}
    done = 0.0
    for each in await sql.job_summaries(c, execution_ids=[row["id"]]):
        status = JobStatus(each["status"])
        counts[status] = each["jobs"]
        done += each["jobs"] if status in ENDED else each["progress"]
    return ExecutionSummary(**summary_fields(row, counts, done))


async def _files(
    c: Connection, execution_id: UUID, jobs: list[Mapping[str, Any]], sign: SignUrl
) -> tuple[dict[UUID, list[StoredArtifact]], dict[UUID, int]]:
    files: dict[UUID, list[StoredArtifact]] = defaultdict(list)
    counts: dict[UUID, int] = {}
    ids = [job["id"] for job in jobs]
    for row in await sql.artifacts_of_jobs(c, execution_id=execution_id, ids=ids, limit=_MAX_FILES):
        files[row["job"]].append(stored_artifact(row, sign))
        counts[row["job"]] = row["of_job"]
    return files, counts


async def _job_records(
    c: Connection, jobs: list[Mapping[str, Any]], files: Mapping[UUID, list[StoredArtifact]]
) -> list[Job]:
    ids = [job["id"] for job in jobs]
    dependencies = {row["id"]: row for row in await sql.dependencies_of_jobs(c, ids=ids)}
    fleet = await read_fleet_of(c, jobs)
    records = []
    for job in jobs:
        row = dependencies.get(job["id"])
        artifacts = {file.artifact_id: file for file in files.get(job["id"], ())}
        reason = wait_reason(job, fleet, row["awaited"] if row else [])
        records.append(job_record(job, row["upstream"] if row else [], artifacts, reason))
    return records


async def _graph(c: Connection, execution_id: UUID) -> PlanGraph | None:
    rows = await sql.graph_nodes(c, execution_id=execution_id, limit=MAX_NODES + 1)
    if len(rows) > MAX_NODES:
        return None
    edges = await sql.graph_edges(c, execution_id=execution_id, limit=_MAX_EDGES)
    children = {row["job_id"]: row for row in await sql.child_job_counts(c, execution_id=execution_id)}
    nodes = [
        GraphNode(
            **{name: row[name] for name in ("id", "job_id", "operation", "progress", "started_at", "finished_at")},
            status=JobStatus(row["status"]),
            children=children[row["job_id"]]["jobs"] if row["job_id"] in children else 0,
            ended_children=children[row["job_id"]]["ended"] if row["job_id"] in children else 0,
        )
        for row in rows
    ]
    return PlanGraph(nodes, [(row["upstream"], row["downstream"]) for row in edges])


async def _changes(c: Connection, execution_id: UUID, jobs: list[Mapping[str, Any]]) -> dict[str, list[StatusChange]]:
    rows = await sql.status_events_of_jobs(
        c,
        execution_id=execution_id,
        newest=_SCANNED_EVENTS,
        job_ids=[job["job_id"] for job in jobs],
        types=_STATUS_EVENTS,
    )
    changes: dict[str, list[StatusChange]] = defaultdict(list)
    for row in rows:
        changes[row["job_id"]].append(StatusChange(JobStatus(row["type"].removeprefix("job.")), row["at"]))
    return changes
