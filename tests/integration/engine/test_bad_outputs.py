"""An error page, or a damaged file, in place of a paid output."""

from datetime import timedelta

import pytest
from plans import job, plan

from callsheet.fakes.providers.faults import Garble
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import Succeeded, sample_video
from callsheet.operations.generate import generate
from callsheet.testing.engine import running_engine

PAGE = Garble(b"<!DOCTYPE html><html><head><title>Try again</title></head><body></body></html>")
HALF = Garble(sample_video().data[: len(sample_video().data) // 2])
MODEL = """
- id: own/video
  name: Video
  makes: video
  offers: [{provider: replicate, model: owner/video, parameters: {prompt: {to: prompt}}}]
"""


@pytest.fixture
async def replicate():
    async with FakeReplicate() as replicate:
        replicate.model = "owner/video"
        replicate.script(Succeeded())
        yield replicate


@pytest.fixture
def settings(settings, tmp_path):
    models = tmp_path / "models.yaml"
    models.write_text(MODEL)
    soon = timedelta(seconds=0.02)
    polls = {"provider_poll_initial": soon, "provider_poll_max": soon, "provider_poll_interval": soon}
    return settings.model_copy(update={"models_file": models, "output_patience": timedelta(0), **polls})


def film(**limits):
    return plan(job("film", "generate", params={"modelId": "own/video", "prompt": "a fox"}, **limits))


@pytest.mark.parametrize("bad", [PAGE, HALF])
async def test_a_bad_output_is_fetched_again_by_the_same_run(settings, replicate, bad):
    replicate.inject_faults(download=[bad, bad])
    patient = settings.model_copy(update={"output_patience": timedelta(seconds=30)})

    async with running_engine(
        [generate], settings=patient, provider_settings=[replicate.provider_settings()]
    ) as engine:
        execution = await engine.run(film(retries=0))
        events = await engine.events(execution.execution_id)

    assert execution.status == "succeeded", execution.jobs[0].error
    assert replicate.paid == 1
    messages = [event.data["message"] for event in events if event.type == "job.log"]
    assert len(messages) == 2
    assert all("It is fetched again." in message for message in messages)


async def test_a_bad_output_is_fetched_again_by_the_next_attempts(settings, replicate):
    replicate.inject_faults(download=[PAGE, PAGE])

    async with running_engine(
        [generate], settings=settings, provider_settings=[replicate.provider_settings()]
    ) as engine:
        execution = await engine.run(film(retries=3))

    assert (execution.status, execution.jobs[0].attempts) == ("succeeded", 2)
    assert replicate.paid == 1


async def test_after_all_attempts_a_retry_fetches_the_paid_output_again(settings, replicate):
    replicate.inject_faults(download=[PAGE, PAGE])

    async with running_engine(
        [generate], settings=settings, provider_settings=[replicate.provider_settings()]
    ) as engine:
        execution = await engine.run(film(retries=1))
        failed = execution.jobs[0]
        await engine.retry(execution.execution_id)
        retried = await engine.ended(execution.execution_id)

    assert (execution.status, failed.attempts, failed.error.code) == ("failed", 2, "bad_output")
    assert failed.error.message == (
        "replicate returned an HTML page (78 bytes, 'Try again') instead of a video (video.mp4)."
    )
    assert execution.artifacts == []
    assert retried.status == "succeeded", retried.jobs[0].error
    assert [artifact.media_type for artifact in retried.artifacts] == ["video/mp4"]
    assert replicate.paid == 1
