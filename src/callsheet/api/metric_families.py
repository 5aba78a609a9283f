"""The metrics of Callsheet under its own names, from a snapshot."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.core import Metric as Family

from callsheet.engine.metric_totals import Durations
from callsheet.metrics import catalog
from callsheet.metrics.catalog import SECONDS, Metric
from callsheet.wiring import Runtime

if TYPE_CHECKING:
    from callsheet.api.metrics import Snapshot

_STATUSES = ("queued", "running", "scheduled", "waiting")


def installation_families(snapshot: "Snapshot") -> Iterator[Family]:
    """Yield the metrics of the whole installation."""
    yield from _queues(snapshot)
    yield from _workers(snapshot)
    yield from _providers(snapshot)
    yield from _single_gauges(snapshot)
    for metric in catalog.INSTALLATION.values():
        if metric.kind == "counter":
            yield counter(metric.name, metric.meaning, metric.labels, snapshot.totals.of(metric))
        elif metric.kind == "histogram":
            yield histogram(metric.name, metric.meaning, metric.labels, snapshot.totals.durations_of(metric))


def process_families(runtime: Runtime, *, is_up: bool) -> Iterator[Family]:
    """Yield the metrics of this process."""
    database, stream = runtime.database, runtime.event_stream
    build = catalog.BUILD.name.removesuffix("_info")
    yield InfoMetricFamily(build, catalog.BUILD.meaning, {"version": version("callsheet")})
    yield gauge(catalog.DATABASE_UP, {(): is_up})
    used, idle = database.used_connections, database.idle_connections
    yield gauge(catalog.CONNECTIONS, {("used",): used, ("idle",): idle})
    yield gauge(catalog.MAX_CONNECTIONS, {(): database.max_connections})
    yield gauge(catalog.WATCHERS, {(): stream.watchers})
    yield gauge(catalog.WATCHED, {(): stream.watched})
    folders = {"data": runtime.settings.data_dir, "scratch": runtime.settings.scratch_dir}
    yield gauge(catalog.DISK_FREE, {(name,): _free(folder) for name, folder in folders.items()})


_Values: TypeAlias = dict[tuple[str, ...], float]


def _queues(snapshot: "Snapshot") -> Iterator[Family]:
    queues, now = snapshot.queues, snapshot.gauges["now"]
    yield gauge(catalog.QUEUE_JOBS, {(q.name, status): getattr(q, status) for q in queues for status in _STATUSES})
    waits: _Values = {(q.name,): max((now - (q.oldest_queued_at or now)).total_seconds(), 0) for q in queues}
    yield gauge(catalog.QUEUE_OLDEST_WAIT, waits)
    yield gauge(catalog.QUEUE_SLOTS, {(q.name,): q.slots for q in queues})
    yield gauge(catalog.QUEUE_DESIRED_WORKERS, {(each.queue,): each.desired_workers for each in snapshot.scaling})
    yield gauge(catalog.QUEUE_PAUSED, {(q.name,): q.paused for q in queues})


def _workers(snapshot: "Snapshot") -> Iterator[Family]:
    statuses = [worker.status for worker in snapshot.workers]
    yield gauge(catalog.WORKERS, {(each,): statuses.count(each) for each in ("working", "stopping", "lost")})
    live = [worker for worker in snapshot.workers if worker.status != "lost"]
    yield gauge(catalog.WORKER_RUNNING, _sums((worker.name, worker.running) for worker in live))
    yield gauge(catalog.WORKER_SLOTS, _sums((worker.name, sum(worker.lanes.values())) for worker in live))
    measured = [(worker.name, worker.resources) for worker in live if worker.resources is not None]
    ratios: _Values = {
        (name, resource): level / 100 for name, use in measured for resource, level in use.levels().items()
    }
    yield gauge(catalog.WORKER_RESOURCES, ratios)
    high: _Values = {(name, warning.resource): 1.0 for name, use in measured for warning in use.warnings}
    # Also those that are not high, so that an alert ends.
    yield gauge(catalog.WORKER_WARNINGS, {key: high.get(key, 0.0) for key in ratios})


def _sums(values: Iterable[tuple[str, int]]) -> dict[tuple[str, ...], float]:
    """Return sums by name: two workers can have the same one."""
    sums: dict[tuple[str, ...], float] = {}
    for name, value in values:
        sums[name,] = sums.get((name,), 0) + value
    return sums


def _providers(snapshot: "Snapshot") -> Iterator[Family]:
    waits = snapshot.provider_waits
    yield gauge(catalog.PROVIDER_JOBS, {(row["provider"],): row["jobs"] for row in waits})
    yield gauge(catalog.PROVIDER_POLL_LAG, {(row["provider"],): row["lag"] or 0 for row in waits})


def _single_gauges(snapshot: "Snapshot") -> Iterator[Family]:
    row = snapshot.gauges
    open_executions: _Values = {("queued",): row["executions_queued"], ("running",): row["executions_running"]}
    yield gauge(catalog.EXECUTIONS_OPEN, open_executions)
    yield gauge(catalog.WEBHOOKS_WAITING, {(): row["webhooks_waiting"]})
    yield gauge(catalog.WEBHOOKS_OLDEST, {(): row["webhooks_oldest"]})
    yield gauge(catalog.APPROVALS_OPEN, {(): row["approvals_open"]})
    yield gauge(catalog.SUBMISSIONS_HELD, {(): row["submissions_held"]})
    yield gauge(catalog.DATABASE_BYTES, {(): row["database_bytes"]})


def gauge(metric: Metric, values: Mapping[tuple[str, ...], float]) -> Family:
    """Return a gauge with these values by labels."""
    family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, float(value))
    return family


def counter(name: str, meaning: str, labels: Iterable[str], values: Mapping[tuple[str, ...], float]) -> Family:
    """Return a counter with these values by labels. A counter without labels is always there."""
    names = tuple(labels)
    family = CounterMetricFamily(name.removesuffix("_total"), meaning, labels=names)
    for each, value in (values or ({} if names else {(): 0.0})).items():
        family.add_metric(each, value)
    return family


def histogram(name: str, meaning: str, labels: Iterable[str], values: Mapping[tuple[str, ...], Durations]) -> Family:
    """Return a histogram of durations with these values by labels."""
    family = HistogramMetricFamily(name, meaning, labels=tuple(labels))
    for each, durations in values.items():
        family.add_metric(each, list(_cumulative(durations.counts)), durations.seconds)
    return family


def _cumulative(counts: list[float]) -> Iterator[tuple[str, float]]:
    total = 0.0
    for bound, durations in zip([*map(str, SECONDS), "+Inf"], counts, strict=True):
        total += durations
        yield bound, total


def _free(folder: Path) -> float:
    """Return the free bytes of the file system of a folder, or of its nearest parent that exists."""
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return float(shutil.disk_usage(existing).free)
