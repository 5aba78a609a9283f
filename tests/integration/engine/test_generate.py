"""Generate in a real engine: one submission, whichever provider accepts it."""

from datetime import timedelta

import pytest
from plans import job, plan

from callsheet.domain.errors import PlanRefused
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.engine.submissions.input_urls import input_url
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import sample_video
from callsheet.files.storage import open_storage
from callsheet.local import arun
from callsheet.operation_api.contract import operation
from callsheet.operations.generate import generate
from callsheet.providers.contract import Capabilities, PollPolicy
from callsheet.settings import Settings
from callsheet.testing.engine import running_engine
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

SOON = timedelta(seconds=0.05)
FAST = PollPolicy(initial=SOON, max_interval=SOON, webhook_interval=SOON)
VIDEO = {"files": {"video.mp4": sample_video().data}}
MODELS = """
- id: fake/video
  name: Fake video
  makes: video
  offers:
    - {provider: one, model: crayon, parameters: {prompt: {to: text}, one: {to: submit}, two: {to: unused}}}
    - {provider: two, model: pencil, parameters: {prompt: {to: text}, one: {to: unused}, two: {to: submit}}}
"""


class Linked(Model):
    url: str | None


class LinkParams(Model):
    src: MediaSource


@operation("link", queue="test")
async def link(job, params: LinkParams) -> Linked:
    """Return the public URL of a file."""
    return Linked(url=await job.public_url(params.src))


@pytest.fixture
def settings(settings, tmp_path):
    file = tmp_path / "models.yaml"
    file.write_text(MODELS)
    soon = {"provider_poll_interval": timedelta(seconds=0.02), "submission_recovery_timeout": timedelta(seconds=1)}
    return settings.model_copy(update={"models_file": file, **soon})


@pytest.fixture
def providers(tmp_path):
    found = Capabilities(cancel=True, find_submission=True)
    return [FakeProvider(tmp_path / name, name=name, capabilities=found, poll_policy=FAST) for name in ("one", "two")]


@pytest.fixture
async def engine(settings, providers):
    async with running_engine([*ALL, generate, link], settings=settings, providers=providers) as engine:
        yield engine


def video_plan(retries=3, **inputs):
    given = {"modelId": "fake/video", "prompt": "a fox", "inputs": inputs}
    return plan(job("a", "generate", params=given, retries=retries))


async def test_after_a_rejection_the_next_provider_is_used_once(engine, providers):
    execution_id = await engine.submit(video_plan(one="refuse"))
    [request] = await until(providers[1].requests)
    await engine.wait(execution_id, "job.waiting")
    providers[1].set_status(request["id"], "succeeded", cost=0.5, **VIDEO)

    execution = await engine.ended(execution_id)

    [ended] = execution.jobs
    assert execution.status == "succeeded"
    assert (ended.result["provider"], ended.result["model"], ended.result["cost"]) == ("two", "pencil", 0.5)
    assert [file["name"] for file in ended.result["videos"]] == ["video.mp4"]
    assert providers[0].requests() == []
    assert len(providers[1].requests()) == 1
    assert "job.log" in [event.type for event in await engine.events(execution_id)]


async def test_a_submission_whose_response_was_lost_is_found_at_its_provider(engine, providers):
    execution_id = await engine.submit(video_plan(one="refuse", two="lose"))
    [request] = await until(providers[1].requests)
    providers[1].set_status(request["id"], "succeeded", **VIDEO)

    execution = await engine.ended(execution_id)

    assert execution.status == "succeeded", execution.jobs[0].error
    assert providers[0].requests() == []
    assert len(providers[1].requests()) == 1


async def test_a_submission_of_unknown_outcome_goes_to_no_other_provider(settings, providers):
    providers[0].capabilities = Capabilities()
    async with running_engine([generate], settings=settings, providers=providers) as engine:
        execution = await engine.run(video_plan(one="drop"))

    assert execution.jobs[0].error.code == "submission_unknown"
    assert providers[1].requests() == []


async def test_when_all_are_busy_it_is_retried(engine):
    execution = await engine.run(video_plan(retries=1, one="busy", two="busy"))

    assert execution.jobs[0].error.code == "provider_rate_limited"
    assert execution.jobs[0].attempts == 2


async def test_a_models_file_given_to_run_is_used(settings, tmp_path):
    models = tmp_path / "own.yaml"
    models.write_text(
        "- {id: own/video, name: Video, makes: video, offers: [{provider: replicate, model: owner/video, "
        "parameters: {prompt: {to: prompt}}}]}"
    )
    async with FakeReplicate() as replicate:
        replicate.model = "owner/video"
        own = {"models_file": models, "provider_poll_initial": SOON, "provider_poll_max": SOON}
        execution = await arun(
            plan(job("a", "generate", params={"modelId": "own/video", "prompt": "a fox"})),
            settings=settings.model_copy(update=own),
            provider_settings=[replicate.provider_settings()],
        )

    assert execution.status == "succeeded", execution.jobs[0].error
    assert execution.jobs[0].result["model"] == "owner/video"


async def test_a_plan_with_a_model_that_no_file_has_is_rejected(settings):
    unset = settings.model_copy(update={"models_file": None})

    with pytest.raises(PlanRefused, match="there is no model 'fake/video'"):
        await arun(video_plan(), settings=unset)


async def url_of(engine, **file):
    execution = await engine.run(plan(job("w", "write", params=file), job("l", "link", params={"src": "${w.file}"})))
    assert execution.status == "succeeded", [j.error for j in execution.jobs]
    return execution.jobs[1].result["url"], execution.artifacts[0]


async def test_files_have_a_url_if_the_server_has_a_public_one(settings):
    settings = settings.model_copy(update={"public_url": "https://sheet.test/"})
    async with running_engine([*ALL, link], settings=settings) as engine:
        url, artifact = await url_of(engine, name="a.txt", text="hello")
        kept = await engine.run(plan(job("l", "link", params={"src": f"storage:{artifact.key}"})))
        cached = await engine.run(plan(job("l", "link", params={"src": "storage:callsheet-cache/piece/" + "a" * 64})))
        gone = "artifact:00000000-0000-0000-0000-000000000000"
        unknown = await engine.run(plan(job("l", "link", params={"src": gone})))

    assert url.startswith(f"https://sheet.test/files/{artifact.artifact_id}?expires=")
    assert kept.jobs[0].result["url"] is None, "a local file without a record has no URL"
    assert cached.jobs[0].error.code == "bad_source"
    assert unknown.jobs[0].error.code == "bad_source"


async def test_without_a_public_url_files_have_none(engine):
    assert (await url_of(engine, name="a.txt", text="hello"))[0] is None


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://example.com/a.png?sig=1", True),
        ("http://8.8.8.8/a.png", True),
        ("http://192.168.1.5/a.png", False),
        ("http://[fd00::1]/a.png", False),
        ("http://nas/a.png", False),
        ("http://nas.local:8080/a.png", False),
    ],
)
async def test_a_private_url_is_not_passed_on(engine, url, public):
    execution = await engine.run(plan(job("l", "link", params={"src": url})))

    assert execution.jobs[0].result["url"] == (url if public else None)


@pytest.mark.parametrize(
    ("endpoint", "public"),
    [("https://s3.example.com", True), ("http://127.0.0.1:9000", False), ("http://minio:9000", False)],
)
async def test_a_file_in_a_public_bucket_has_a_url(database, tmp_path, endpoint, public):
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        s3_bucket="films",
        s3_endpoint=endpoint,
        s3_access_key="an-access-key",
        s3_secret_key="a-secret-key",
        public_url="https://sheet.test",
    )

    source = MediaSource("storage:uploads/logo.png")
    url = await input_url(
        source, public_url=settings.public_url, settings=settings, storage=open_storage(settings), database=database
    )

    assert (url is not None) is public
    assert url is None or url.startswith("https://s3.example.com/films/uploads/logo.png?X-Amz-")
