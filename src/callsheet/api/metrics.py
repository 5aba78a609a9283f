"""Figures of the fleet for Prometheus, read from the database when somebody asks."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from callsheet.db.database import TRANSIENT_ERRORS, Connection
from callsheet.db.statements import sql
from callsheet.domain.records import QueueRecord, WorkerRecord
from callsheet.engine.reads.queues import list_queues
from callsheet.engine.reads.workers import list_workers
from callsheet.wiring import Runtime

log = structlog.get_logger(__name__)

BOUNDS = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0]
"""Of the histogram of job durations, seconds."""

_FRESH = 5.0
"""Seconds that figures are kept, however often somebody asks."""
_PATIENCE = 5.0
_SETTLED = timedelta(seconds=5)
"""Ended jobs are counted this much later: until then a transaction that ended one may not have committed."""


@dataclass(slots=True)
class _Ended:
    """Jobs of one operation that ended in one status."""

    jobs: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))


@dataclass(slots=True)
class _Figures:
    up: bool = False
    queues: list[QueueRecord] = field(default_factory=list)
    workers: list[WorkerRecord] = field(default_factory=list)
    notices: int = 0
    now: datetime | None = None


class Metrics:
    """The figures of the fleet. Ended jobs are counted from the first time somebody asks."""

    def __init__(self, runtime: Runtime) -> None:
        self._house = runtime
        self._figures = _Figures()
        self._ended: dict[tuple[str, str], _Ended] = defaultdict(_Ended)
        self._counted_until: datetime | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(_Families(self))
        ProcessCollector(registry=self._registry)

    async def scrape(self) -> tuple[bytes, str]:
        """Return the figures as text with its content type."""
        async with self._reading:
            if time.monotonic() - self._read_at > _FRESH:
                await self._refresh()
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                self._figures = await self._read()
        except TRANSIENT_ERRORS as error:
            log.warning("no figures from the database", error=type(error).__name__)
            self._figures = _Figures()
        self._read_at = time.monotonic()

    async def _read(self) -> _Figures:
        runtime = self._house
        queues = await list_queues(runtime.database, runtime.catalog)
        workers = await list_workers(runtime.database)
        async with runtime.database.connection() as connection:
            now: datetime = await sql.database_now(connection)
            notices: int = await sql.count_pending_webhooks(connection)
            await self._count_ended(connection, now - _SETTLED)
        return _Figures(True, queues, workers, notices, now)

    async def _count_ended(self, connection: Connection, until: datetime) -> None:
        since, self._counted_until = self._counted_until or until, until
        for row in await sql.ended_between(connection, since=since, until=until, bounds=BOUNDS):
            ended = self._ended[row["operation"], row["status"]]
            ended.jobs += row["jobs"]
            ended.seconds += row["seconds"]
            ended.buckets[row["bucket"]] += row["jobs"]

    def families(self) -> Iterator[Metric]:
        """Yield the figures as they were last read."""
        figures = self._figures
        yield InfoMetricFamily("callsheet_build", "What runs here", {"version": version("callsheet")})
        yield GaugeMetricFamily("callsheet_database_up", "Whether the database answered", float(figures.up))
        if figures.now is not None:
            yield from _of_queues(figures.queues, figures.now)
            yield _of_workers(figures.workers)
            yield GaugeMetricFamily("callsheet_webhooks_waiting", "Webhooks not delivered yet", figures.notices)
        yield from self._of_jobs()

    def _of_jobs(self) -> Iterator[Metric]:
        total = CounterMetricFamily("callsheet_jobs", "Jobs that ran and ended", labels=["operation", "status"])
        took = HistogramMetricFamily(
            "callsheet_job_duration_seconds", "How long the last run of ended jobs took", labels=["operation", "status"]
        )
        for names, ended in sorted(self._ended.items()):
            total.add_metric(names, ended.jobs)
            took.add_metric(names, list(_cumulative(ended.buckets)), ended.seconds)
        yield total
        yield took


class _Families(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families()


def _cumulative(buckets: list[int]) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, jobs in zip([*map(str, BOUNDS), "+Inf"], buckets, strict=True):
        total += jobs
        yield bound, total


def _of_queues(queues: list[QueueRecord], now: datetime) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("callsheet_queue_jobs", "Jobs that have not ended", labels=["queue", "status"])
    oldest = GaugeMetricFamily("callsheet_queue_oldest_wait_seconds", "Wait of the oldest ready job", labels=["queue"])
    slots = GaugeMetricFamily("callsheet_queue_seats", "Jobs that live workers run at once", labels=["queue"])
    paused = GaugeMetricFamily("callsheet_queue_paused", "1: no job of this queue starts", labels=["queue"])
    for queue in queues:
        for status in ("queued", "running", "scheduled", "waiting"):
            jobs.add_metric([queue.name, status], getattr(queue, status))
        since: Any = queue.oldest_queued_at or now
        oldest.add_metric([queue.name], max((now - since).total_seconds(), 0))
        slots.add_metric([queue.name], queue.slots)
        paused.add_metric([queue.name], queue.paused)
    yield from (jobs, oldest, slots, paused)


def _of_workers(workers: list[WorkerRecord]) -> Metric:
    family = GaugeMetricFamily("callsheet_workers", "Worker processes", labels=["status"])
    for status in ("working", "stopping", "lost"):
        family.add_metric([status], sum(worker.status == status for worker in workers))
    return family
