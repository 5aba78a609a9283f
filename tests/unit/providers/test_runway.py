import pytest

from callsheet.fakes.providers.faults import ReplaceFields
from callsheet.fakes.providers.runway import FakeRunway
from callsheet.fakes.providers.task_script import Failed, Lost, Running, Succeeded, UnknownStatus
from callsheet.testing.provider_contract import ProviderContract

from .opened import image_in, opened, status_after


class TestRunway(ProviderContract):
    fake = FakeRunway


async def test_an_image_changes_the_endpoint(tmp_path):
    async with opened(FakeRunway, tmp_path) as (fake, provider):
        await provider.submit(fake.example_request())
        await provider.submit(fake.request_with_file(image_in(tmp_path, url="https://media.example.org/a.png")))

    plain, pictured = fake.requests_of("submit")
    assert plain.url.endswith("/v1/text_to_video")
    assert pictured.url.endswith("/v1/image_to_video")
    assert pictured.json()["promptImage"] == "https://media.example.org/a.png"
    assert {sent.headers["x-runway-version"] for sent in fake.requests} == {"2024-11-06"}


async def test_a_throttled_task_is_queued(tmp_path):
    async with opened(FakeRunway, tmp_path) as (fake, provider):
        assert (await status_after(fake, provider, UnknownStatus("THROTTLED"))).state == "queued"


async def test_every_poll_returns_new_urls(tmp_path):
    async with opened(FakeRunway, tmp_path) as (fake, provider):
        fake.script(Succeeded())
        task = await provider.submit(fake.example_request())
        [first], [second] = [(await provider.get_status(task)).outputs for _ in range(2)]

        assert first.url != second.url
        assert not first.requires_api_key
        await provider.fetch(second, tmp_path / "video.mp4")

    [sent] = fake.requests_of("download")
    assert "authorization" not in sent.headers


async def test_a_deleted_task_is_cancelled_and_another_missing_one_is_lost(tmp_path):
    async with opened(FakeRunway, tmp_path) as (fake, provider):
        fake.script(Running())
        task = await provider.submit(fake.example_request())
        await provider.cancel(task)
        assert (await provider.get_status(task)).state == "cancelled"

        assert (await status_after(fake, provider, Lost())).state == "lost"


@pytest.mark.parametrize(
    ("reported", "code"),
    [
        ("SAFETY.INPUT.TEXT", "content_refused"),
        ("INPUT_PREPROCESSING.SAFETY.TEXT", "content_refused"),
        ("INTERNAL.BAD_OUTPUT.CODE01", "provider_failed"),
    ],
)
async def test_a_failure_without_a_message_has_its_code(tmp_path, reported, code):
    async with opened(FakeRunway, tmp_path) as (fake, provider):
        fake.inject_faults(status=[ReplaceFields({"failureCode": reported, "failure": None})])
        status = await status_after(fake, provider, Failed())

    assert status.code == code
    assert reported in status.message
