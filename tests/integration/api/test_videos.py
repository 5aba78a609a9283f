"""`/v1/videos`, called with the client of OpenAI."""

import asyncio
import warnings
from datetime import UTC, datetime, timedelta
from uuid import UUID

import openai
import pytest
from pydantic import SecretStr

from callsheet.api.videos_schema import to_video
from callsheet.domain.statuses import JobStatus
from callsheet.engine.reads.videos import VideoJob
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import Failed, Queued, Running, sample_image, sample_video
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.generate import generate
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

MODEL = "bytedance/seedance-1-pro"
KEY = "a-key-of-sixteen-characters"
SOON = timedelta(seconds=0.05)


@pytest.fixture
async def replicate():
    async with FakeReplicate() as fake:
        yield fake


@pytest.fixture
def settings(settings, replicate, monkeypatch):
    for name, value in replicate.environment().items():
        monkeypatch.setenv(name, value)
    soon = {"provider_poll_initial": SOON, "provider_poll_max": SOON, "provider_poll_interval": timedelta(seconds=0.02)}
    return settings.model_copy(update=soon)


@pytest.fixture
def catalog():
    return Catalog([*ALL, generate])


@pytest.fixture
async def videos(api):
    """The videos resource of the client, on a server without a worker."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        base = f"{api.client.base_url}/v1".replace("//v1", "/v1")
        async with openai.AsyncOpenAI(base_url=base, api_key="none-is-needed", max_retries=0) as client:
            yield client.videos


async def test_a_video_is_created_and_downloaded(api, videos, replicate):
    await api.engine.start_worker()

    video = await videos.create_and_poll(
        model=MODEL, prompt="A red fox", seconds="5", size="1280x720", poll_interval_ms=50
    )

    assert (video.status, video.progress, video.model, video.prompt) == ("completed", 100, MODEL, "A red fox")
    assert (video.seconds, video.size) == ("5", "64x64")
    assert video.error is None
    assert video.completed_at >= video.created_at
    [task] = replicate.tasks.values()
    assert task.input == {"prompt": "A red fox", "duration": 5, "aspect_ratio": "16:9", "resolution": "720p"}
    assert (await videos.download_content(video.id)).content == sample_video().data
    execution = await api.engine.execution(api_id(video))
    assert [job.operation for job in execution.jobs] == ["generate"]


async def test_an_uploaded_image_is_sent_to_the_provider(api, videos, replicate):
    await api.engine.start_worker()

    video = await videos.create_and_poll(
        model=MODEL, prompt="It turns", input_reference=("a b.png", sample_image().data), poll_interval_ms=50
    )
    again = await videos.create_and_poll(
        model=MODEL, prompt="It turns", input_reference=("other.bin", sample_image().data), poll_interval_ms=50
    )

    assert [video.status, again.status] == ["completed", "completed"]
    sent = [task.input["image"] for task in replicate.tasks.values()]
    assert sent[0].startswith("data:image/png;base64,")
    assert sent[0] == sent[1]
    assert (video.seconds, video.size) == ("1", "64x64")


async def test_a_json_request_may_have_further_inputs(api, replicate):
    body = {"model": MODEL, "prompt": "Say ${this}", "seconds": 7, "seed": 4, "camera_fixed": True}

    created = await api.client.post("/v1/videos", json=body)

    assert created.status_code == 200, created.text
    assert created.headers["openai-poll-after-ms"] == "2000"
    assert created.json()["status"] == "queued"
    await api.engine.start_worker()
    [task] = await until(lambda: list(replicate.tasks.values()))
    assert task.input["prompt"] == "Say ${this}"
    assert (task.input["seed"], task.input["camera_fixed"], task.input["duration"]) == (4, True, 7)


async def test_form_values_are_converted_to_the_types_of_the_model(api, replicate):
    await api.engine.start_worker()
    form = {"model": MODEL, "prompt": "x", "seconds": "7", "seed": "4", "cameraFixed": "true", "size": "1792x1024"}

    created = await api.client.post("/v1/videos", data=form)

    assert created.status_code == 200, created.text
    [task] = await until(lambda: list(replicate.tasks.values()))
    assert (task.input["seed"], task.input["camera_fixed"]) == (4, True)
    assert (task.input["aspect_ratio"], task.input["resolution"]) == ("16:9", "1080p")
    assert created.json()["size"] == "1792x1024"


async def test_a_size_is_passed_unchanged_to_a_model_with_sizes(api):
    created = await api.client.post(
        "/v1/videos", data={"model": "videos/default", "prompt": "x", "size": "640x352", "seconds": "4"}
    )

    [job] = (await api.engine.execution(api_id_of(created.json()["id"]))).jobs
    assert job.params["inputs"] == {"size": "640x352"}
    assert (job.params["duration"], created.json()["size"]) == (4, "640x352")


async def test_two_requests_with_one_idempotency_key_are_one_video(api):
    body = {"model": MODEL, "prompt": "x"}
    responses = [
        await api.client.post("/v1/videos", json=body, headers={"Idempotency-Key": "order-1"}) for _ in range(2)
    ]

    assert responses[0].json()["id"] == responses[1].json()["id"]


async def test_a_plan_with_similar_metadata_is_no_video(api):
    execution_id = await api.submit(("video", "noop", {}), metadata={"videos": "shown"})

    assert (await api.client.get(f"/v1/videos/video_{execution_id.replace('-', '')}")).status_code == 404
    assert (await api.client.get("/v1/videos")).json()["data"] == []


async def test_invalid_fields_are_reported_by_name(api, videos):
    with pytest.raises(openai.BadRequestError) as rejected:
        await videos.create(model=MODEL, prompt="x", seconds="60", size="100x900", extra_body={"lens": "wide"})
    assert rejected.value.type == "invalid_request_error"
    assert rejected.value.param == "size"

    with pytest.raises(openai.BadRequestError) as rejected:
        await videos.create(model=MODEL, prompt="x", seconds="60", extra_body={"lens": "wide"})
    assert (rejected.value.param, rejected.value.code) == ("seconds", "invalid_value")
    assert "lens: bytedance/seedance-1-pro has no input 'lens'" in rejected.value.message

    with pytest.raises(openai.BadRequestError) as rejected:
        await videos.create(model="sora-2", prompt="x")
    assert (rejected.value.param, rejected.value.code) == ("model", "model_not_found")
    assert MODEL in rejected.value.message

    with pytest.raises(openai.BadRequestError) as rejected:
        await videos.create(model=MODEL, prompt="x", input_reference=("evil.png", b"<svg>"))
    assert rejected.value.param == "input_reference"


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [("application/json", b"{", 400), ("application/json", b"[]", 400), ("text/plain", b"x", 415)],
)
async def test_an_unreadable_body_is_rejected(api, kind, body, status):
    response = await api.client.post("/v1/videos", content=body, headers={"Content-Type": kind})

    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "more",
    [
        {"prompt": 5},
        {"prompt": None},
        {"seconds": "nan"},
        {"seconds": "1e999"},
        {"seconds": []},
        {"size": 7},
        {"size": "0x0"},
        {"seed": "${other.seed}"},
        {"input_reference": 7},
        {"input_reference": {"file_id": "file-1"}},
        {"input_reference": {"image_url": {}}},
        {"model": None},
        {"model": "fal-ai/flux/dev"},
        {"provider": "replicate"},
    ],
    ids=str,
)
async def test_an_invalid_value_is_reported_with_its_field(api, more):
    response = await api.client.post("/v1/videos", json={"model": MODEL, "prompt": "x", **more})

    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == next(iter(more))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"seconds": "6", "duration": 5}, "duration: seconds already sets this value"),
        ({"size": "1280x720", "aspectRatio": "9:16"}, "aspectRatio: size already sets this value"),
        ({"size": "1280x720", "aspect_ratio": "9:16"}, "aspect_ratio: size already sets this value"),
        (
            {"input_reference": "https://a.test/a.png", "image": "https://a.test/b.png"},
            "image: input_reference already sets",
        ),
        ({"modelId": "another"}, "modelId: model already sets this value"),
    ],
    ids=str,
)
async def test_a_value_that_is_set_twice_is_rejected(api, more, message):
    response = await api.client.post("/v1/videos", json={"model": MODEL, "prompt": "x", **more})

    assert (response.status_code, response.json()["error"]["code"]) == (400, "conflicting_fields")
    assert message in response.json()["error"]["message"]


UNUSUAL_RANGES = {
    "bytes=0-0": 206,
    "bytes=-1": 206,
    "bytes=-0": 416,
    "bytes=5-2": 200,
    "bytes=0-1,3-4": 200,
    "lines=0-1": 200,
    "bytes=-": 200,
    "bytes=4-99999999999999999999": 206,
    "bytes=-99999999999999999999": 206,
    "b" * 5000: 200,
}


async def test_unusual_ranges_are_handled_as_the_standard_requires(api, videos):
    await api.engine.start_worker()
    video = await videos.create_and_poll(model=MODEL, prompt="x", poll_interval_ms=50)
    where = f"/v1/videos/{video.id}/content"

    for byte_range, status in UNUSUAL_RANGES.items():
        response = await api.client.get(where, headers={"Range": byte_range})
        head = await api.client.head(where, headers={"Range": byte_range})

        assert (response.status_code, head.status_code) == (status, status), byte_range
        if response.is_success:
            assert head.headers["content-length"] == str(len(response.content))


def test_a_video_that_waits_for_a_child_job_is_in_progress():
    now = datetime.now(UTC)
    params = {"modelId": "studio/landscape", "prompt": "Hills"}
    job = VideoJob(UUID(int=1), {}, JobStatus.PENDING, 0.0, params, None, None, now, None)

    assert to_video(job).status == "in_progress"


async def test_other_variants_are_rejected(api, videos):
    await api.engine.start_worker()
    video = await videos.create_and_poll(model=MODEL, prompt="x", poll_interval_ms=50)

    for variant in ("thumbnail", "spritesheet"):
        with pytest.raises(openai.NotFoundError, match="request the variant 'video'"):
            await videos.download_content(video.id, variant=variant)
    with pytest.raises(openai.BadRequestError, match="variant"):
        await videos.download_content(video.id, variant="audio")


async def test_a_nul_character_is_rejected(api):
    response = await api.client.post("/v1/videos", json={"model": MODEL, "prompt": "a\0b"})

    assert (response.status_code, response.json()["error"]["code"]) == (400, "nul_character")


async def test_an_invalid_form_is_rejected(api):
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    files = [("input_reference", ("a.png", b"x")), ("input_reference", ("b.png", b"x"))]

    broken = await api.client.post("/v1/videos", content=b"--b\r\nnonsense", headers=kind)
    two = await api.client.post("/v1/videos", data={"model": MODEL, "prompt": "x"}, files=files)
    unknown = await api.client.post("/v1/videos", data={"model": MODEL}, files={"mask": ("a.png", sample_image().data)})

    assert [broken.status_code, two.status_code, unknown.status_code] == [400, 400, 400]
    assert unknown.json()["error"]["param"] == "mask"


async def test_progress_and_failures_are_reported(api, videos, replicate):
    replicate.script(Queued(), Running(0.4), Running(0.4), Running(0.4), Failed("NSFW", why="content"))
    await api.engine.start_worker()

    created = await videos.create(model=MODEL, prompt="x")
    seen = set()
    while (now := await videos.retrieve(created.id)).status != "failed":
        seen.add((now.status, now.progress))
        await asyncio.sleep(0.01)

    assert seen >= {("in_progress", 40)}
    assert now.error.code == "content_refused"
    assert now.error.message
    with pytest.raises(openai.NotFoundError) as rejected:
        await videos.download_content(created.id)
    assert rejected.value.code == "video_not_ready"


async def test_a_deleted_video_is_cancelled_and_not_found(api, videos, replicate):
    replicate.script(Running(0.1))
    await api.engine.start_worker()
    created = await videos.create(model=MODEL, prompt="x")
    await until(lambda: replicate.paid)
    await api.engine.wait(api_id(created), "job.waiting")

    deleted = await videos.delete(created.id)

    assert (deleted.id, deleted.deleted, deleted.object) == (created.id, True, "video.deleted")
    assert (await api.engine.ended(api_id(created))).status == "cancelled"
    await until(lambda: replicate.requests_of("cancel"))
    for call in (videos.retrieve, videos.delete, videos.download_content):
        with pytest.raises(openai.NotFoundError):
            await call(created.id)
    assert (await videos.list()).data == []


async def test_an_ended_video_can_be_deleted(api, videos):
    await api.engine.start_worker()
    video = await videos.create_and_poll(model=MODEL, prompt="x", poll_interval_ms=50)

    await videos.delete(video.id)

    assert (await videos.list()).data == []


async def test_lists_have_pages_in_both_orders_and_only_videos(api, videos):
    await api.submit(("a", "generate", {"modelId": MODEL, "prompt": "not a video of this API"}))
    ids = [(await videos.create(model=MODEL, prompt=f"{n}")).id for n in range(3)]

    page = await videos.list(limit=2)
    assert [video.id for video in page.data] == ids[:0:-1]
    assert page.has_more
    assert [video.id async for video in videos.list(limit=2)] == ids[::-1]
    assert [video.id async for video in videos.list(limit=1, order="asc")] == ids
    assert [v.id for v in (await videos.list(after=ids[1], order="asc")).data] == ids[2:]
    wrong = await api.client.get("/v1/videos", params={"limit": 0})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "limit")


async def test_content_supports_ranges_and_etags(api, videos):
    await api.engine.start_worker()
    video = await videos.create_and_poll(model=MODEL, prompt="x", poll_interval_ms=50)
    where = f"/v1/videos/{video.id}/content"

    whole = await api.client.get(where)
    part = await api.client.get(where, headers={"Range": "bytes=4-7"})
    known = await api.client.get(where, headers={"If-None-Match": whole.headers["etag"]})
    head = await api.client.head(where)
    behind = await api.client.get(where, headers={"Range": "bytes=99999999-"})
    thumbnail = await api.client.get(where, params={"variant": "thumbnail"})

    assert whole.headers["content-type"] == "video/mp4"
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert known.status_code == 304
    assert head.headers["content-length"] == str(len(whole.content))
    assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")
    assert (thumbnail.status_code, thumbnail.json()["error"]["type"]) == (404, "invalid_request_error")


@pytest.mark.parametrize("name", ["video_nothing", "x", "video_00000000000000000000000000000000"])
async def test_an_unknown_video_is_not_found(api, name):
    response = await api.client.get(f"/v1/videos/{name}")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


class TestWithAKey:
    @pytest.fixture
    def settings(self, settings):
        return settings.model_copy(update={"api_key": SecretStr(KEY)})

    async def test_the_api_key_of_the_server_is_checked(self, api):
        base = f"{api.client.base_url}/v1".replace("//v1", "/v1")
        for key, right in ((KEY, True), ("another-key-of-sixteen", False)):
            async with openai.AsyncOpenAI(base_url=base, api_key=key, max_retries=0) as client:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    if right:
                        assert (await client.videos.list()).data == []
                    else:
                        with pytest.raises(openai.AuthenticationError) as rejected:
                            await client.videos.list()
                        assert rejected.value.type == "authentication_error"


def api_id(video):
    return api_id_of(video.id)


def api_id_of(name):
    return UUID(hex=name.removeprefix("video_"))
