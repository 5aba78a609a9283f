"""Generate: one submission, whichever provider accepts it, and its files."""

import asyncio
import io
import wave

import pytest
from PIL import Image

from callsheet.domain.errors import (
    BadOutput,
    BadParams,
    ConfigurationError,
    PlanRefused,
    ProviderFailed,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.domain.plan_validation import check_plan, read_plan, validate_params
from callsheet.fakes.providers.task_script import sample_image, sample_video
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.generate import generate
from callsheet.operations.generate_params import GenerateParams
from callsheet.operations.generate_results import file_name
from callsheet.providers.contract import InputFile, Output, SubmitRequest
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.waiters import until

MODELS = """
- id: fake/video
  name: Fake video
  makes: video
  aliases: [video]
  offers:
    - provider: one
      model: crayon
      parameters: &takes
        prompt: {to: text, required: true, maxLength: 100}
        duration: {to: length, kind: integer, maximum: 8, default: 5, asText: true}
        image: {to: first, kind: file}
        lastImage: {to: last, kind: file}
        references: {to: refs, kind: files}
        one: {to: submit}
    - provider: two
      model: pencil
      waiting: polling
      parameters:
        prompt: {to: text}
        duration: {to: length, kind: integer, maximum: 8}
        one: {to: whatever}
        two: {to: submit}
- id: fake/nowhere
  name: Nowhere
  makes: image
  offers: [{provider: unknown, model: m, parameters: {prompt: {to: prompt}}}]
"""
VIDEO = sample_video().data
PNG = sample_image().data


@pytest.fixture
def models_file(tmp_path):
    file = tmp_path / "models.yaml"
    file.write_text(MODELS)
    return file


@pytest.fixture
def settings(tmp_path, models_file):
    return Settings(
        _env_file=None, data_dir=tmp_path / "data", models_file=models_file, public_url="https://sheet.test"
    )


@pytest.fixture
def providers(tmp_path):
    return FakeProvider(tmp_path / "one", name="one"), FakeProvider(tmp_path / "two", name="two")


@pytest.fixture
def job(tmp_path, settings, providers):
    return RecordingContext(tmp_path, settings=settings, providers=providers)


def fields(**given):
    return {"modelId": "fake/video", "prompt": "a red fox", **given}


def params(**given):
    return GenerateParams(**fields(**given))


async def run(job, provider, given, files, **result):
    """Run the operation while the provider creates these files."""
    running = asyncio.create_task(generate.run(job, given))
    [request] = await until(provider.requests)
    provider.set_status(request["id"], "succeeded", files=files, **result)
    return await running


def gif():
    target = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(target, "GIF")
    return target.getvalue()


def wav():
    target = io.BytesIO()
    with wave.open(target, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(8000)
        audio.writeframes(bytes(1600))
    return target.getvalue()


def problems_of(settings, **given):
    with pytest.raises(BadParams) as raised:
        validate_params(fields(**given), GenerateParams, settings)
    return {(problem.path, problem.code): problem.message for problem in raised.value.problems}


async def test_a_request_has_the_names_of_the_provider_and_its_file_is_stored(job, providers):
    result = await run(job, providers[0], params(duration=4.0), {"video.mp4": VIDEO}, cost=0.5, seconds=12)

    assert job.submit_requests["submit"].model == "crayon"
    assert job.submit_requests["submit"].input == {"text": "a red fox", "length": "4"}
    assert (result.provider, result.model, result.cost, result.seconds) == ("one", "crayon", 0.5, 12)
    assert result.provider_job_id == job.tasks["submit"].id
    assert [file.name for file in result.videos] == ["video.mp4"]
    assert job.path_of(result.videos[0]).read_bytes() == VIDEO


async def test_files_are_grouped_and_named_by_their_contents(job, providers):
    files = {"image.webp": gif(), "video": VIDEO, "audio.bin": wav(), "notes.txt": "just text"}

    result = await run(job, providers[0], params(), files)

    assert [(f.name, f.media_type) for f in result.files] == [
        ("image.gif", "image/gif"),
        ("video.mp4", "video/mp4"),
        ("audio.wav", "audio/wav"),
        ("notes.txt", "text/plain"),
    ]
    assert [f.name for f in result.images] == ["image.gif"]
    assert [f.name for f in result.videos] == ["video.mp4"]
    assert [f.name for f in result.audios] == ["audio.wav"]


def test_a_file_name_comes_from_the_url_if_the_provider_gives_none():
    name = file_name(Output(url="https://x.test/a/my%20video.mp4?sig=1"), 0, "video/mp4")

    assert name == "my video.mp4"
    assert file_name(Output(url="https://x.test/abc"), 1, "image/png") == "abc.png"
    assert file_name(Output(inline=b""), 1, "image/png") == "output-2.png"


async def test_a_success_without_files_is_a_failure(job, providers):
    with pytest.raises(ProviderFailed, match="without any file"):
        await run(job, providers[0], params(), {})


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (
            {"film.mp4": "<!DOCTYPE html><html><title>Sign in</title><body>…</body></html>"},
            r"one returned an HTML page \(66 bytes, 'Sign in'\) instead of a video \(film.mp4\)",
        ),
        ({"film.mp4": '{"error": "expired"}'}, "a JSON document .* instead of a video"),
        ({"film": "<Error><Code>AccessDenied</Code></Error>"}, r"an XML error \(40 bytes, 'AccessDenied'\)"),
        ({"film.mp4": ""}, "an empty file"),
        ({"film.mp4": VIDEO[: len(VIDEO) // 2]}, "a file that is cut off"),
        ({"film.mp4": bytes(5000)}, "a damaged file"),
        ({"film.mp4": PNG}, r"an image \(.* bytes of png_pipe\) instead of a video"),
        ({"cover.png": PNG}, "only cover.png instead of a video"),
        ({"film.mp4": VIDEO, "cover.png": VIDEO[:1000]}, r"instead of an image \(cover.png\)"),
    ],
)
async def test_what_is_not_the_ordered_video_is_an_error_and_stores_nothing(job, providers, files, reason):
    with pytest.raises(BadOutput, match=reason) as raised:
        await run(job, providers[0], params(), files)

    assert raised.value.code == "bad_output"
    assert job.kept == []
    assert len(providers[0].requests()) == 1


async def test_the_same_task_is_fetched_again_after_a_bad_output(job, providers):
    with pytest.raises(BadOutput):
        await run(job, providers[0], params(), {"film.mp4": "<html>Try again</html>"})
    [request] = providers[0].requests()
    providers[0].set_status(request["id"], "succeeded", files={"film.mp4": VIDEO})

    result = await generate.run(job, params())

    assert [file.name for file in result.videos] == ["film.mp4"]
    assert len(providers[0].requests()) == 1


async def test_a_model_that_is_gone_from_the_registry_still_delivers(job, providers, models_file):
    task = await job.submit_once(providers[0], SubmitRequest("crayon", {"text": "a fox"}))
    providers[0].set_status(task.id, "succeeded", files={"film.mp4": VIDEO})
    models_file.write_text("- nonsense")

    result = await generate.run(job, params())

    assert [file.name for file in result.videos] == ["film.mp4"]


async def test_a_failed_task_is_not_submitted_to_another_provider(job, providers):
    running = asyncio.create_task(generate.run(job, params()))
    [request] = await until(providers[0].requests)
    providers[0].set_status(request["id"], "failed", code="content_refused", message="Too red.")

    with pytest.raises(ProviderFailed, match="Too red"):
        await running
    assert providers[1].requests() == []


@pytest.mark.parametrize("how", ["refuse", "busy"])
async def test_after_a_certain_rejection_the_next_provider_is_used(job, providers, how):
    result = await run(job, providers[1], params(inputs={"one": how}), {"video.mp4": VIDEO})

    assert (result.provider, result.model) == ("two", "pencil")
    assert providers[0].requests() == []
    assert job.submitted_to == {"submit": "two"}
    [log] = job.logs
    assert (log["message"], log["provider"]) == ("not accepted", "one")


@pytest.mark.parametrize("how", ["lose", "drop"])
async def test_a_submission_of_unknown_outcome_goes_to_no_other_provider(job, providers, how):
    with pytest.raises(SubmissionUnknown):
        await generate.run(job, params(inputs={"one": how}))

    assert providers[1].requests() == []


async def test_a_later_run_uses_no_other_provider_while_the_outcome_is_unknown(job, providers):
    given = params(inputs={"one": "refuse", "two": "lose"})
    with pytest.raises(SubmissionUnknown):
        await generate.run(job, given)
    assert job.submitted_to == {"submit": "two"}

    with pytest.raises(SubmissionUnknown):
        await generate.run(job, given)

    assert providers[0].requests() == []


async def test_an_unknown_outcome_with_a_removed_offer_needs_a_manual_decision(job, providers):
    job.submit_requests["submit"], job.submitted_to["submit"] = SubmitRequest("brush", {}), "two"

    with pytest.raises(SubmissionUnknown, match="brush was submitted to two"):
        await generate.run(job, params())

    assert providers[0].requests() == providers[1].requests() == []


async def test_a_later_run_resumes_the_task(job, providers):
    task = await job.submit_once(providers[1], SubmitRequest("pencil", {}))
    providers[1].set_status(task.id, "succeeded", files={"video.mp4": VIDEO})

    result = await generate.run(job, params())

    assert (result.provider, result.model, result.provider_job_id) == ("two", "pencil", task.id)
    assert providers[0].requests() == []


async def test_when_all_are_busy_the_longest_retry_after_counts(job, providers, monkeypatch):
    async def busy(_):
        raise ProviderRateLimited("come back", retry_after=30)

    async def unreachable(_):
        raise ProviderUnreachable("no response")

    monkeypatch.setattr(providers[0], "submit", busy)
    monkeypatch.setattr(providers[1], "submit", unreachable)

    with pytest.raises(ProviderRateLimited) as raised:
        await generate.run(job, params())

    assert raised.value.retry_after == 30
    assert len(job.logs) == 2


async def test_a_rejection_does_not_hide_a_transient_error(job, providers):
    with pytest.raises(ProviderRateLimited):
        await generate.run(job, params(inputs={"one": "refuse", "two": "busy"}))
    with pytest.raises(SubmissionRejected, match="one: The fake rejected the submission"):
        await generate.run(job, params(inputs={"one": "refuse"}, provider="one"))


async def test_an_unconfigured_provider_is_skipped(job, providers):
    class SomeMissing(dict):
        def __missing__(self, name):
            raise ConfigurationError("One needs ONE_KEY")

    job.providers = SomeMissing(two=providers[1])

    result = await run(job, providers[1], params(), {"video.mp4": VIDEO})

    assert result.provider == "two"
    assert job.logs[0]["reason"] == "One needs ONE_KEY"


async def test_without_a_configured_provider_the_error_says_so(job):
    with pytest.raises(SubmissionRejected, match="unknown: there is no provider 'unknown'; known providers: one, two"):
        await generate.run(job, params(modelId="fake/nowhere"))


async def test_images_are_sent_by_url_if_they_have_one(job, providers, tmp_path):
    image = tmp_path / "an image.bin"
    image.write_bytes(gif())
    kept = await job.keep(image, name="kept.gif")

    await run(
        job,
        providers[0],
        params(image=str(image), lastImage=kept, inputs={"references": [f"artifact:{kept.artifact_id}"]}),
        {"video.mp4": VIDEO},
    )

    sent = job.submit_requests["submit"].input
    link = f"https://sheet.test/files/{kept.artifact_id}?sig=tested"
    assert sent["first"] == InputFile(image, "image/gif", None)
    assert sent["last"] == InputFile(job.path_of(kept), "image/gif", link)
    assert [file.url for file in sent["refs"]] == [link]


async def test_the_model_decides_between_webhook_and_polling(job, providers):
    await run(job, providers[0], params(), {"video.mp4": VIDEO})
    assert job.submit_requests["submit"].webhook.startswith("https://sheet.test/api/webhooks/job/")

    job.submit_requests.clear(), job.tasks.clear()
    await run(job, providers[1], params(provider="two"), {"video.mp4": VIDEO})
    assert job.submit_requests["submit"].webhook is None


async def test_with_polling_the_request_has_no_webhook(job, providers):
    await run(job, providers[0], params(waiting="polling"), {"video.mp4": VIDEO})

    assert job.submit_requests["submit"].webhook is None


async def test_a_model_unknown_to_the_worker_is_reported(job, tmp_path):
    given = params()
    job.settings = job.settings.model_copy(update={"models_file": None})

    with pytest.raises(BadParams) as raised:
        await generate.run(job, given)

    assert raised.value.problems[0].code == "unknown_model"


def test_all_invalid_inputs_are_reported_with_their_paths(settings):
    problems = problems_of(
        settings, prompt="far too long " * 10, duration=9, inputs={"references": "no list", "tint": "red"}
    )

    assert problems == {
        ("prompt", "invalid_value"): "it has 130 characters; the maximum is 100",
        ("duration", "invalid_value"): "9 is above the maximum of 8",
        ("inputs.references", "invalid_value"): "a list of media sources is required, not 'no list'",
        ("inputs.tint", "unknown_input"): "crayon has no input 'tint'; it has prompt, duration, image, lastImage, "
        "references, one",
    }
    assert set(problems_of(settings, modelId="fake/flim")) == {("modelId", "unknown_model")}
    assert set(problems_of(settings, provider="three")) == {("provider", "unknown_provider")}
    assert set(problems_of(settings, provider="one", prompt=None)) == {("prompt", "missing")}


def test_a_plan_with_an_invalid_input_is_rejected_with_its_path(settings):
    jobs = [
        {"id": "first", "operation": "generate", "params": {"modelId": "video", "prompt": "a fox", "duration": 60}},
        {
            "id": "then",
            "operation": "generate",
            "params": {"modelId": "video", "prompt": "b", "image": "${first.images[0]}"},
        },
    ]

    with pytest.raises(PlanRefused) as raised:
        check_plan(read_plan({"jobs": jobs}), Catalog([generate]).with_settings(settings), max_jobs=10)

    assert [(p.path, p.message) for p in raised.value.problems] == [
        ("jobs[0].params.duration", "60 is above the maximum of 8")
    ]
