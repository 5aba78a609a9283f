"""Submissions without an engine."""

import asyncio

import pytest

from callsheet.domain.errors import ProviderFailed, SubmissionRejected
from callsheet.providers.contract import SubmitRequest
from callsheet.testing.context import RecordingContext
from callsheet.testing.fake_provider import FakeProvider


@pytest.fixture
def provider(tmp_path):
    return FakeProvider(tmp_path / "toy")


async def test_a_request_is_submitted_once_and_its_task_returned_again(tmp_path, provider):
    job = RecordingContext(tmp_path, providers=[provider])

    tasks = [await job.submit_once(provider, SubmitRequest("crayon", {})) for _ in range(2)]

    assert tasks[0] == tasks[1]
    assert [request["mark"] for request in provider.requests()] == [job.submit_requests["submit"].client_reference]


async def test_a_rejected_request_can_be_submitted_again(tmp_path, provider):
    job = RecordingContext(tmp_path, providers=[provider])
    with pytest.raises(SubmissionRejected):
        await job.submit_once(provider, SubmitRequest("crayon", {"submit": "refuse"}))

    await job.submit_once(provider, SubmitRequest("pencil", {}))

    assert [request["model"] for request in provider.requests()] == ["pencil"]


async def test_the_result_is_returned_when_the_task_succeeds(tmp_path, provider):
    job = RecordingContext(tmp_path, providers=[provider])
    task = await job.submit_once(provider, SubmitRequest("crayon", {}))
    waiting = asyncio.create_task(job.wait_for_result(task))
    await asyncio.sleep(0)

    provider.set_status(task.id, "succeeded", files={"a.txt": "hello"})

    [output] = (await waiting).outputs
    assert (await provider.fetch(output, tmp_path / "a.txt")).read_text() == "hello"


async def test_a_failed_task_raises_with_its_reason(tmp_path, provider):
    job = RecordingContext(tmp_path, providers=[provider])
    task = await job.submit_once(provider, SubmitRequest("crayon", {}))
    provider.set_status(task.id, "failed", "FAILED", code="content_refused", message="Too colorful.")

    with pytest.raises(ProviderFailed, match="Too colorful") as failed:
        await job.wait_for_result(task)

    assert failed.value.code == "content_refused"
    assert failed.value.facts["providerStatus"] == "FAILED"


async def test_a_webhook_url_needs_a_public_url(tmp_path, provider, monkeypatch):
    assert RecordingContext(tmp_path).webhook_url(provider) is None

    monkeypatch.setenv("CALLSHEET_PUBLIC_URL", "https://callsheet.example")
    assert "/api/webhooks/job/" in RecordingContext(tmp_path).webhook_url(provider)
