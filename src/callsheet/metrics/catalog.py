"""Every metric of Callsheet under its own name: kind, labels, meaning."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "info"]

SECONDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    *(120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0),
)
"""Largest values of the buckets of all durations, in seconds: from 5 milliseconds to 4 hours."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, as `/metrics` shows it."""

    name: str
    """With the suffix `_total` of a counter, without the suffixes of a histogram."""
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    of_process: bool = False
    """The value is that of the process that is asked. Otherwise, it is that of the whole installation."""


INSTALLATION: dict[str, Metric] = {}
"""Metrics of the whole installation, by name: every server and worker shows the same values."""
PROCESS: dict[str, Metric] = {}
"""Metrics of the process that is asked, by name."""


def _counter(name: str, meaning: str, *labels: str) -> Metric:
    return _listed(Metric(name, "counter", meaning, labels))


def _histogram(name: str, meaning: str, *labels: str) -> Metric:
    return _listed(Metric(name, "histogram", meaning, labels))


def _gauge(name: str, meaning: str, *labels: str, of_process: bool = False) -> Metric:
    return _listed(Metric(name, "gauge", meaning, labels, of_process))


def _listed(metric: Metric) -> Metric:
    group = PROCESS if metric.of_process else INSTALLATION
    group[metric.name] = metric
    return metric


QUEUE_JOBS = _gauge(
    "callsheet_queue_jobs",
    "Jobs that have not ended: queued (ready), scheduled (for a retry), running, waiting (for a provider or a person)",
    "queue",
    "status",
)
QUEUE_OLDEST_WAIT = _gauge(
    "callsheet_queue_oldest_wait_seconds", "Time since the oldest queued job became ready", "queue"
)
QUEUE_SLOTS = _gauge("callsheet_queue_slots", "Slots of working workers", "queue")
QUEUE_DESIRED_WORKERS = _gauge(
    "callsheet_queue_desired_workers", "Workers that the queue should have, by its jobs and their waits", "queue"
)
QUEUE_PAUSED = _gauge("callsheet_queue_paused", "1: the queue is paused", "queue")
EXECUTIONS_OPEN = _gauge("callsheet_executions_open", "Executions that have not ended: queued or running", "status")
EXECUTIONS = _counter("callsheet_executions_total", "Executions by status: submitted, and how they ended", "status")
EXECUTION_DURATION = _histogram(
    "callsheet_execution_duration_seconds", "Time from the submission of an execution to its end", "status"
)
JOBS = _counter(
    "callsheet_jobs_total",
    "Jobs that ended: succeeded, failed, cancelled or skipped",
    "operation",
    "queue",
    "status",
)
JOB_DURATION = _histogram(
    "callsheet_job_duration_seconds",
    "Duration of the last run of jobs that ended; of a job at a provider, of the run that fetched its result",
    "operation",
    "queue",
    "status",
)
JOB_WAIT = _histogram(
    "callsheet_job_wait_seconds", "Time from the moment in which a job became ready to its start", "queue"
)
JOB_RETRIES = _counter(
    "callsheet_job_retries_total", "Runs that failed and are tried again automatically", "operation", "queue"
)
JOB_RESCUES = _counter(
    "callsheet_job_rescues_total", "Jobs that were requeued because their worker was lost", "operation", "queue"
)
CLAIMS = _counter("callsheet_claims_total", "Searches of workers for jobs; found: jobs, or none", "queue", "found")
WORKERS = _gauge("callsheet_workers", "Worker processes: working, stopping, or lost in the last 24 hours", "status")
WORKER_RUNNING = _gauge("callsheet_worker_running_jobs", "Jobs that run on a live worker", "worker")
WORKER_SLOTS = _gauge("callsheet_worker_slots", "Slots of all lanes of a live worker", "worker")
WORKER_RESOURCES = _gauge(
    "callsheet_worker_resource_ratio",
    "Use of the machine of a live worker, 0 to 1. resource: cpu, memory, disk:data, disk:scratch (working files, on "
    "another file system), gpu:0, gpu-memory:0",
    "worker",
    "resource",
)
WORKER_WARNINGS = _gauge(
    "callsheet_worker_resource_high", "1: a live worker warns that this resource is used too much", "worker", "resource"
)
PROVIDER_JOBS = _gauge("callsheet_provider_jobs_waiting", "Jobs that wait for a task of a provider", "provider")
PROVIDER_POLL_LAG = _gauge(
    "callsheet_provider_poll_lag_seconds", "Time since the most overdue poll should have been sent", "provider"
)
PROVIDER_REQUESTS = _counter(
    "callsheet_provider_requests_total",
    "HTTP requests to providers. kind: submit, or other (polls, cancels, uploads of inputs). status: 2xx, 4xx, 5xx, "
    "429, or none (no response)",
    "provider",
    "kind",
    "status",
)
PROVIDER_LATENCY = _histogram(
    "callsheet_provider_request_duration_seconds", "Time to the complete response of a provider", "provider", "kind"
)
SUBMISSIONS = _counter(
    "callsheet_provider_submissions_total",
    "Submissions to providers by outcome: accepted, rejected, unknown",
    "provider",
    "model",
    "outcome",
)
TASKS = _counter(
    "callsheet_provider_tasks_total",
    "Tasks of providers whose end was recorded by a run: succeeded, failed, cancelled, lost",
    "provider",
    "model",
    "status",
)
SPEND = _counter(
    "callsheet_provider_cost_dollars_total",
    "Cost of tasks in US dollars, where it is known. source: provider (reported), price (estimated)",
    "provider",
    "model",
    "source",
)
SUBMISSIONS_HELD = _gauge("callsheet_submissions_held", "Submissions that wait for a person to release them")
APPROVALS_OPEN = _gauge("callsheet_approvals_open", "Approvals that wait for a decision")
WEBHOOKS_WAITING = _gauge("callsheet_webhooks_waiting", "Outgoing webhooks that are not delivered yet")
WEBHOOKS_OLDEST = _gauge(
    "callsheet_webhooks_oldest_wait_seconds", "Time since the oldest of these webhooks was written"
)
WEBHOOK_DELIVERIES = _counter(
    "callsheet_webhook_deliveries_total",
    "Attempts to deliver a webhook: delivered, retried (failed, and tried again later), failed (given up)",
    "outcome",
)
WEBHOOK_LATENCY = _histogram("callsheet_webhook_duration_seconds", "Time to the response of a receiver of webhooks")
HTTP_REQUESTS = _counter(
    "callsheet_http_requests_total",
    "Requests to the servers. route: its name in the API description, or none; status: 2xx, 3xx, 4xx, 5xx",
    "route",
    "status",
)
HTTP_LATENCY = _histogram(
    "callsheet_http_request_duration_seconds",
    "Time to the first byte of the response: event streams do not distort it",
    "route",
)
DATABASE_BYTES = _gauge("callsheet_database_size_bytes", "Size of the database")

BUILD = _listed(Metric("callsheet_build_info", "info", "Version of this process", ("version",), True))
DATABASE_UP = _gauge("callsheet_database_up", "1: the database responded to the last read", of_process=True)
CONNECTIONS = _gauge(
    "callsheet_database_connections", "Connections of the pool: used or idle", "state", of_process=True
)
MAX_CONNECTIONS = _gauge(
    "callsheet_database_connections_max", "Largest number of connections of the pool", of_process=True
)
WATCHERS = _gauge(
    "callsheet_event_watchers", "Event streams of clients and pages that this process serves", of_process=True
)
WATCHED = _gauge("callsheet_event_watched_executions", "Executions that these streams follow", of_process=True)
DISK_FREE = _gauge(
    "callsheet_disk_free_bytes",
    "Free space of the file system of a folder: data, or scratch (working files of jobs)",
    "folder",
    of_process=True,
)
