import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from callsheet.domain.ids import new_id
from callsheet.domain.records import Execution, Job, JobErrorRecord
from callsheet.notify.payload import MAX_BYTES, build_payload
from callsheet.notify.payload_schema import ExecutionWebhook

AT = datetime(2026, 11, 22, tzinfo=UTC)


def job(name, status, **more):
    return Job(
        id=new_id(), execution_id=UUID(int=1), job_id=name, operation="noop", queue="default", status=status,
        priority=5, progress=1, params={"secret": "hunter2"}, continue_on_failure=False, attempts=0, max_attempts=3,
        timeout=60, created_at=AT, actions=[], **more,
    )  # fmt: skip


def execution(jobs, metadata=None):
    return Execution(
        execution_id=UUID(int=1), status="failed", progress=1, job_counts={}, metadata=metadata or {}, created_at=AT,
        actions=[], last_event=9, jobs=jobs, artifacts=[],
    )  # fmt: skip


def data_of(jobs, **more):
    body = build_payload("execution.failed", AT, execution(jobs, **more), status_url="https://example.com/x")
    assert len(body) <= MAX_BYTES
    message = json.loads(body)
    TypeAdapter(ExecutionWebhook).validate_python(message)
    assert (message["type"], message["data"]["statusUrl"]) == ("execution.failed", "https://example.com/x")
    return message["data"]


def test_a_small_execution_is_complete_without_its_params():
    data = data_of([job("a", "succeeded", result={"n": 1})])

    assert data["jobs"][0]["result"] == {"n": 1}
    assert data["truncated"] is False
    assert "hunter2" not in json.dumps(data)


def test_a_webhook_carries_the_error_of_a_job_without_its_traceback():
    error = JobErrorRecord(code="internal_error", message="KeyError: 'a'", attempt=1, traceback="in film.py")

    (sent,) = data_of([job("bad", "failed", error=error)])["jobs"]

    assert sent["error"]["message"] == "KeyError: 'a'"
    assert "traceback" not in sent["error"]


@pytest.mark.parametrize(
    ("jobs", "metadata", "left"),
    [
        ([job("a", "succeeded", result="x" * 30_000)], {}, ["a"]),
        ([job(f"j{n}", "succeeded") for n in range(500)] + [job("bad", "failed")], {}, ["bad"]),
        ([job("bad", "failed", error=JobErrorRecord(code="ffmpeg_failed", message="x" * 30_000))], {"k": 1}, []),
        ([job("a", "succeeded")], {"k": "x" * 30_000}, []),
    ],
)
def test_a_large_execution_is_truncated_and_marked(jobs, metadata, left):
    data = data_of(jobs, metadata=metadata)

    assert data["truncated"] is True
    assert [job["jobId"] for job in data["jobs"]] == left
