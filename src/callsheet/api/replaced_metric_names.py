"""Metrics under the names of the systems that Callsheet replaces, so that their dashboards keep working."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family

from callsheet.api.metric_families import counter, histogram
from callsheet.domain.records import QueueRecord
from callsheet.engine.metric_totals import Durations
from callsheet.metrics import catalog

if TYPE_CHECKING:
    from callsheet.api.metrics import Snapshot

_Numbers: TypeAlias = Mapping[tuple[str, ...], float]
_Histograms: TypeAlias = Mapping[tuple[str, ...], Durations]

REPLACED_NAMES = {
    "{prefix}queue_jobs_waiting": ("gauge", ("queue",), "Ready jobs"),
    "{prefix}queue_jobs_failed": ("gauge", ("queue",), "Failed jobs, counted since the start of the installation"),
    "{prefix}job_duration_seconds": ("histogram", ("queue", "type"), "Duration of the last run of ended jobs"),
    "worker_queue_jobs": (
        "gauge",
        ("queue", "status"),
        "Jobs: waiting (ready), active (running, or at a provider), delayed (for a retry); completed and failed are "
        "counted since the start of the installation",
    ),
    "worker_jobs_total": ("counter", ("type",), "Jobs that ended, by operation"),
    "worker_job_duration_seconds": ("histogram", ("queue", "type"), "Duration of the last run of ended jobs"),
    "worker_active_tasks": ("gauge", (), "Running jobs"),
    "worker_loop_iterations_total": ("counter", (), "Searches of workers for jobs"),
}
"""Kind, labels and meaning by name. The label `type` is the operation."""


def replaced_families(snapshot: "Snapshot", *, prefix: str) -> Iterator[Family]:
    """Yield these metrics. `prefix` is that of three of them."""
    values: dict[str, _Numbers | _Histograms] = {
        **_numbers(snapshot),
        "worker_job_duration_seconds": _durations(snapshot),
    }
    values["{prefix}job_duration_seconds"] = values["worker_job_duration_seconds"]
    seen = set()
    for listed, (kind, labels, meaning) in REPLACED_NAMES.items():
        name = listed.replace("{prefix}", prefix)
        if name in seen:  # with the prefix `worker_`
            continue
        seen.add(name)
        yield _BUILDERS[kind](name, meaning, labels, values[listed])


def _numbers(snapshot: "Snapshot") -> dict[str, _Numbers]:
    queues, ended = snapshot.queues, snapshot.totals.of(catalog.JOBS)
    by_queue: dict[tuple[str, str], float] = defaultdict(float)
    by_operation: dict[tuple[str, ...], float] = defaultdict(float)
    for (operation, queue, status), jobs in ended.items():
        by_queue[queue, status] += jobs
        by_operation[operation,] += jobs
    states: dict[str, Callable[[QueueRecord], float]] = {
        "waiting": lambda q: q.queued,
        "active": lambda q: q.running + q.waiting,
        "delayed": lambda q: q.scheduled,
        "completed": lambda q: by_queue[q.name, "succeeded"],
        "failed": lambda q: by_queue[q.name, "failed"],
    }
    return {
        "{prefix}queue_jobs_waiting": {(q.name,): q.queued for q in queues},
        "{prefix}queue_jobs_failed": {(q.name,): by_queue[q.name, "failed"] for q in queues},
        "worker_queue_jobs": {(q.name, state): number(q) for q in queues for state, number in states.items()},
        "worker_jobs_total": by_operation,
        "worker_active_tasks": {(): sum(q.running for q in queues)},
        "worker_loop_iterations_total": {(): sum(snapshot.totals.of(catalog.CLAIMS).values())},
    }


def _durations(snapshot: "Snapshot") -> _Histograms:
    found: dict[tuple[str, ...], Durations] = {}
    for (operation, queue, _), durations in snapshot.totals.durations_of(catalog.JOB_DURATION).items():
        found.setdefault((queue, operation), Durations()).add(durations)
    return found


def _gauge(name: str, meaning: str, labels: tuple[str, ...], values: _Numbers) -> Family:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family


_BUILDERS: dict[str, Callable[..., Family]] = {"gauge": _gauge, "counter": counter, "histogram": histogram}
