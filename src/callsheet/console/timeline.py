"""The timeline of jobs: bars of the time that they were queued, ran, or waited."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from callsheet.domain.records import Job
from callsheet.domain.statuses import ENDED, JobStatus
from callsheet.engine.reads.execution_page import ExecutionPage, StatusChange

_MIN_PERCENT = 0.4
"""Width of the shortest bar."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A time span of a job. Positions are percentages of the whole timeline."""

    status: JobStatus
    left: float
    width: float
    seconds: float
    attempt: int
    """Number of the run, from 1; 0: no run."""


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """The bars of a job."""

    job: Job
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The timeline of a page of jobs."""

    rows: list[TimelineRow]
    start: datetime
    end: datetime


def timeline_of(page: ExecutionPage, now: datetime) -> Timeline:
    """Return the timeline of the jobs of a page, from the submission to the end or to `now`."""
    start, end = page.summary.created_at, page.summary.finished_at or now
    whole = max((end - start).total_seconds(), 0.001)
    rows = []
    for job in page.jobs:
        bars = []
        for status, begin, until, run in _spans(job, page.changes.get(job.job_id, []), end):
            left = min(max((begin - start).total_seconds() / whole * 100, 0), 100 - _MIN_PERCENT)
            seconds = max((until - begin).total_seconds(), 0)
            width = max(min(seconds / whole * 100, 100 - left), _MIN_PERCENT)
            bars.append(Bar(status, left, width, seconds, run))
        rows.append(TimelineRow(job, bars))
    return Timeline(rows, start, end)


def _spans(job: Job, changes: list[StatusChange], end: datetime) -> Iterator[tuple[JobStatus, datetime, datetime, int]]:
    """Yield the status, the start and the end of each span in which the job had not ended, and the number of its run.

    A job that was ready when its plan was stored has no event for it.
    """
    first = JobStatus.PENDING if job.depends_on else JobStatus.QUEUED
    known = [StatusChange(first, job.created_at), *changes]
    runs = 0
    for change, following in zip(known, [*known[1:], None], strict=True):
        runs += change.status is JobStatus.RUNNING
        if change.status in ENDED or (change.status is JobStatus.PENDING and not runs):
            continue
        running = change.status is JobStatus.RUNNING
        yield change.status, change.at, following.at if following else end, runs if running else 0
