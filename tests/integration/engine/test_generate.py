"""The operation `generate` in a real engine: a request is accepted by one provider only."""

from datetime import timedelta

import pytest
from plans import job, plan

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.engine.submissions.input_urls import input_url
from callsheet.files.storage import open_storage
from callsheet.operation.contract import operation
from callsheet.operations.generate import generate
from callsheet.providers.contract import Capabilities, PollPolicy
from callsheet.settings import Settings
from callsheet.testing.engine import running_engine
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

SOON = timedelta(seconds=0.05)
FREQUENT = PollPolicy(initial=SOON, max_interval=SOON, webhook_interval=SOON)
VIDEO = {"files": {"video.mp4": "\0\0\0\x18ftypisom\0\0\0\0isom"}}
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
def settings(settings, tmp_path, use_models_file):
    file = tmp_path / "models.yaml"
    file.write_text(MODELS)
    use_models_file(file)
    soon = {"provider_poll_interval": timedelta(seconds=0.02), "submission_recovery_timeout": timedelta(seconds=1)}
    return settings.model_copy(update={"models_file": file, **soon})


@pytest.fixture
def fakes(tmp_path):
    found = Capabilities(cancel=True, find_submission=True)
    return [
        FakeProvider(tmp_path / name, name=name, capabilities=found, poll_policy=FREQUENT) for name in ("one", "two")
    ]


@pytest.fixture
async def engine(settings, fakes):
    async with running_engine([*ALL, generate, link], settings=settings, providers=fakes) as engine:
        yield engine


def video_plan(retries=3, **inputs):
    given = {"modelId": "fake/video", "prompt": "a fox", "inputs": inputs}
    return plan(job("a", "generate", params=given, retries=retries))


async def test_a_request_rejected_by_one_provider_is_sent_once_to_another(engine, fakes):
    execution_id = await engine.submit(video_plan(one="refuse"))
    [request] = await until(fakes[1].requests)
    await engine.wait(execution_id, "job.waiting")
    fakes[1].set_status(request["id"], "succeeded", cost=0.5, **VIDEO)

    execution = await engine.ended(execution_id)

    [ended] = execution.jobs
    assert execution.status == "succeeded"
    assert (ended.result["provider"], ended.result["model"], ended.result["cost"]) == ("two", "pencil", 0.5)
    assert [file["name"] for file in ended.result["videos"]] == ["video.mp4"]
    assert fakes[0].requests() == []
    assert len(fakes[1].requests()) == 1
    assert "job.log" in [event.type for event in await engine.events(execution_id)]


async def test_a_submission_whose_response_was_lost_is_found_at_its_provider(engine, fakes):
    execution_id = await engine.submit(video_plan(one="refuse", two="lose"))
    [request] = await until(fakes[1].requests)
    fakes[1].set_status(request["id"], "succeeded", **VIDEO)

    execution = await engine.ended(execution_id)

    assert execution.status == "succeeded", execution.jobs[0].error
    assert fakes[0].requests() == []
    assert len(fakes[1].requests()) == 1


async def test_a_submission_of_unknown_outcome_is_not_sent_to_another_provider(settings, fakes):
    fakes[0].capabilities = Capabilities()
    async with running_engine([generate], settings=settings, providers=fakes) as engine:
        execution = await engine.run(video_plan(one="drop"))

    assert execution.jobs[0].error.code == "submission_unknown"
    assert fakes[1].requests() == []


async def test_a_job_is_retried_when_all_providers_limit_the_rate(engine):
    execution = await engine.run(video_plan(retries=1, one="busy", two="busy"))

    assert execution.jobs[0].error.code == "provider_rate_limited"
    assert execution.jobs[0].attempts == 2


async def public_url_of(engine, **file):
    made = await engine.run(plan(job("w", "write", params=file), job("l", "link", params={"src": "${w.file}"})))
    assert made.status == "succeeded", [j.error for j in made.jobs]
    return made.jobs[1].result["url"], made.artifacts[0]


async def test_files_have_a_public_url_if_the_server_has_one(settings):
    settings = settings.model_copy(update={"public_url": "https://sheet.test/"})
    async with running_engine([*ALL, link], settings=settings) as engine:
        url, artifact = await public_url_of(engine, name="a.txt", text="hello")
        kept = await engine.run(plan(job("l", "link", params={"src": f"storage:{artifact.key}"})))
        cached = await engine.run(plan(job("l", "link", params={"src": "storage:callsheet-cache/piece/" + "a" * 64})))
        gone = "artifact:00000000-0000-0000-0000-000000000000"
        unknown = await engine.run(plan(job("l", "link", params={"src": gone})))

    assert url.startswith(f"https://sheet.test/files/{artifact.artifact_id}?expires=")
    assert kept.jobs[0].result["url"] is None, "a local file without a record has no address"
    assert cached.jobs[0].error.code == "bad_source"
    assert unknown.jobs[0].error.code == "bad_source"


async def test_without_a_public_url_files_have_none(engine):
    assert (await public_url_of(engine, name="a.txt", text="hello"))[0] is None


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
async def test_a_private_url_is_not_passed_to_providers(engine, url, public):
    made = await engine.run(plan(job("l", "link", params={"src": url})))

    assert made.jobs[0].result["url"] == (url if public else None)


@pytest.mark.parametrize(
    ("endpoint", "public"),
    [("https://s3.example.com", True), ("http://127.0.0.1:9000", False), ("http://minio:9000", False)],
)
async def test_a_file_in_a_bucket_has_a_url_unless_the_endpoint_is_private(database, tmp_path, endpoint, public):
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
    url = await input_url(source, settings=settings, storage=open_storage(settings), database=database)

    assert (url is not None) is public
    assert url is None or url.startswith("https://s3.example.com/films/uploads/logo.png?X-Amz-")
