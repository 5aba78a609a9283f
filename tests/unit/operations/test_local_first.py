"""Models that our own ComfyUI servers have, too: at home first, elsewhere when the queue is long."""

import pytest

from callsheet.domain.errors import ProviderFailed, SubmissionRejected
from callsheet.operation.contract import RunChildJobs
from callsheet.operations.generate import GenerateParams, generate
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from callsheet.testing.fake_provider import FakeProvider

MODELS = """
- id: toy/film
  name: Toy film
  makes: video
  offers:
    - {provider: comfyui, model: talk, parameters: {prompt: {to: text, required: true}, image: {to: face, kind: file}}}
    - provider: one
      model: crayon
      parameters: {prompt: {to: text}, image: {to: face, kind: file}}
      fixed: {submit: refuse}
- id: toy/home
  name: At home only
  makes: video
  offers: [{provider: comfyui, model: talk, parameters: {prompt: {to: text}}}]
"""
MADE = {"images": [], "videos": [], "audio": [], "others": [], "texts": {}, "files": [], "server": "a", "promptId": "p"}


@pytest.fixture
def job(tmp_path, use_models_file):
    file = tmp_path / "models.yaml"
    file.write_text(MODELS)
    use_models_file(file)
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", models_file=file, local_queue_limit=3)
    return RecordingContext(tmp_path, settings=settings, providers=[FakeProvider(tmp_path / "one", name="one")])


def params(model: str = "toy/film", **more: object) -> GenerateParams:
    return GenerateParams.model_validate({"modelId": model, "prompt": "a fox", **more})


async def test_what_can_be_made_at_home_is_a_job_of_its_own_there(job):
    with pytest.raises(RunChildJobs) as asked:
        await generate.run(job, params(image="https://example.com/face.png"))

    (home,) = asked.value.jobs
    assert home.operation == "comfyui"
    inputs = {"text": "a fox", "face": "https://example.com/face.png"}
    assert home.params == {"workflow": "talk", "inputs": inputs, "patient": False}
    assert job.submit_requests == {}


async def test_where_too_many_wait_at_home_others_are_asked(job):
    job.queue_depths = {"comfyui": 3}

    with pytest.raises(SubmissionRejected):
        await generate.run(job, params())

    assert len(job.rejected_requests) == 1


async def test_where_nobody_works_at_home_others_are_asked(job):
    job.without_worker = {"comfyui"}

    with pytest.raises(SubmissionRejected):
        await generate.run(job, params())

    assert len(job.rejected_requests) == 1


async def test_what_was_made_at_home_is_the_result(job):
    job.children_done, job.results_of_children = True, {"at-home": MADE}

    result = await generate.run(job, params())

    assert (result.provider, result.model, result.provider_job_id) == ("comfyui", "talk", "p")
    assert job.submit_requests == {}


async def test_what_failed_at_home_is_ordered_elsewhere(job):
    job.children_done, job.results_of_children = True, {"at-home": None}

    with pytest.raises(SubmissionRejected):
        await generate.run(job, params())

    assert len(job.rejected_requests) == 1


async def test_where_there_is_nobody_else_it_waits_for_its_turn_at_home(job):
    job.queue_depths, job.without_worker = {"comfyui": 100}, {"comfyui"}

    with pytest.raises(RunChildJobs) as asked:
        await generate.run(job, params("toy/home"))

    assert asked.value.jobs[0].params["patient"]


async def test_where_there_is_nobody_else_a_failure_at_home_is_told(job):
    job.children_done, job.results_of_children = True, {"at-home": None}

    with pytest.raises(ProviderFailed, match="tested/at-home tells why"):
        await generate.run(job, params("toy/home"))


async def test_an_offer_that_was_named_is_the_only_one_asked(job):
    with pytest.raises(SubmissionRejected):
        await generate.run(job, params(provider="one"))

    assert len(job.rejected_requests) == 1
