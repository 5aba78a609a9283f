"""Prometheus metrics of queues, workers and jobs, read from the database at a scrape."""

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

from callsheet.db.database import Connection
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.records import QueueRecord, WorkerRecord
from callsheet.engine.reads.queues import list_queues
from callsheet.engine.reads.workers import list_workers
from callsheet.wiring import Runtime

log = structlog.get_logger(__name__)

DURATION_BUCKETS = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0]
"""Upper bounds of the histogram of job durations, in seconds."""

_CACHE_SECONDS = 5.0
"""Minimum time between two reads of the database, in seconds."""
_TIMEOUT = 5.0
"""Timeout of a read of the database, in seconds."""
_COMMIT_DELAY = timedelta(seconds=5)
"""Ended jobs are counted with this delay: the transaction that ends a job may commit later than its timestamp."""


@dataclass(slots=True)
class _EndedJobs:
    """Counts of the jobs of one operation that ended with one status."""

    jobs: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))


@dataclass(slots=True)
class _Snapshot:
    """State of the database at one scrape."""

    up: bool = False
    queues: list[QueueRecord] = field(default_factory=list)
    workers: list[WorkerRecord] = field(default_factory=list)
    pending_webhooks: int = 0
    now: datetime | None = None


class Metrics:
    """Metrics of this installation. Ended jobs are counted from the first scrape on."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._snapshot = _Snapshot()
        self._ended: dict[tuple[str, str], _EndedJobs] = defaultdict(_EndedJobs)
        self._counted_until: datetime | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(_MetricsCollector(self))
        ProcessCollector(registry=self._registry)

    async def scrape(self) -> tuple[bytes, str]:
        """Return the metrics as text, and their content type."""
        async with self._lock:
            if time.monotonic() - self._read_at > _CACHE_SECONDS:
                await self._refresh()
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                self._snapshot = await self._read()
        except TRANSIENT_ERRORS as error:
            log.warning("metrics: database unavailable", error=type(error).__name__)
            self._snapshot = _Snapshot()
        self._read_at = time.monotonic()

    async def _read(self) -> _Snapshot:
        runtime = self._runtime
        queues = await list_queues(runtime.database, runtime.catalog)
        workers = await list_workers(runtime.database)
        async with runtime.database.connection() as connection:
            now: datetime = await sql.database_now(connection)
            pending_webhooks: int = await sql.count_pending_webhooks(connection)
            await self._count_ended(connection, now - _COMMIT_DELAY)
        return _Snapshot(True, queues, workers, pending_webhooks, now)

    async def _count_ended(self, connection: Connection, until: datetime) -> None:
        since, self._counted_until = self._counted_until or until, until
        for row in await sql.ended_between(connection, since=since, until=until, bounds=DURATION_BUCKETS):
            ended = self._ended[row["operation"], row["status"]]
            ended.jobs += row["jobs"]
            ended.seconds += row["seconds"]
            ended.buckets[row["bucket"]] += row["jobs"]

    def families(self) -> Iterator[Metric]:
        """Yield the metrics of the last read."""
        snapshot = self._snapshot
        yield InfoMetricFamily("callsheet_build", "Version of Callsheet", {"version": version("callsheet")})
        yield GaugeMetricFamily(
            "callsheet_database_up", "1: the database responded to the last read", float(snapshot.up)
        )
        if snapshot.now is not None:
            yield from _queue_metrics(snapshot.queues, snapshot.now)
            yield _worker_metrics(snapshot.workers)
            yield GaugeMetricFamily(
                "callsheet_webhooks_waiting", "Outgoing webhooks that are not delivered yet", snapshot.pending_webhooks
            )
        yield from self._job_metrics()

    def _job_metrics(self) -> Iterator[Metric]:
        total = CounterMetricFamily("callsheet_jobs", "Jobs that ran and ended", labels=["operation", "status"])
        durations = HistogramMetricFamily(
            "callsheet_job_duration_seconds", "Duration of the last run of ended jobs", labels=["operation", "status"]
        )
        for names, ended in sorted(self._ended.items()):
            total.add_metric(names, ended.jobs)
            durations.add_metric(names, list(_cumulative(ended.buckets)), ended.seconds)
        yield total
        yield durations


class _MetricsCollector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families()


def _cumulative(buckets: list[int]) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, jobs in zip([*map(str, DURATION_BUCKETS), "+Inf"], buckets, strict=True):
        total += jobs
        yield bound, total


def _queue_metrics(queues: list[QueueRecord], now: datetime) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("callsheet_queue_jobs", "Jobs that have not ended", labels=["queue", "status"])
    oldest = GaugeMetricFamily(
        "callsheet_queue_oldest_wait_seconds", "Time since the oldest queued job was queued", labels=["queue"]
    )
    slots = GaugeMetricFamily("callsheet_queue_slots", "Slots of live workers", labels=["queue"])
    paused = GaugeMetricFamily("callsheet_queue_paused", "1: the queue is paused", labels=["queue"])
    for queue in queues:
        for status in ("queued", "running", "scheduled", "waiting"):
            jobs.add_metric([queue.name, status], getattr(queue, status))
        since: Any = queue.oldest_queued_at or now
        oldest.add_metric([queue.name], max((now - since).total_seconds(), 0))
        slots.add_metric([queue.name], queue.slots)
        paused.add_metric([queue.name], queue.paused)
    yield from (jobs, oldest, slots, paused)


def _worker_metrics(workers: list[WorkerRecord]) -> Metric:
    family = GaugeMetricFamily("callsheet_workers", "Worker processes", labels=["status"])
    for status in ("working", "stopping", "lost"):
        family.add_metric([status], sum(worker.status == status for worker in workers))
    return family
