"""Orders and answers without an engine."""

import asyncio

import pytest

from callsheet.domain.errors import ProviderFailed, SubmissionRejected
from callsheet.providers.contract import SubmitRequest
from callsheet.testing.context import RecordingContext
from callsheet.testing.fake_provider import FakeProvider


@pytest.fixture
def toy(tmp_path):
    return FakeProvider(tmp_path / "toy")


async def test_an_order_is_sent_once_and_its_task_is_given_again(tmp_path, toy):
    job = RecordingContext(tmp_path, providers=[toy])

    tasks = [await job.submit_once(toy, SubmitRequest("crayon", {})) for _ in range(2)]

    assert tasks[0] == tasks[1]
    assert [order["mark"] for order in toy.requests()] == [job.submit_requests["submit"].client_reference]


async def test_what_is_refused_may_be_ordered_of_another(tmp_path, toy):
    job = RecordingContext(tmp_path, providers=[toy])
    with pytest.raises(SubmissionRejected):
        await job.submit_once(toy, SubmitRequest("crayon", {"submit": "refuse"}))

    await job.submit_once(toy, SubmitRequest("pencil", {}))

    assert [order["model"] for order in toy.requests()] == ["pencil"]


async def test_an_answer_comes_when_the_task_has_ended_well(tmp_path, toy):
    job = RecordingContext(tmp_path, providers=[toy])
    task = await job.submit_once(toy, SubmitRequest("crayon", {}))
    answer = asyncio.create_task(job.wait_for_result(task))
    await asyncio.sleep(0)

    toy.set_status(task.id, "succeeded", files={"a.txt": "words"})

    [output] = (await answer).outputs
    assert (await toy.fetch(output, tmp_path / "a.txt")).read_text() == "words"


async def test_a_task_that_ended_badly_says_why(tmp_path, toy):
    job = RecordingContext(tmp_path, providers=[toy])
    task = await job.submit_once(toy, SubmitRequest("crayon", {}))
    toy.set_status(task.id, "failed", "FAILED", code="content_refused", message="Too colourful.")

    with pytest.raises(ProviderFailed, match="Too colourful") as failed:
        await job.wait_for_result(task)

    assert failed.value.code == "content_refused"
    assert failed.value.facts["providerStatus"] == "FAILED"


async def test_the_address_for_a_webhook_needs_a_server_that_can_be_reached(tmp_path, toy, monkeypatch):
    assert RecordingContext(tmp_path).webhook_url(toy) is None

    monkeypatch.setenv("CALLSHEET_PUBLIC_URL", "https://callsheet.example")
    assert "/api/webhooks/job/" in RecordingContext(tmp_path).webhook_url(toy)
