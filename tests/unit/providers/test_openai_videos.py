import email
import email.policy

import pytest

from callsheet.fakes.providers.faults import Redirect, Reject
from callsheet.fakes.providers.openai_videos import FakeOpenAIVideos
from callsheet.fakes.providers.task_script import Failed, Lost, Running, Succeeded, UnknownStatus
from callsheet.fakes.providers.webhook_receiver import open_webhook_receiver
from callsheet.testing.provider_contract import ProviderContract

from .opened import ended, opened, picture_in


class TestVideos(ProviderContract):
    fake = FakeOpenAIVideos


class PlainVideos(FakeOpenAIVideos):
    plain_errors = True


class OpenVideos(FakeOpenAIVideos):
    def settings(self):
        return {"openai_videos_url": f"{self.base_url}/"}

    def is_authorized(self, request, kind):
        return "authorization" not in request.headers


def parts_of(came):
    """Return the fields of a multipart form, by name, as they were written."""
    head = f"Content-Type: {came.headers['content-type']}\r\n\r\n".encode()
    form = email.message_from_bytes(head + came.body, policy=email.policy.HTTP)
    return {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}


async def test_an_order_is_a_form_even_without_a_file(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (there, provider):
        await provider.submit(there.example_request(input={"prompt": "A fox, “quoted”", "seconds": 4, "loop": True}))

    [came] = there.requests_of("submit")
    parts = parts_of(came)
    texts = {name: part.get_payload(decode=True).decode() for name, part in parts.items()}
    assert texts == {"model": "wan2.2", "prompt": "A fox, “quoted”", "seconds": "4", "loop": "true"}
    assert all(part.get_filename() is None for part in parts.values())


async def test_a_file_is_a_part_with_its_name_and_kind(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (there, provider):
        await provider.submit(there.request_with_file(picture_in(tmp_path, url="https://media.example.org/a.png")))

    [came] = there.requests_of("submit")
    part = parts_of(came)["input_reference"]
    assert (part.get_filename(), part.get_content_type()) == ("picture.png", "image/png")
    assert part.get_payload(decode=True) == b"a picture"


async def test_what_is_neither_text_nor_file_is_written_as_json(tmp_path):
    given = {
        "prompt": "A fox",
        "scale": 1.5,
        "loras": [{"name": "fur", "weight": 1}],
        "with": {"face": picture_in(tmp_path)},
    }
    async with opened(FakeOpenAIVideos, tmp_path) as (there, provider):
        await provider.submit(there.example_request(input=given))

    [came] = there.requests_of("submit")
    texts = {name: part.get_payload(decode=True).decode() for name, part in parts_of(came).items()}
    assert texts["scale"] == "1.5"
    assert texts["loras"] == '[{"name":"fur","weight":1}]'
    assert texts["with"] == '{"face":"data:image/png;base64,YSBwaWN0dXJl"}'


async def test_an_order_is_json_where_the_server_wants_that(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path, openai_videos_format="json") as (there, provider):
        file = picture_in(tmp_path, url="https://media.example.org/a.png")
        await provider.submit(there.example_request(input={"prompt": "A fox", "seconds": 4, "input_reference": file}))

    [came] = there.requests_of("submit")
    assert came.json() == {
        "model": "wan2.2",
        "prompt": "A fox",
        "seconds": "4",
        "input_reference": "https://media.example.org/a.png",
    }


async def test_the_default_model_is_left_to_the_server(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (there, provider):
        await provider.submit(there.example_request(model="default"))

    assert "model" not in parts_of(there.requests_of("submit")[0])


async def test_a_server_without_a_key_is_sent_none(tmp_path):
    async with opened(OpenVideos, tmp_path) as (there, provider):
        look = await ended(there, provider, Succeeded())
        path = await provider.fetch(look.outputs[0], tmp_path / "film.mp4")

    assert path.stat().st_size > 0
    assert not any("authorization" in came.headers for came in there.requests)


async def test_the_pause_that_a_server_asks_for_is_passed_on(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (there, provider):
        assert (await ended(there, provider, Running(0.37))).retry_after == 1.5


@pytest.mark.parametrize(
    ("word", "state"),
    [("pending", "queued"), ("processing", "running"), ("canceled", "cancelled"), ("error", "failed")],
)
async def test_words_of_gateways_are_known(tmp_path, word, state):
    async with opened(FakeOpenAIVideos, tmp_path) as (there, provider):
        assert (await ended(there, provider, UnknownStatus(word))).state == state


async def test_an_error_may_be_a_text(tmp_path):
    async with opened(PlainVideos, tmp_path) as (there, provider):
        look = await ended(there, provider, Failed("Out of memory"))

    assert (look.code, look.message) == ("provider_failed", "Out of memory")


async def test_content_that_lies_elsewhere_is_fetched_there_without_the_key(tmp_path):
    lenient = {"allow_http": True, "allow_private_addresses": True}
    async with opened(FakeOpenAIVideos, tmp_path, **lenient) as (there, provider), open_webhook_receiver() as box:
        look = await ended(there, provider, Succeeded())
        there.inject_faults(download=[Redirect(f"{box.url}film.mp4?signature=1", 307)])
        await provider.fetch(look.outputs[0], tmp_path / "film.mp4")

    [letter] = box.webhooks
    assert "authorization" not in letter.headers
    assert there.requests_of("download")[0].headers["authorization"] == f"Bearer {there.key}"


async def test_a_video_that_we_deleted_is_cancelled_and_any_other_that_is_missing_is_lost(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (there, provider):
        there.script(Running())
        task = await provider.submit(there.example_request())
        await provider.cancel(task)
        assert (await provider.get_status(task)).state == "cancelled"

        assert (await ended(there, provider, Lost())).state == "lost"


async def test_a_server_that_cannot_delete_lets_the_task_go_on(tmp_path):
    async with opened(FakeOpenAIVideos, tmp_path) as (there, provider):
        there.script(Running())
        task = await provider.submit(there.example_request())
        there.inject_faults(cancel=[Reject(405, "Method not allowed")])
        await provider.cancel(task)

        assert (await provider.get_status(task)).state == "running"
