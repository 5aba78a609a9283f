import base64
import time
from datetime import UTC, datetime

import jwt
import pytest
from starlette.responses import JSONResponse

from callsheet.domain.errors import (
    BadWebhook,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.fakes.providers.faults import Garble
from callsheet.fakes.providers.kling import FakeKling
from callsheet.fakes.providers.task_script import Succeeded, sample_video
from callsheet.testing.provider_contract import ProviderContract

from .opened import image_in, opened, status_after


class TestKling(ProviderContract):
    fake = FakeKling


SECRET = "fake-secret-key-of-kling-0123456789"


def code(number, message="No."):
    return Garble(f'{{"code": {number}, "message": "{message}", "request_id": "r"}}'.encode(), accepted=False)


async def test_every_request_has_a_new_token(tmp_path):
    async with opened(FakeKling, tmp_path) as (fake, provider):
        task = await provider.submit(fake.example_request())
        await provider.get_status(task)

    for sent in fake.requests:
        token = sent.headers["authorization"].removeprefix("Bearer ")
        assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
        claims = jwt.decode(token, SECRET, algorithms=["HS256"])
        assert claims["iss"] == "fake-access-key-of-kling"
        assert claims["exp"] - claims["nbf"] == 1805
        assert abs(claims["nbf"] + 5 - time.time()) < 5


async def test_a_submission_has_a_reference_and_an_image_changes_its_kind(tmp_path):
    async with opened(FakeKling, tmp_path) as (fake, provider):
        plain = await provider.submit(
            fake.example_request(client_reference="mark-1", input={"prompt": "A fox", "duration": "5"})
        )
        pictured = await provider.submit(fake.example_request(input={"prompt": "A fox", "image": image_in(tmp_path)}))
        assert (await provider.get_status(pictured)).state == "queued"

    first, second = fake.requests_of("submit")
    assert first.json() == {
        "model_name": "kling-v2-1",
        "prompt": "A fox",
        "duration": "5",
        "external_task_id": "mark-1",
    }
    assert second.json()["image"] == base64.b64encode(b"an image").decode()
    assert (first.url.rsplit("/", 1)[1], second.url.rsplit("/", 1)[1]) == ("text2video", "image2video")
    assert (plain.handle, pictured.handle) == ({"kind": "text2video"}, {"kind": "image2video"})


async def test_too_many_parallel_tasks_are_a_rate_limit(tmp_path):
    async with opened(FakeKling, tmp_path) as (fake, provider):
        fake.inject_faults(submit=[code(1303, "parallel task over resource pack limit")])

        with pytest.raises(ProviderRateLimited, match="over resource pack limit") as busy:
            await provider.submit(fake.example_request())

    assert busy.value.retry_after >= 1


@pytest.mark.parametrize("number", [1301, 1303])
async def test_a_rejection_with_a_task_id_is_unknown(tmp_path, number):
    async with opened(FakeKling, tmp_path) as (fake, provider):
        odd = f'{{"code": {number}, "message": "later", "data": {{"task_id": "t1"}}}}'
        fake.inject_faults(submit=[Garble(odd.encode(), accepted=False)])

        with pytest.raises(SubmissionUnknown, match="contains a task id: t1"):
            await provider.submit(fake.example_request())


async def test_a_code_is_a_rejection_whatever_the_status(tmp_path):
    async with opened(FakeKling, tmp_path) as (fake, provider):
        fake.inject_faults(submit=[code(1301, "Content security"), code(1201, "Bad ratio")])

        with pytest.raises(SubmissionRejected, match="Content security") as censored:
            await provider.submit(fake.example_request())
        with pytest.raises(SubmissionRejected, match="Bad ratio") as refused:
            await provider.submit(fake.example_request())

    assert censored.value.facts["reason"] == "content_refused"
    assert "reason" not in refused.value.facts


async def test_a_long_signed_url_is_not_truncated(tmp_path):
    url = f"https://media.example.org/video.mp4?sig={'x' * 3000}"
    async with opened(FakeKling, tmp_path) as (fake, provider):
        status = await status_after(fake, provider, Succeeded(files=[sample_video(url=url)]))

    assert [output.url for output in status.outputs] == [url]


async def test_a_repeated_token_is_removed_from_the_message(tmp_path):
    seen = []

    async def repeat(visit, _):
        seen.append(visit.request.headers["authorization"].removeprefix("Bearer "))
        return JSONResponse({"code": 1002, "message": f"Token {seen[0]} is not valid"})

    async with opened(FakeKling, tmp_path) as (fake, provider):
        fake.inject_faults(submit=[repeat])
        with pytest.raises(SubmissionRejected, match=r"Token \.\.\. is not valid") as refused:
            await provider.submit(fake.example_request())

    assert seen and seen[0] not in repr(refused.value.facts)


async def test_a_server_error_code_is_unknown(tmp_path):
    async with opened(FakeKling, tmp_path) as (fake, provider):
        fake.inject_faults(submit=[code(5001, "Temporarily unavailable")], status=[code(5002, "Timed out")])

        with pytest.raises(SubmissionUnknown):
            await provider.submit(fake.example_request())
        with pytest.raises(ProviderUnreachable):
            await provider.get_status(await provider.submit(fake.example_request()))


async def test_callbacks_of_the_same_state_have_the_same_message_id(tmp_path):
    async with opened(FakeKling, tmp_path) as (_, provider):
        first, again, other = [
            await provider.read_webhook({}, body, datetime.now(UTC))
            for body in (
                b'{"task_id": "1", "task_status": "processing"}',
                b'{"task_id": "1", "task_status": "processing", "updated_at": 5}',
                b'{"task_id": "1", "task_status": "succeed"}',
            )
        ]
        with pytest.raises(BadWebhook):
            await provider.read_webhook({}, b'{"task_status": "succeed"}', datetime.now(UTC))

    assert first.message_id == again.message_id != other.message_id
    assert other.task_id == "1"
