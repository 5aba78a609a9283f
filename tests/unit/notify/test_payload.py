import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from callsheet.notify.payload import MAX_BYTES, Webhook, build_payload
from callsheet.notify.payload_schema import AlertWebhook, EventWebhook, ExecutionWebhook

AT = datetime(2026, 11, 22, tzinfo=UTC)
ARTIFACT = UUID(int=5)


def sign(artifact):
    return f"https://files.example/{artifact.artifact_id}?sig=1", AT


def job(name, status, **more):
    return {
        "id": str(UUID(int=3)), "job_id": name, "operation": "noop", "status": status, "attempts": 0, "error": None,
        "result": None, "started_at": None, "finished_at": None, **more,
    }  # fmt: skip


def artifact(number=5):
    return {
        "artifact_id": str(UUID(int=number)), "name": "a.png", "key": "noop/a.png", "media_type": "image/png",
        "size": 3, "sha256": "0" * 64, "probe": None, "execution_id": str(UUID(int=1)), "job_id": "a",
        "job_record_id": str(UUID(int=3)), "created_at": AT.isoformat(),
    }  # fmt: skip


def ended(jobs, **more):
    facts = {
        "name": None, "status": "failed", "job_count": len(jobs), "last_event": 9, "metadata": {},
        "cancel_requested_at": None, "created_at": AT.isoformat(), "started_at": None, "finished_at": None,
        "has_results": True, "job_counts": {"failed": 1}, "jobs": jobs, "artifacts": [], **more,
    }  # fmt: skip
    return sent("execution.failed", facts, ExecutionWebhook)


def sent(kind, facts, model):
    webhook = Webhook(UUID(int=2), kind, AT, UUID(int=1), 9, json.dumps(facts))
    body = build_payload(webhook, sign=sign, base_url="https://example.com")
    assert len(body) <= MAX_BYTES
    message = json.loads(body)
    TypeAdapter(model).validate_python(message)
    assert (message["type"], message["data"]["eventNumber"]) == (kind, 9)
    assert message["data"]["statusUrl"] == f"https://example.com/api/executions/{UUID(int=1)}"
    return message["data"]


def test_a_small_execution_is_complete_and_its_files_have_signed_urls():
    result = {"n": 1, "file": {"artifactId": str(ARTIFACT)}}

    data = ended([job("a", "succeeded", result=result)], artifacts=[artifact()])

    url = f"https://files.example/{ARTIFACT}?sig=1"
    assert data["jobs"][0]["result"] == {"n": 1, "file": {"artifactId": str(ARTIFACT), "url": url}}
    assert data["artifacts"][0]["url"] == url
    assert data["truncated"] is False


def test_only_files_of_the_execution_are_signed():
    data = ended([job("a", "succeeded", result={"artifactId": str(UUID(int=6)), "key": "of/another"})])

    assert data["jobs"][0]["result"] == {"artifactId": str(UUID(int=6)), "key": "of/another"}


@pytest.mark.parametrize(
    ("jobs", "more", "left"),
    [
        ([job("a", "succeeded", result="x" * 19_990)], {}, ["a"]),
        ([job("a", "succeeded")], {"has_results": False}, ["a"]),
        ([job(f"j{n}", "succeeded") for n in range(199)] + [job("bad", "failed")], {}, ["bad"]),
        ([job("bad", "failed")], {"job_count": 500}, ["bad"]),
        ([job("bad", "failed", error={"code": "ffmpeg_failed", "message": "x" * 19_990})], {"metadata": {"k": 1}}, []),
        ([job("a", "succeeded")], {"metadata": {"k": "x" * 19_990}}, []),
        ([job("a", "succeeded")], {"metadata": None}, []),
        ([job("a", "succeeded")], {"artifacts": None}, []),
        ([job("a", "succeeded")], {"artifacts": [artifact(n) for n in range(60)]}, []),
    ],
)
def test_a_large_execution_is_truncated_and_marked(jobs, more, left):
    data = ended(jobs, **more)

    assert data["truncated"] is True
    assert [job["jobId"] for job in data["jobs"]] == left


@pytest.mark.parametrize(
    ("more", "truncated"),
    [
        ({}, False),
        ({"job": None, "job_id": None}, False),
        ({"event": None, "has_results": False}, True),
        ({"has_results": False}, True),
        ({"event": {"message": "x" * 19_990}}, True),
        ({"metadata": None}, True),
        ({"artifacts": None}, True),
    ],
)
def test_an_event_of_a_job_has_its_data_and_its_job(more, truncated):
    facts = {
        "name": "n", "job_id": "a", "metadata": {"order": 7}, "event": {"progress": 0.5}, "has_results": True,
        "job": job("a", "running", queue="render"), "artifacts": [],
    }  # fmt: skip
    del facts["job"]["error"]

    data = sent("job.progress", facts | more, EventWebhook)

    assert data["truncated"] is truncated
    assert ("event" in data) is (not truncated or more == {"has_results": False})
    if not more:
        assert (data["job"]["queue"], data["event"], data["metadata"]) == ("render", {"progress": 0.5}, {"order": 7})


def test_an_alert_is_sent_as_it_was_written():
    webhook = Webhook(UUID(int=2), "alert.queue_failing", AT, None, None, '{"text": "t", "data": {"queue": "q"}}')

    message = json.loads(build_payload(webhook, sign=sign, base_url=""))

    AlertWebhook.model_validate(message)
    assert message == {
        "type": "alert.queue_failing",
        "timestamp": "2026-11-22T00:00:00+00:00",
        "text": "t",
        "data": {"queue": "q"},
    }
