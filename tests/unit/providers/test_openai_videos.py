import email
import email.policy

import pytest

from callsheet.fakes.providers.faults import Redirect, Reject
from callsheet.fakes.providers.openai_videos import FakeOpenAIVideos
from callsheet.fakes.providers.task_script import Failed, Lost, Running, Succeeded, UnknownStatus
from callsheet.fakes.providers.webhook_receiver import open_webhook_receiver
from callsheet.testing.provider_contract import ProviderContract

from .opened import image_in, opened, status_after


class TestVideos(ProviderContract):
    fake = FakeOpenAIVideos


class PlainVideos(FakeOpenAIVideos):
    plain_errors = True


class OpenVideos(FakeOpenAIVideos):
    def settings(self):
        return {"url": f"{self.base_url}/"}

    def is_authorized(self, request, kind):
        return "authorization" not in request.headers


def parts_of(sent):
    """Return the parts of a multipart form by name."""
    head = f"Content-Type: {sent.headers['content-type']}\r\n\r\n".encode()
    form = email.message_from_bytes(head + sent.body, policy=email.policy.HTTP)
    return {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}


async def test_a_submission_is_multipart_even_without_a_file(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (fake, provider):
        await provider.submit(fake.example_request(input={"prompt": "A fox, “quoted”", "seconds": 4, "loop": True}))

    [sent] = fake.requests_of("submit")
    parts = parts_of(sent)
    texts = {name: part.get_payload(decode=True).decode() for name, part in parts.items()}
    assert texts == {"model": "wan2.2", "prompt": "A fox, “quoted”", "seconds": "4", "loop": "true"}
    assert all(part.get_filename() is None for part in parts.values())


async def test_a_file_is_a_part_with_name_and_media_type(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (fake, provider):
        await provider.submit(fake.request_with_file(image_in(tmp_path, url="https://media.example.org/a.png")))

    [sent] = fake.requests_of("submit")
    part = parts_of(sent)["input_reference"]
    assert (part.get_filename(), part.get_content_type()) == ("image.png", "image/png")
    assert part.get_payload(decode=True) == b"an image"


async def test_other_values_are_encoded_as_json(tmp_path):
    given = {
        "prompt": "A fox",
        "scale": 1.5,
        "loras": [{"name": "fur", "weight": 1}],
        "with": {"face": image_in(tmp_path)},
    }
    async with opened(FakeOpenAIVideos, tmp_path) as (fake, provider):
        await provider.submit(fake.example_request(input=given))

    [sent] = fake.requests_of("submit")
    texts = {name: part.get_payload(decode=True).decode() for name, part in parts_of(sent).items()}
    assert texts["scale"] == "1.5"
    assert texts["loras"] == '[{"name":"fur","weight":1}]'
    assert texts["with"] == '{"face":"data:image/png;base64,YW4gaW1hZ2U="}'


async def test_a_submission_is_json_if_configured(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path, {"format": "json"}) as (fake, provider):
        file = image_in(tmp_path, url="https://media.example.org/a.png")
        await provider.submit(fake.example_request(input={"prompt": "A fox", "seconds": 4, "input_reference": file}))

    [sent] = fake.requests_of("submit")
    assert sent.json() == {
        "model": "wan2.2",
        "prompt": "A fox",
        "seconds": "4",
        "input_reference": "https://media.example.org/a.png",
    }


async def test_the_default_model_is_not_sent(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (fake, provider):
        await provider.submit(fake.example_request(model="default"))

    assert "model" not in parts_of(fake.requests_of("submit")[0])


async def test_without_a_key_no_authorization_is_sent(tmp_path):
    async with opened(OpenVideos, tmp_path) as (fake, provider):
        status = await status_after(fake, provider, Succeeded())
        path = await provider.fetch(status.outputs[0], tmp_path / "video.mp4")

    assert path.stat().st_size > 0
    assert not any("authorization" in sent.headers for sent in fake.requests)


async def test_the_requested_poll_delay_is_returned(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (fake, provider):
        assert (await status_after(fake, provider, Running(0.37))).retry_after == 1.5


@pytest.mark.parametrize(
    ("word", "state"),
    [("pending", "queued"), ("processing", "running"), ("canceled", "cancelled"), ("error", "failed")],
)
async def test_statuses_of_gateways_are_known(tmp_path, word, state):
    async with opened(FakeOpenAIVideos, tmp_path) as (fake, provider):
        assert (await status_after(fake, provider, UnknownStatus(word))).state == state


async def test_an_error_may_be_a_text(tmp_path):
    async with opened(PlainVideos, tmp_path) as (fake, provider):
        status = await status_after(fake, provider, Failed("Out of memory"))

    assert (status.code, status.message) == ("provider_failed", "Out of memory")


async def test_content_on_another_host_is_fetched_without_the_key(tmp_path):
    lenient = {"allow_http": True, "allow_private_addresses": True}
    async with opened(FakeOpenAIVideos, tmp_path, **lenient) as (fake, provider), open_webhook_receiver() as receiver:
        status = await status_after(fake, provider, Succeeded())
        fake.inject_faults(download=[Redirect(f"{receiver.url}video.mp4?signature=1", 307)])
        await provider.fetch(status.outputs[0], tmp_path / "video.mp4")

    [webhook] = receiver.webhooks
    assert "authorization" not in webhook.headers
    assert fake.requests_of("download")[0].headers["authorization"] == f"Bearer {fake.key}"


async def test_a_deleted_video_is_cancelled_and_another_missing_one_is_lost(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (fake, provider):
        fake.script(Running())
        task = await provider.submit(fake.example_request())
        await provider.cancel(task)
        assert (await provider.get_status(task)).state == "cancelled"

        assert (await status_after(fake, provider, Lost())).state == "lost"


async def test_without_delete_the_task_keeps_running(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (fake, provider):
        fake.script(Running())
        task = await provider.submit(fake.example_request())
        fake.inject_faults(cancel=[Reject(405, "Method not allowed")])
        await provider.cancel(task)

        assert (await provider.get_status(task)).state == "running"
