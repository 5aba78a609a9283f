"""Prometheus metrics: the stored totals, the state of the database at a scrape, and this process."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from callsheet.api.metric_families import installation_families, process_families
from callsheet.api.replaced_metric_names import replaced_families
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.records import QueueRecord, WorkerRecord
from callsheet.domain.scaling import QueueScaling
from callsheet.engine.metric_totals import Totals, count_new_events, read_totals
from callsheet.engine.reads.queues import list_queues
from callsheet.engine.reads.scaling import scale_queues
from callsheet.engine.reads.workers import list_workers
from callsheet.wiring import Runtime

log = structlog.get_logger(__name__)

_CACHE_SECONDS = 5.0
"""Minimum time between two reads of the database, in seconds."""
_TIMEOUT = 5.0
"""Timeout of a read of the database, in seconds."""


@dataclass(slots=True)
class Snapshot:
    """State of the installation at one scrape."""

    queues: list[QueueRecord]
    workers: list[WorkerRecord]
    gauges: Any
    scaling: list[QueueScaling] = field(default_factory=list)
    provider_waits: list[Any] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)


class Metrics:
    """Metrics of this installation and of this process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._snapshot: Snapshot | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(_MetricsCollector(self))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def scrape(self) -> tuple[bytes, str]:
        """Return the metrics as text, and their content type."""
        async with self._lock:
            if time.monotonic() - self._read_at > _CACHE_SECONDS:
                await self._refresh()
        return await asyncio.to_thread(generate_latest, self._registry), CONTENT_TYPE_LATEST

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                self._snapshot = await self._read()
        except TRANSIENT_ERRORS as error:
            log.warning("metrics: database unavailable", error=type(error).__name__)
            self._snapshot = None
        self._read_at = time.monotonic()

    async def _read(self) -> Snapshot:
        database = self._runtime.database
        await count_new_events(database)
        queues = await list_queues(database, self._runtime.catalog)
        workers = await list_workers(database)
        async with database.connection() as connection:
            gauges = await sql.metric_gauges(connection)
            waits = await sql.provider_waits(connection)
            totals = await read_totals(connection)
        return Snapshot(queues, workers, gauges, self._scaling(queues, gauges["now"]), waits, totals)

    def _scaling(self, queues: list[QueueRecord], now: datetime) -> list[QueueScaling]:
        settings = self._runtime.settings
        wait = settings.scaling_target_wait.total_seconds()
        return scale_queues(queues, now=now, target_wait=wait, lanes=settings.lanes)

    def families(self) -> Iterator[Metric]:
        """Yield the metrics of the last read."""
        snapshot, settings = self._snapshot, self._runtime.settings
        yield from process_families(self._runtime, is_up=snapshot is not None)
        if snapshot is None:
            return
        yield from installation_families(snapshot)
        if settings.metrics_replaced_names:
            yield from replaced_families(snapshot, prefix=settings.metrics_prefix)


class _MetricsCollector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families()
