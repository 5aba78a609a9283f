import base64

import pytest

from callsheet.fakes.providers.faults import ReplaceFields
from callsheet.fakes.providers.luma import FakeLuma
from callsheet.fakes.providers.task_script import Failed, Succeeded, sample_image
from callsheet.testing.provider_contract import ProviderContract

from .opened import image_in, opened, status_after


class TestLuma(ProviderContract):
    fake = FakeLuma


async def test_video_fields_are_in_an_object_of_their_own(tmp_path):
    given = {"prompt": "A fox", "aspect_ratio": "16:9", "duration": 5, "resolution": "720p"}
    async with opened(FakeLuma, tmp_path) as (fake, provider):
        await provider.submit(fake.example_request(input={**given, "start_frame": image_in(tmp_path)}))

    [sent] = fake.requests_of("submit")
    frame = {"data": base64.b64encode(b"an image").decode(), "media_type": "image/png"}
    assert sent.json() == {
        "type": "video",
        "model": "ray-3.2",
        "prompt": "A fox",
        "aspect_ratio": "16:9",
        "video": {"duration": "5s", "resolution": "720p", "start_frame": frame},
    }


async def test_an_image_request_has_no_video_object(tmp_path):
    given = {"type": "image", "prompt": "A fox", "output_format": "png"}
    async with opened(FakeLuma, tmp_path) as (fake, provider):
        fake.script(Succeeded((sample_image(),)))
        task = await provider.submit(fake.example_request(model="uni-1", input=given))
        [output] = (await provider.get_status(task)).outputs
        await provider.fetch(output, tmp_path / "image.png")

    assert fake.requests_of("submit")[0].json() == {**given, "model": "uni-1"}


@pytest.mark.parametrize(
    ("reported", "code"),
    [
        ("content_moderated", "content_refused"),
        ("budget_exhausted", "budget_exhausted"),
        ("output_not_found", "output_expired"),
        ("generation_failed", "provider_failed"),
        ("something_new", "provider_failed"),
    ],
)
async def test_every_failure_code_is_mapped(tmp_path, reported, code):
    async with opened(FakeLuma, tmp_path) as (fake, provider):
        fake.inject_faults(status=[ReplaceFields({"failure_code": reported})])
        status = await status_after(fake, provider, Failed("It did not work"))

    assert (status.state, status.code, status.message) == ("failed", code, "It did not work")


async def test_thumbnails_are_not_outputs(tmp_path):
    async with opened(FakeLuma, tmp_path) as (fake, provider):
        output = [
            {"type": "thumbnail", "url": "https://x.test/a.jpg"},
            {"type": "video", "url": "https://x.test/a.mp4"},
        ]
        fake.inject_faults(status=[ReplaceFields({"output": output})])
        status = await status_after(fake, provider, Succeeded())

    assert [file.url for file in status.outputs] == ["https://x.test/a.mp4"]
