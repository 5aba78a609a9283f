import base64
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from callsheet.domain.errors import BadWebhook
from callsheet.fakes.providers.faults import Reject, ReplaceFields
from callsheet.fakes.providers.google import FakeGoogle
from callsheet.fakes.providers.task_script import Failed, Succeeded, UnknownStatus, sample_video
from callsheet.fakes.providers.webhook_receiver import open_webhook_receiver
from callsheet.fakes.providers.webhook_script import WebhookScript
from callsheet.testing.provider_contract import ProviderContract

from .opened import image_in, opened, status_after


class TestGoogle(ProviderContract):
    fake = FakeGoogle


class InlineGoogle(FakeGoogle):
    inline = True


def step(*content, kind="model_output"):
    return {"type": kind, "content": list(content)}


def video(uri):
    return {"type": "video", "mime_type": "video/mp4", "uri": uri}


async def test_a_submission_is_an_interaction_in_the_background(tmp_path):
    given = {"prompt": "A fox", "duration": 6, "aspect_ratio": "9:16", "resolution": "720p"}
    async with opened(FakeGoogle, tmp_path) as (fake, provider):
        await provider.submit(
            fake.example_request(input=given, client_reference="mark-1", webhook="https://sheet.test/hook?token=t")
        )

    [sent] = fake.requests_of("submit")
    assert "key=" not in sent.url
    assert sent.json() == {
        "model": "gemini-omni-1.1-flash",
        "input": "A fox",
        "background": True,
        "response_format": {
            "type": "video",
            "delivery": "uri",
            "duration": "6s",
            "aspect_ratio": "9:16",
            "resolution": "720p",
        },
        "webhook_config": {
            "uris": ["https://sheet.test/hook?token=t"],
            "user_metadata": {"client_reference": "mark-1"},
        },
    }


async def test_an_image_is_a_part_beside_the_prompt(tmp_path):
    async with opened(FakeGoogle, tmp_path) as (fake, provider):
        await provider.submit(fake.request_with_file(image_in(tmp_path, url="https://media.example.org/a.png")))

    [sent] = fake.requests_of("submit")
    assert sent.json()["input"] == [
        {"type": "text", "text": "A red fox in the snow"},
        {"type": "image", "data": base64.b64encode(b"an image").decode(), "mime_type": "image/png"},
    ]


async def test_a_large_image_is_sent_by_url(tmp_path):
    async with opened(FakeGoogle, tmp_path) as (fake, provider):
        file = image_in(tmp_path, url="https://media.example.org/a.png")
        with file.path.open("wb") as held:
            held.truncate(provider.capabilities.inline_limit + 1)
        await provider.submit(fake.request_with_file(file))

    [_, part] = fake.requests_of("submit")[0].json()["input"]
    assert part == {"type": "image", "uri": "https://media.example.org/a.png", "mime_type": "image/png"}


async def test_an_inline_video_is_decoded(tmp_path):
    async with opened(InlineGoogle, tmp_path) as (fake, provider):
        status = await status_after(fake, provider, Succeeded())
        path = await provider.fetch(status.outputs[0], tmp_path / "video.mp4")

    assert path.read_bytes() == sample_video().data
    assert fake.requests_of("download") == fake.requests_of("file") == []


async def test_a_task_runs_until_its_file_is_ready(tmp_path):
    async with opened(FakeGoogle, tmp_path) as (fake, provider):
        fake.inject_faults(file=[ReplaceFields({"state": "PROCESSING"})])
        fake.script(Succeeded())
        task = await provider.submit(fake.example_request())
        statuses = [await provider.get_status(task) for _ in range(2)]
        await provider.fetch(statuses[1].outputs[0], tmp_path / "video.mp4")

    assert [status.state for status in statuses] == ["running", "succeeded"]
    [download] = fake.requests_of("download")
    assert download.url.endswith(":download?alt=media")
    assert download.headers["x-goog-api-key"] == fake.key


async def test_a_failed_file_is_a_failure(tmp_path):
    async with opened(FakeGoogle, tmp_path) as (fake, provider):
        fake.inject_faults(file=[ReplaceFields({"state": "FAILED", "error": {"message": "Transcoding failed"}})])
        status = await status_after(fake, provider, Succeeded())

    assert (status.state, status.code) == ("failed", "provider_failed")
    assert "Transcoding failed" in status.message


@pytest.mark.parametrize("status", [403, 404])
async def test_a_deleted_file_is_expired(tmp_path, status):
    async with opened(FakeGoogle, tmp_path) as (fake, provider):
        fake.inject_faults(file=[Reject(status, "You do not have permission to access the file.")])
        assert (await status_after(fake, provider, Succeeded())).code == "output_expired"


async def test_the_last_video_of_the_model_is_the_output(tmp_path):
    async with opened(FakeGoogle, tmp_path) as (fake, provider):
        url = fake.output_urls((sample_video("first.mp4"), sample_video("last.mp4")))
        first, last = (f"{fake.base_url}/v1beta/files/{each.split('/')[-2]}" for each in url)
        steps = [
            step(video("files/echo"), kind="user_input"),
            step(video(first)),
            step(video(last), {"type": "text", "text": "Better."}),
            step({"type": "text", "text": "Shall I change it?"}),
            step(video("files/tool"), kind="function_call"),
        ]
        fake.inject_faults(status=[ReplaceFields({"steps": steps})])
        status = await status_after(fake, provider, Succeeded())

    assert [output.url for output in status.outputs] == [f"{last}:download?alt=media"]


@pytest.mark.parametrize("steps", [[], "none", [None], [{"type": "model_output"}], [step({"type": "video"})]])
async def test_a_completed_task_without_a_video_is_refused_content(tmp_path, steps):
    async with opened(FakeGoogle, tmp_path) as (fake, provider):
        fake.inject_faults(status=[ReplaceFields({"steps": steps})])
        status = await status_after(fake, provider, Succeeded())

    assert (status.state, status.code) == ("failed", "content_refused")


@pytest.mark.parametrize("word", ["incomplete", "budget_exceeded", "requires_action", "requires_continuation"])
async def test_unsupported_final_statuses_are_failures(tmp_path, word):
    async with opened(FakeGoogle, tmp_path) as (fake, provider):
        status = await status_after(fake, provider, UnknownStatus(word))

    assert (status.state, status.status) == ("failed", word)
    assert word in status.message


async def test_refused_content_in_a_failure_is_recognized(tmp_path):
    async with opened(FakeGoogle, tmp_path) as (fake, provider):
        errors = [{"code": "blocked", "message": "The request violates our content policy."}]
        fake.inject_faults(status=[ReplaceFields({"errors": errors})])
        assert (await status_after(fake, provider, Failed())).code == "content_refused"


async def task_and_webhook(fake, provider, receiver, calls=None):
    fake.script(Succeeded())
    fake.inject_faults(webhook=[calls or WebhookScript()])
    task = await provider.submit(fake.example_request(webhook=receiver.url))
    await fake.finish(task.id)
    [webhook] = await receiver.received(1)
    return task, webhook


async def test_a_webhook_with_a_valid_token_is_read(tmp_path):
    async with opened(FakeGoogle, tmp_path) as (fake, provider), open_webhook_receiver() as receiver:
        task, webhook = await task_and_webhook(fake, provider, receiver)
        event = await provider.read_webhook(webhook.headers, webhook.body, datetime.now(UTC))

    assert (event.task_id, event.status) == (task.id, "interaction.completed")
    assert event.message_id == f"msg_{task.id}"


@pytest.mark.parametrize("changes", [{"webhook-signature": ""}, {"webhook-signature": "v1,abc"}, {"webhook-id": ""}])
async def test_a_webhook_without_a_token_is_rejected(tmp_path, changes):
    async with opened(FakeGoogle, tmp_path) as (fake, provider), open_webhook_receiver() as receiver:
        _, webhook = await task_and_webhook(fake, provider, receiver)
        with pytest.raises(BadWebhook):
            await provider.read_webhook({**webhook.headers, **changes}, webhook.body, datetime.now(UTC))


@pytest.mark.parametrize("away", [600, -600])
async def test_a_webhook_with_another_timestamp_is_rejected(tmp_path, away):
    async with opened(FakeGoogle, tmp_path) as (fake, provider), open_webhook_receiver() as receiver:
        _, webhook = await task_and_webhook(fake, provider, receiver)
        with pytest.raises(BadWebhook):
            await provider.read_webhook(webhook.headers, webhook.body, datetime.now(UTC) + timedelta(seconds=away))


async def test_a_token_of_another_key_is_rejected(tmp_path):
    async with opened(FakeGoogle, tmp_path) as (fake, provider), open_webhook_receiver() as receiver:
        _, webhook = await task_and_webhook(fake, provider, receiver)
        stranger = generate_private_key(public_exponent=65537, key_size=2048)
        for header in ({"kid": "fake"}, {}):
            forged = jwt.encode({"exp": 2**33}, stranger, algorithm="RS256", headers=header)
            with pytest.raises(BadWebhook):
                headers = {**webhook.headers, "webhook-signature": forged}
                await provider.read_webhook(headers, webhook.body, datetime.now(UTC))
