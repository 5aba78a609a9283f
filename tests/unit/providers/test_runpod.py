import json
from datetime import UTC, datetime, timedelta

import pytest

from callsheet.domain.errors import SubmissionRejected
from callsheet.fakes.providers.faults import ReplaceFields
from callsheet.fakes.providers.runpod import FakeRunPod
from callsheet.fakes.providers.task_script import Failed, FakeFile, Succeeded, UnknownStatus, sample_image, sample_video
from callsheet.fakes.providers.webhook_receiver import open_webhook_receiver
from callsheet.testing.provider_contract import ProviderContract

from .opened import opened, status_after


class TestRunPod(ProviderContract):
    fake = FakeRunPod


class InlineRunPod(FakeRunPod):
    inline = True


async def test_the_time_to_live_exceeds_the_deadline(tmp_path):
    own = {"execution_timeout": timedelta(minutes=45)}
    async with opened(FakeRunPod, tmp_path, own, provider_deadline=timedelta(hours=2)) as (fake, provider):
        await provider.submit(fake.example_request())

    [sent] = fake.requests_of("submit")
    assert sent.json()["policy"] == {"ttl": 130 * 60_000, "executionTimeout": 45 * 60_000}


async def test_timeouts_are_clamped_to_the_limits_of_runpod(tmp_path):
    own = {"execution_timeout": timedelta(seconds=1)}
    async with opened(FakeRunPod, tmp_path, own, provider_deadline=timedelta(days=30)) as (fake, provider):
        await provider.submit(fake.example_request())

    [sent] = fake.requests_of("submit")
    assert sent.json()["policy"] == {"ttl": 7 * 86_400_000, "executionTimeout": 5_000}


async def test_without_a_setting_the_timeout_of_the_endpoint_applies(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (fake, provider):
        await provider.submit(fake.example_request())

    [sent] = fake.requests_of("submit")
    assert set(sent.json()["policy"]) == {"ttl"}


async def test_an_invalid_endpoint_id_is_not_sent(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (fake, provider):
        with pytest.raises(SubmissionRejected):
            await provider.submit(fake.example_request(model="../v2/other"))
        assert fake.requests == []


async def test_large_inline_files_are_fetched(tmp_path):
    large = FakeFile("video.mp4", "video/mp4", sample_video().data + bytes(12 * 2**20))
    async with opened(InlineRunPod, tmp_path) as (fake, provider):
        status = await status_after(fake, provider, Succeeded((large, sample_image())))

        assert [output.media_type for output in status.outputs] == ["video/mp4", "image/png"]
        path = await provider.fetch(status.outputs[0], tmp_path / "video.mp4")
    assert path.read_bytes() == large.data


@pytest.mark.parametrize(
    ("output", "urls"),
    [
        ("https://bucket.example.org/a.mp4", ["https://bucket.example.org/a.mp4"]),
        ({"result": {"video": {"url": "https://x.test/a.mp4"}, "seconds": 3}}, ["https://x.test/a.mp4"]),
        (
            [{"image": "https://x.test/1.png"}, {"image": "https://x.test/2.png"}],
            ["https://x.test/1.png", "https://x.test/2.png"],
        ),
        ({"text": "see https://x.test/a.mp4", "status": "ok"}, []),
    ],
)
async def test_files_are_found_at_any_place_of_the_output(tmp_path, output, urls):
    async with opened(FakeRunPod, tmp_path) as (fake, provider):
        fake.inject_faults(status=[ReplaceFields({"output": output})])
        status = await status_after(fake, provider, Succeeded())

    assert [file.url for file in status.outputs] == urls


async def test_a_failure_has_its_reason_without_the_traceback(tmp_path):
    error = {"error_message": "CUDA out of memory", "error_traceback": "prompt='A secret fox'"}
    async with opened(FakeRunPod, tmp_path) as (fake, provider):
        fake.inject_faults(status=[ReplaceFields({"error": json.dumps(error)})])
        status = await status_after(fake, provider, Failed())

    assert (status.code, status.message) == ("provider_failed", "CUDA out of memory")


async def test_a_completed_task_whose_handler_failed_has_failed(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (fake, provider):
        fake.inject_faults(status=[ReplaceFields({"output": {"error": "Model not found"}})])
        status = await status_after(fake, provider, Succeeded())

    assert (status.state, status.status, status.message) == ("failed", "COMPLETED", "Model not found")


async def test_a_timeout_has_the_code_deadline(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (fake, provider):
        status = await status_after(fake, provider, Failed(why="deadline"))

    assert (status.status, status.code) == ("TIMED_OUT", "deadline")


async def test_both_running_statuses_are_known_and_the_execution_time_is_returned(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (fake, provider):
        assert (await status_after(fake, provider, UnknownStatus("RUNNING"))).state == "running"
        assert (await status_after(fake, provider, Succeeded())).seconds == 4.25


async def test_the_repeated_input_of_a_webhook_is_dropped(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (fake, provider), open_webhook_receiver() as receiver:
        fake.script(Succeeded())
        task = await provider.submit(fake.example_request(webhook=f"{receiver.url}?token=a-token"))
        await fake.finish(task.id)
        [webhook] = await receiver.received(1)
        assert b"a-token" in webhook.body

        event = await provider.read_webhook(webhook.headers, webhook.body, datetime.now(UTC))

    assert (event.task_id, event.status) == (task.id, "COMPLETED")
    assert "a-token" not in str(event)
