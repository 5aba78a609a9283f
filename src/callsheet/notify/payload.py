"""What an outgoing webhook says: how an execution stands, in at most 20 kB."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson

from callsheet.domain.records import Execution
from callsheet.domain.statuses import JobStatus

MAX_BYTES = 20_000

_JOB_FIELDS = {"id", "job_id", "operation", "status", "error", "attempts", "result", "started_at", "finished_at"}
_MOST_JOBS = 20


def build_payload(event_type: str, timestamp: datetime, execution: Execution, *, status_url: str) -> bytes:
    """Return the body of a webhook.

    Params are left out. What is too long for 20 kB is left out step by step: results, then all jobs but failed ones,
    then jobs and files, then metadata; `truncated` tells of it, and `statusUrl` is where the rest is read.
    """
    body = b""
    for data in _shortened_variants(execution):
        body = orjson.dumps({"type": event_type, "timestamp": timestamp, "data": data | {"statusUrl": status_url}})
        if len(body) <= MAX_BYTES:
            break
    return body


def _shortened_variants(execution: Execution) -> Iterator[dict[str, Any]]:
    summary = execution.model_dump(mode="json", exclude={"jobs", "artifacts", "actions", "callback_url"})
    files = execution.model_dump(mode="json", include={"artifacts"})
    yield summary | files | {"jobs": _jobs(execution, _JOB_FIELDS), "truncated": False}
    without_results = _JOB_FIELDS - {"result"}
    yield summary | files | {"jobs": _jobs(execution, without_results), "truncated": True}
    failed = [job for job in execution.jobs if job.status is JobStatus.FAILED][:_MOST_JOBS]
    few = execution.model_copy(update={"jobs": failed})
    yield summary | files | {"jobs": _jobs(few, without_results), "truncated": True}
    yield summary | {"jobs": [], "artifacts": [], "truncated": True}
    yield summary | {"jobs": [], "artifacts": [], "metadata": {}, "truncated": True}


def _jobs(execution: Execution, fields: set[str]) -> list[dict[str, Any]]:
    return [job.model_dump(mode="json", include=fields) for job in execution.jobs]
