"""Body of an outgoing webhook: the state of an execution, in at most 20 kB."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson

from callsheet.domain.records import Execution
from callsheet.domain.statuses import JobStatus

MAX_BYTES = 20_000

_JOB_FIELDS = {"id", "job_id", "operation", "status", "error", "attempts", "result", "started_at", "finished_at"}
_MAX_JOBS = 20


def build_payload(event_type: str, timestamp: datetime, execution: Execution, *, status_url: str) -> bytes:
    """Return the JSON body of a webhook.

    It never contains params. A body above 20 kB is shortened in steps: without results, with failed jobs only, without
    jobs and artifacts, without metadata. `truncated` is true then, and `statusUrl` returns the complete execution.
    """
    body = b""
    for data in _shortened_variants(execution):
        body = orjson.dumps({"type": event_type, "timestamp": timestamp, "data": data | {"statusUrl": status_url}})
        if len(body) <= MAX_BYTES:
            break
    return body


def _shortened_variants(execution: Execution) -> Iterator[dict[str, Any]]:
    summary = execution.model_dump(mode="json", exclude={"jobs", "artifacts", "actions", "callback_url"})
    artifacts = execution.model_dump(mode="json", include={"artifacts"})
    yield summary | artifacts | {"jobs": _jobs(execution, _JOB_FIELDS), "truncated": False}
    without_results = _JOB_FIELDS - {"result"}
    yield summary | artifacts | {"jobs": _jobs(execution, without_results), "truncated": True}
    failed = [job for job in execution.jobs if job.status is JobStatus.FAILED][:_MAX_JOBS]
    failed_only = execution.model_copy(update={"jobs": failed})
    yield summary | artifacts | {"jobs": _jobs(failed_only, without_results), "truncated": True}
    yield summary | {"jobs": [], "artifacts": [], "truncated": True}
    yield summary | {"jobs": [], "artifacts": [], "metadata": {}, "truncated": True}


def _jobs(execution: Execution, fields: set[str]) -> list[dict[str, Any]]:
    jobs = [job.model_dump(mode="json", include=fields) for job in execution.jobs]
    for job in jobs:
        if job["error"]:
            # For operators only.
            del job["error"]["traceback"]
    return jobs
