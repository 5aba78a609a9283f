import pytest

from callsheet.fakes.providers.faults import ReplaceFields
from callsheet.fakes.providers.runway import FakeRunway
from callsheet.fakes.providers.task_script import Failed, Lost, Running, Succeeded, UnknownStatus
from callsheet.testing.provider_contract import ProviderContract

from .opened import ended, opened, picture_in


class TestRunway(ProviderContract):
    fake = FakeRunway


async def test_a_picture_makes_it_another_kind_of_order(tmp_path):
    async with opened(FakeRunway, tmp_path) as (there, provider):
        await provider.submit(there.example_request())
        await provider.submit(there.request_with_file(picture_in(tmp_path, url="https://media.example.org/a.png")))

    plain, pictured = there.requests_of("submit")
    assert plain.url.endswith("/v1/text_to_video")
    assert pictured.url.endswith("/v1/image_to_video")
    assert pictured.json()["promptImage"] == "https://media.example.org/a.png"
    assert {came.headers["x-runway-version"] for came in there.requests} == {"2024-11-06"}


async def test_a_throttled_task_waits_in_line(tmp_path):
    async with opened(FakeRunway, tmp_path) as (there, provider):
        assert (await ended(there, provider, UnknownStatus("THROTTLED"))).state == "queued"


async def test_every_look_gives_addresses_of_its_own(tmp_path):
    async with opened(FakeRunway, tmp_path) as (there, provider):
        there.script(Succeeded())
        task = await provider.submit(there.example_request())
        [first], [second] = [(await provider.get_status(task)).outputs for _ in range(2)]

        assert first.url != second.url
        assert not first.requires_api_key
        await provider.fetch(second, tmp_path / "film.mp4")

    [came] = there.requests_of("download")
    assert "authorization" not in came.headers


async def test_a_task_that_we_deleted_is_cancelled_and_any_other_that_is_missing_is_lost(tmp_path):
    async with opened(FakeRunway, tmp_path) as (there, provider):
        there.script(Running())
        task = await provider.submit(there.example_request())
        await provider.cancel(task)
        assert (await provider.get_status(task)).state == "cancelled"

        assert (await ended(there, provider, Lost())).state == "lost"


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("SAFETY.INPUT.TEXT", "content_refused"),
        ("INPUT_PREPROCESSING.SAFETY.TEXT", "content_refused"),
        ("INTERNAL.BAD_OUTPUT.CODE01", "provider_failed"),
    ],
)
async def test_a_failure_without_words_is_told_by_its_code(tmp_path, told, code):
    async with opened(FakeRunway, tmp_path) as (there, provider):
        there.inject_faults(status=[ReplaceFields({"failureCode": told, "failure": None})])
        look = await ended(there, provider, Failed())

    assert look.code == code
    assert told in look.message
