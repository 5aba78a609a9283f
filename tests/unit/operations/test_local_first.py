"""Local-first routing: local ComfyUI servers, or a provider when their queue is long."""

import json

import pytest

from callsheet.domain.errors import ProviderFailed, SubmissionRejected
from callsheet.operation_api.contract import RunChildJobs
from callsheet.operations.generate import generate
from callsheet.operations.generate_params import GenerateParams
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from callsheet.testing.fake_provider import FakeProvider

MODELS = """
- id: fake/video
  name: Fake video
  makes: video
  offers:
    - {provider: comfyui, model: talk, parameters: {prompt: {to: text, required: true}, image: {to: face, kind: file}}}
    - provider: one
      model: crayon
      parameters: {prompt: {to: text}, image: {to: face, kind: file}}
      fixed: {submit: refuse}
- id: fake/local
  name: Local only
  makes: video
  offers: [{provider: comfyui, model: talk, parameters: {prompt: {to: text}}}]
"""
GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "face.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "it"}},
}
INPUTS = """
inputs:
  text: {to: 2.filename_prefix, type: string}
  face: {to: 1.image, type: image, required: false}
"""
FILM = {
    "artifactId": "019ab1f0-5c3e-7a10-9d7e-0f4b3c2d1e00",
    "name": "film.mp4",
    "key": "comfyui/a/film.mp4",
    "mediaType": "video/mp4",
    "size": 1,
    "sha256": "0" * 64,
}
STILL = {**FILM, "name": "still.png", "mediaType": "image/png"}
RESULT = {
    "images": [],
    "videos": [FILM],
    "audio": [],
    "others": [],
    "texts": {},
    "files": [],
    "server": "a",
    "promptId": "p",
}


@pytest.fixture
def job(tmp_path):
    file = tmp_path / "models.yaml"
    file.write_text(MODELS)
    workflows = tmp_path / "workflows"
    workflows.mkdir()
    (workflows / "talk.json").write_text(json.dumps(GRAPH))
    (workflows / "talk.inputs.yaml").write_text(INPUTS)
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        models_file=file,
        local_queue_limit=3,
        comfyui_workflows=workflows,
        comfyui_api_url="http://127.0.0.1:9",
    )
    return RecordingContext(tmp_path, settings=settings, providers=[FakeProvider(tmp_path / "one", name="one")])


def params(model: str = "fake/video", **more: object) -> GenerateParams:
    return GenerateParams.model_validate({"modelId": model, "prompt": "a fox", **more})


async def test_a_local_offer_runs_as_a_child_job(job):
    with pytest.raises(RunChildJobs) as raised:
        await generate.run(job, params(image="https://example.com/face.png"))

    (child,) = raised.value.jobs
    assert child.operation == "comfyui"
    inputs = {"text": "a fox", "face": "https://example.com/face.png"}
    assert child.params == {"workflow": "talk", "inputs": inputs, "patient": False}
    assert job.submit_requests == {}


async def test_without_a_usable_workflow_a_provider_is_used(job):
    (job.settings.comfyui_workflows / "talk.inputs.yaml").write_text("inputs: {}")

    with pytest.raises(SubmissionRejected):
        await generate.run(job, params())

    assert any("the workflow has no input 'text'" in line["message"] for line in job.logs)


async def test_without_a_usable_workflow_and_an_alternative_the_reason_is_reported(job):
    (job.settings.comfyui_workflows / "talk.json").unlink()

    with pytest.raises(ProviderFailed, match=r"The workflow talk cannot be used.*there is no workflow 'talk'"):
        await generate.run(job, params("fake/local"))


async def test_with_a_long_local_queue_a_provider_is_used(job):
    job.queue_depths = {"comfyui": 3}

    with pytest.raises(SubmissionRejected):
        await generate.run(job, params())

    assert len(job.rejected_requests) == 1


async def test_without_a_local_worker_a_provider_is_used(job):
    job.without_worker = {"comfyui"}

    with pytest.raises(SubmissionRejected):
        await generate.run(job, params())

    assert len(job.rejected_requests) == 1


async def test_the_local_result_is_returned(job):
    job.children_done, job.results_of_children = True, {"local": RESULT}

    result = await generate.run(job, params())

    assert (result.provider, result.model, result.provider_job_id) == ("comfyui", "talk", "p")
    assert job.submit_requests == {}


async def test_a_workflow_that_makes_another_kind_of_file_is_an_error(job):
    job.children_done = True
    job.results_of_children = {"local": {**RESULT, "videos": [], "images": [STILL]}}

    with pytest.raises(ProviderFailed, match="The workflow talk made no video") as raised:
        await generate.run(job, params())
    assert raised.value.code == "bad_output"


async def test_an_animated_image_is_a_video_too(job):
    job.children_done = True
    animation = {**STILL, "name": "still.webp", "mediaType": "image/webp"}
    job.results_of_children = {"local": {**RESULT, "videos": [], "images": [animation]}}

    result = await generate.run(job, params())

    assert [image.name for image in result.images] == ["still.webp"]


async def test_after_a_local_failure_a_provider_is_used(job):
    job.children_done, job.results_of_children = True, {"local": None}

    with pytest.raises(SubmissionRejected):
        await generate.run(job, params())

    assert len(job.rejected_requests) == 1


async def test_without_an_alternative_the_job_waits_for_the_local_queue(job):
    job.queue_depths, job.without_worker = {"comfyui": 100}, {"comfyui"}

    with pytest.raises(RunChildJobs) as raised:
        await generate.run(job, params("fake/local"))

    assert raised.value.jobs[0].params["patient"]


async def test_without_an_alternative_a_local_failure_is_reported(job):
    job.children_done, job.results_of_children = True, {"local": None}

    with pytest.raises(ProviderFailed, match="see the job tested/local"):
        await generate.run(job, params("fake/local"))


async def test_a_named_provider_is_the_only_one_used(job):
    with pytest.raises(SubmissionRejected):
        await generate.run(job, params(provider="one"))

    assert len(job.rejected_requests) == 1
