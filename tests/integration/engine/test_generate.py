"""Generate, in a real engine: whoever takes the order, it is one order."""

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
EAGER = PollPolicy(initial=SOON, max_interval=SOON, webhook_interval=SOON)
FILM = {"files": {"film.mp4": "\0\0\0\x18ftypisom\0\0\0\0isom"}}
MODELS = """
- id: toy/film
  name: Toy film
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
    """Tell a file's address."""
    return Linked(url=await job.public_url(params.src))


@pytest.fixture
def settings(settings, tmp_path, know_models):
    file = tmp_path / "models.yaml"
    file.write_text(MODELS)
    know_models(file)
    soon = {"provider_poll_interval": timedelta(seconds=0.02), "submission_recovery_timeout": timedelta(seconds=1)}
    return settings.model_copy(update={"models_file": file, **soon})


@pytest.fixture
def toys(tmp_path):
    found = Capabilities(cancel=True, find_submission=True)
    return [FakeProvider(tmp_path / name, name=name, capabilities=found, poll_policy=EAGER) for name in ("one", "two")]


@pytest.fixture
async def engine(settings, toys):
    async with running_engine([*ALL, generate, link], settings=settings, providers=toys) as engine:
        yield engine


def film(retries=3, **inputs):
    given = {"modelId": "toy/film", "prompt": "a fox", "inputs": inputs}
    return plan(job("a", "generate", params=given, retries=retries))


async def test_what_one_refuses_another_makes_and_is_asked_once(engine, toys):
    execution_id = await engine.submit(film(one="refuse"))
    [order] = await until(toys[1].requests)
    await engine.wait(execution_id, "job.waiting")
    toys[1].set_status(order["id"], "succeeded", cost=0.5, **FILM)

    execution = await engine.ended(execution_id)

    [ended] = execution.jobs
    assert execution.status == "succeeded"
    assert (ended.result["provider"], ended.result["model"], ended.result["cost"]) == ("two", "pencil", 0.5)
    assert [file["name"] for file in ended.result["videos"]] == ["film.mp4"]
    assert toys[0].requests() == []
    assert len(toys[1].requests()) == 1
    assert "job.log" in [event.type for event in await engine.events(execution_id)]


async def test_an_order_whose_answer_was_lost_is_found_at_the_one_who_took_it(engine, toys):
    execution_id = await engine.submit(film(one="refuse", two="lose"))
    [order] = await until(toys[1].requests)
    toys[1].set_status(order["id"], "succeeded", **FILM)

    execution = await engine.ended(execution_id)

    assert execution.status == "succeeded", execution.jobs[0].error
    assert toys[0].requests() == []
    assert len(toys[1].requests()) == 1


async def test_an_order_of_unknown_fate_goes_nowhere_else(settings, toys):
    toys[0].capabilities = Capabilities()
    async with running_engine([generate], settings=settings, providers=toys) as engine:
        execution = await engine.run(film(one="drop"))

    assert execution.jobs[0].error.code == "submission_unknown"
    assert toys[1].requests() == []


async def test_when_all_are_busy_it_is_tried_again(engine):
    execution = await engine.run(film(retries=1, one="busy", two="busy"))

    assert execution.jobs[0].error.code == "provider_rate_limited"
    assert execution.jobs[0].attempts == 2


async def address_of(engine, **file):
    made = await engine.run(plan(job("w", "write", params=file), job("l", "link", params={"src": "${w.file}"})))
    assert made.status == "succeeded", [j.error for j in made.jobs]
    return made.jobs[1].result["url"], made.artifacts[0]


async def test_files_have_an_address_where_the_server_has_one(settings):
    settings = settings.model_copy(update={"public_url": "https://sheet.test/"})
    async with running_engine([*ALL, link], settings=settings) as engine:
        url, artifact = await address_of(engine, name="a.txt", text="hello")
        kept = await engine.run(plan(job("l", "link", params={"src": f"storage:{artifact.key}"})))
        cached = await engine.run(plan(job("l", "link", params={"src": "storage:callsheet-cache/piece/" + "a" * 64})))
        gone = "artifact:00000000-0000-0000-0000-000000000000"
        unknown = await engine.run(plan(job("l", "link", params={"src": gone})))

    assert url.startswith(f"https://sheet.test/files/{artifact.artifact_id}?expires=")
    assert kept.jobs[0].result["url"] is None, "a local file without a record has no address"
    assert cached.jobs[0].error.code == "bad_source"
    assert unknown.jobs[0].error.code == "bad_source"


async def test_without_a_public_address_there_is_none(engine):
    assert (await address_of(engine, name="a.txt", text="hello"))[0] is None


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
async def test_an_address_that_only_neighbours_reach_is_not_passed_on(engine, url, public):
    made = await engine.run(plan(job("l", "link", params={"src": url})))

    assert made.jobs[0].result["url"] == (url if public else None)


@pytest.mark.parametrize(
    ("endpoint", "public"),
    [("https://s3.example.com", True), ("http://127.0.0.1:9000", False), ("http://minio:9000", False)],
)
async def test_a_file_in_a_bucket_has_its_address_unless_only_neighbours_reach_it(database, tmp_path, endpoint, public):
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
