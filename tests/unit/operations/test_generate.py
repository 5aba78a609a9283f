"""Generate: one order, whoever takes it, and its files."""

import asyncio

import pytest
from pydantic import ValidationError

from callsheet.domain.errors import (
    BadParams,
    ConfigurationError,
    PlanRefused,
    ProviderFailed,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.domain.plan_validation import check_plan, read_plan, validation_problems
from callsheet.operation.catalog import Catalog
from callsheet.operations import generate as module
from callsheet.operations.generate import GenerateParams, generate
from callsheet.providers.contract import InputFile, Output, SubmitRequest
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.waiters import until

MODELS = """
- id: toy/film
  name: Toy film
  makes: video
  aliases: [film]
  offers:
    - provider: one
      model: crayon
      parameters: &takes
        prompt: {to: text, required: true, maxLength: 100}
        duration: {to: length, kind: integer, maximum: 8, default: 5, asText: true}
        image: {to: first, kind: file}
        lastImage: {to: last, kind: file}
        pictures: {to: refs, kind: files}
        one: {to: submit}
    - provider: two
      model: pencil
      waiting: polling
      parameters:
        prompt: {to: text}
        duration: {to: length, kind: integer, maximum: 8}
        one: {to: whatever}
        two: {to: submit}
- id: toy/nowhere
  name: Nowhere
  makes: image
  offers: [{provider: nobody, model: m, parameters: {prompt: {to: prompt}}}]
"""
FILM = "\0\0\0\x18ftypisom\0\0\0\0isom"
PICTURE = "GIF89a and more"
SOUND = "ID3 and more"


@pytest.fixture
def own(tmp_path, know_models):
    """The models of these tests, known to submission and to the run."""
    file = tmp_path / "models.yaml"
    file.write_text(MODELS)
    know_models(file)
    return file


@pytest.fixture
def toys(tmp_path):
    return FakeProvider(tmp_path / "one", name="one"), FakeProvider(tmp_path / "two", name="two")


@pytest.fixture
def job(tmp_path, own, toys):
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", models_file=own, public_url="https://sheet.test")
    return RecordingContext(tmp_path, settings=settings, providers=toys)


def params(**given):
    return GenerateParams(**{"modelId": "toy/film", "prompt": "a red fox", **given})


async def made(job, toy, given, files, **told):
    """Run the operation while the toy makes these files."""
    running = asyncio.create_task(generate.run(job, given))
    [order] = await until(toy.requests)
    toy.set_status(order["id"], "succeeded", files=files, **told)
    return await running


def problems_of(**given):
    with pytest.raises(ValidationError) as refused:
        params(**given)
    return {
        (problem.path, problem.code): problem.message for problem in validation_problems(refused.value, GenerateParams)
    }


async def test_a_film_is_ordered_by_the_provider_s_words_and_kept(job, toys):
    result = await made(job, toys[0], params(duration=4.0), {"film.mp4": FILM}, cost=0.5, seconds=12)

    assert job.submit_requests["submit"].model == "crayon"
    assert job.submit_requests["submit"].input == {"text": "a red fox", "length": "4"}
    assert (result.provider, result.model, result.cost, result.seconds) == ("one", "crayon", 0.5, 12)
    assert result.provider_job_id == job.tasks["submit"].id
    assert [file.name for file in result.videos] == ["film.mp4"]
    assert job.path_of(result.videos[0]).read_text() == FILM


async def test_files_are_sorted_by_their_bytes_and_named_truly(job, toys):
    files = {"picture.webp": PICTURE, "film": FILM, "sound.bin": SOUND, "notes.txt": "just text"}

    result = await made(job, toys[0], params(), files)

    assert [(f.name, f.media_type) for f in result.files] == [
        ("picture.gif", "image/gif"),
        ("film.mp4", "video/mp4"),
        ("sound.mp3", "audio/mpeg"),
        ("notes.txt", "text/plain"),
    ]
    assert [f.name for f in result.images] == ["picture.gif"]
    assert [f.name for f in result.videos] == ["film.mp4"]
    assert [f.name for f in result.audios] == ["sound.mp3"]


def test_a_name_comes_from_the_address_where_the_provider_gives_none():
    told = module._name(Output(url="https://x.test/a/my%20film.mp4?sig=1"), 0, "video/mp4")

    assert told == "my film.mp4"
    assert module._name(Output(url="https://x.test/abc"), 1, "image/png") == "abc.png"
    assert module._name(Output(inline=b""), 1, "image/png") == "output-2.png"


async def test_a_success_without_files_is_a_failure(job, toys):
    with pytest.raises(ProviderFailed, match="names no file"):
        await made(job, toys[0], params(), {})


async def test_a_task_that_fails_is_not_ordered_elsewhere(job, toys):
    running = asyncio.create_task(generate.run(job, params()))
    [order] = await until(toys[0].requests)
    toys[0].set_status(order["id"], "failed", code="content_refused", message="Too red.")

    with pytest.raises(ProviderFailed, match="Too red"):
        await running
    assert toys[1].requests() == []


@pytest.mark.parametrize("how", ["refuse", "busy"])
async def test_what_one_certainly_did_not_take_another_is_asked_for(job, toys, how):
    result = await made(job, toys[1], params(inputs={"one": how}), {"film.mp4": FILM})

    assert (result.provider, result.model) == ("two", "pencil")
    assert toys[0].requests() == []
    assert job.submitted_to == {"submit": "two"}
    [log] = job.logs
    assert (log["message"], log["provider"]) == ("not ordered", "one")


@pytest.mark.parametrize("how", ["lose", "drop"])
async def test_what_may_have_been_taken_is_ordered_nowhere_else(job, toys, how):
    with pytest.raises(SubmissionUnknown):
        await generate.run(job, params(inputs={"one": how}))

    assert toys[1].requests() == []


async def test_a_later_run_orders_nothing_elsewhere_while_that_is_not_known(job, toys):
    given = params(inputs={"one": "refuse", "two": "lose"})
    with pytest.raises(SubmissionUnknown):
        await generate.run(job, given)
    assert job.submitted_to == {"submit": "two"}

    with pytest.raises(SubmissionUnknown):
        await generate.run(job, given)

    assert toys[0].requests() == []


async def test_what_may_have_been_ordered_of_a_model_that_is_gone_is_for_a_person_to_decide(job, toys):
    job.submit_requests["submit"], job.submitted_to["submit"] = SubmitRequest("brush", {}), "two"

    with pytest.raises(SubmissionUnknown, match="brush was ordered of two"):
        await generate.run(job, params())

    assert toys[0].requests() == toys[1].requests() == []


async def test_a_later_run_goes_on_with_the_order_it_finds(job, toys):
    task = await job.submit_once(toys[1], SubmitRequest("pencil", {}))
    toys[1].set_status(task.id, "succeeded", files={"film.mp4": FILM})

    result = await generate.run(job, params())

    assert (result.provider, result.model, result.provider_job_id) == ("two", "pencil", task.id)
    assert toys[0].requests() == []


async def test_when_all_are_busy_it_is_tried_again_after_the_longest_wait(tmp_path, own, job, toys, monkeypatch):
    async def busy(_):
        raise ProviderRateLimited("come back", retry_after=30)

    async def away(_):
        raise ProviderUnreachable("no answer")

    monkeypatch.setattr(toys[0], "submit", busy)
    monkeypatch.setattr(toys[1], "submit", away)

    with pytest.raises(ProviderRateLimited) as told:
        await generate.run(job, params())

    assert told.value.retry_after == 30
    assert len(job.logs) == 2


async def test_a_refusal_does_not_hide_that_another_may_take_it_later(job, toys):
    with pytest.raises(ProviderRateLimited):
        await generate.run(job, params(inputs={"one": "refuse", "two": "busy"}))
    with pytest.raises(SubmissionRejected, match="one: The fake rejected the submission"):
        await generate.run(job, params(inputs={"one": "refuse"}, provider="one"))


async def test_a_provider_that_is_not_set_up_is_passed_over(job, toys):
    class SomeMissing(dict):
        def __missing__(self, name):
            raise ConfigurationError("One needs ONE_KEY")

    job.providers = SomeMissing(two=toys[1])

    result = await made(job, toys[1], params(), {"film.mp4": FILM})

    assert result.provider == "two"
    assert job.logs[0]["reason"] == "One needs ONE_KEY"


async def test_when_nobody_is_set_up_the_refusal_says_so(job):
    with pytest.raises(SubmissionRejected, match="nobody: there is no provider 'nobody' here; known: one, two"):
        await generate.run(job, params(modelId="toy/nowhere"))


async def test_pictures_go_by_an_address_where_they_have_one(job, toys, tmp_path):
    picture = tmp_path / "a picture.bin"
    picture.write_text(PICTURE)
    kept = await job.keep(picture, name="kept.gif")

    await made(
        job,
        toys[0],
        params(image=str(picture), lastImage=kept, inputs={"pictures": [f"artifact:{kept.artifact_id}"]}),
        {"film.mp4": FILM},
    )

    sent = job.submit_requests["submit"].input
    link = f"https://sheet.test/files/{kept.artifact_id}?sig=tested"
    assert sent["first"] == InputFile(picture, "image/gif", None)
    assert sent["last"] == InputFile(job.path_of(kept), "image/gif", link)
    assert [file.url for file in sent["refs"]] == [link]


async def test_its_end_is_learned_of_as_suits_the_model_or_as_asked(job, toys):
    await made(job, toys[0], params(), {"film.mp4": FILM})
    assert job.submit_requests["submit"].webhook.startswith("https://sheet.test/api/webhooks/job/")

    job.submit_requests.clear(), job.tasks.clear()
    await made(job, toys[1], params(provider="two"), {"film.mp4": FILM})
    assert job.submit_requests["submit"].webhook is None


async def test_asked_to_poll_it_names_no_webhook(job, toys):
    await made(job, toys[0], params(waiting="polling"), {"film.mp4": FILM})

    assert job.submit_requests["submit"].webhook is None


async def test_a_model_that_this_worker_does_not_know_is_told(job, tmp_path):
    given = params()
    job.settings = job.settings.model_copy(update={"models_file": None})

    with pytest.raises(BadParams) as refused:
        await generate.run(job, given)

    assert refused.value.problems[0].code == "unknown_model"


def test_every_input_that_does_not_fit_is_told_in_its_place(own):
    told = problems_of(prompt="far too long " * 10, duration=9, inputs={"pictures": "no list", "colour": "red"})

    assert told == {
        ("prompt", "invalid_value"): "it has 130 characters; the maximum is 100",
        ("duration", "invalid_value"): "9 is above the maximum of 8",
        ("inputs.pictures", "invalid_value"): "a list of media sources is required, not 'no list'",
        ("inputs.colour", "unknown_input"): "crayon has no input 'colour'; it has prompt, duration, image, lastImage, "
        "pictures, one",
    }
    assert set(problems_of(modelId="toy/flim")) == {("modelId", "unknown_model")}
    assert set(problems_of(provider="three")) == {("provider", "unknown_provider")}
    assert set(problems_of(provider="one", prompt=None)) == {("prompt", "missing")}


def test_a_plan_that_asks_for_what_a_model_has_not_is_refused_with_the_field(own):
    jobs = [
        {"id": "first", "operation": "generate", "params": {"modelId": "film", "prompt": "a fox", "duration": 60}},
        {
            "id": "then",
            "operation": "generate",
            "params": {"modelId": "film", "prompt": "b", "image": "${first.images[0]}"},
        },
    ]

    with pytest.raises(PlanRefused) as refused:
        check_plan(read_plan({"jobs": jobs}), Catalog([generate]), max_jobs=10)

    assert [(p.path, p.message) for p in refused.value.problems] == [
        ("jobs[0].params.duration", "60 is above the maximum of 8")
    ]
