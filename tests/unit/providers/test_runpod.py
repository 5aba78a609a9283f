import json
from datetime import UTC, datetime, timedelta

import pytest

from callsheet.domain.errors import SubmissionRejected
from callsheet.fakes.providers.faults import ReplaceFields
from callsheet.fakes.providers.runpod import FakeRunPod
from callsheet.fakes.providers.task_script import Failed, FakeFile, Succeeded, UnknownStatus, sample_image, sample_video
from callsheet.fakes.providers.webhook_receiver import open_webhook_receiver
from callsheet.testing.provider_contract import ProviderContract

from .opened import ended, opened


class TestRunPod(ProviderContract):
    fake = FakeRunPod


class InlineRunPod(FakeRunPod):
    inline = True


async def test_a_task_lives_longer_than_our_patience_and_runs_as_long_as_it_may(tmp_path):
    times = {"provider_deadline": timedelta(hours=2), "runpod_execution_timeout": timedelta(minutes=45)}
    async with opened(FakeRunPod, tmp_path, **times) as (there, provider):
        await provider.submit(there.example_request())

    [came] = there.requests_of("submit")
    assert came.json()["policy"] == {"ttl": 130 * 60_000, "executionTimeout": 45 * 60_000}


async def test_times_are_kept_within_what_runpod_takes(tmp_path):
    times = {"provider_deadline": timedelta(days=30), "runpod_execution_timeout": timedelta(seconds=1)}
    async with opened(FakeRunPod, tmp_path, **times) as (there, provider):
        await provider.submit(there.example_request())

    [came] = there.requests_of("submit")
    assert came.json()["policy"] == {"ttl": 7 * 86_400_000, "executionTimeout": 5_000}


async def test_an_endpoint_s_own_limit_holds_where_none_is_set(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (there, provider):
        await provider.submit(there.example_request())

    [came] = there.requests_of("submit")
    assert set(came.json()["policy"]) == {"ttl"}


async def test_what_cannot_be_an_endpoint_is_not_asked(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (there, provider):
        with pytest.raises(SubmissionRejected):
            await provider.submit(there.example_request(model="../v2/other"))
        assert there.requests == []


async def test_files_of_many_megabytes_inside_of_the_answer_are_fetched(tmp_path):
    large = FakeFile("film.mp4", "video/mp4", sample_video().data + bytes(12 * 2**20))
    async with opened(InlineRunPod, tmp_path) as (there, provider):
        look = await ended(there, provider, Succeeded((large, sample_image())))

        assert [output.media_type for output in look.outputs] == ["video/mp4", "image/png"]
        path = await provider.fetch(look.outputs[0], tmp_path / "film.mp4")
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
async def test_files_are_found_wherever_a_handler_puts_them(tmp_path, output, urls):
    async with opened(FakeRunPod, tmp_path) as (there, provider):
        there.inject_faults(status=[ReplaceFields({"output": output})])
        look = await ended(there, provider, Succeeded())

    assert [file.url for file in look.outputs] == urls


async def test_a_failure_tells_its_reason_without_the_handler_s_traceback(tmp_path):
    error = {"error_message": "CUDA out of memory", "error_traceback": "prompt='A secret fox'"}
    async with opened(FakeRunPod, tmp_path) as (there, provider):
        there.inject_faults(status=[ReplaceFields({"error": json.dumps(error)})])
        look = await ended(there, provider, Failed())

    assert (look.code, look.message) == ("provider_failed", "CUDA out of memory")


async def test_a_completed_task_whose_handler_failed_has_failed(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (there, provider):
        there.inject_faults(status=[ReplaceFields({"output": {"error": "Model not found"}})])
        look = await ended(there, provider, Succeeded())

    assert (look.state, look.status, look.message) == ("failed", "COMPLETED", "Model not found")


async def test_a_task_that_ran_too_long_says_so(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (there, provider):
        look = await ended(there, provider, Failed(why="deadline"))

    assert (look.status, look.code) == ("TIMED_OUT", "deadline")


async def test_both_words_for_running_are_known_and_the_time_it_took_is_told(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (there, provider):
        assert (await ended(there, provider, UnknownStatus("RUNNING"))).state == "running"
        assert (await ended(there, provider, Succeeded())).seconds == 4.25


async def test_a_webhook_is_read_without_what_it_echoes(tmp_path):
    async with opened(FakeRunPod, tmp_path) as (there, provider), open_webhook_receiver() as box:
        there.script(Succeeded())
        task = await provider.submit(there.example_request(webhook=f"{box.url}?token=a-token"))
        await there.finish(task.id)
        [letter] = await box.received(1)
        assert b"a-token" in letter.body

        notice = await provider.read_webhook(letter.headers, letter.body, datetime.now(UTC))

    assert (notice.task_id, notice.status) == (task.id, "COMPLETED")
    assert "a-token" not in str(notice)
