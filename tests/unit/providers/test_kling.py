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


async def test_each_request_brings_a_token_of_its_own_moment(tmp_path):
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


async def test_an_order_is_marked_and_a_picture_makes_it_another_kind(tmp_path):
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


async def test_too_many_tasks_at_a_time_are_a_reason_to_wait(tmp_path):
    async with opened(FakeKling, tmp_path) as (fake, provider):
        fake.inject_faults(submit=[code(1303, "parallel task over resource pack limit")])

        with pytest.raises(ProviderRateLimited, match="over resource pack limit") as busy:
            await provider.submit(fake.example_request())

    assert busy.value.retry_after >= 1


@pytest.mark.parametrize("number", [1301, 1303])
async def test_a_refusal_that_names_a_task_is_none(tmp_path, number):
    async with opened(FakeKling, tmp_path) as (fake, provider):
        odd = f'{{"code": {number}, "message": "later", "data": {{"task_id": "t1"}}}}'
        fake.inject_faults(submit=[Garble(odd.encode(), accepted=False)])

        with pytest.raises(SubmissionUnknown, match="contains a task id: t1"):
            await provider.submit(fake.example_request())


async def test_a_code_tells_a_refusal_whatever_the_status_says(tmp_path):
    async with opened(FakeKling, tmp_path) as (fake, provider):
        fake.inject_faults(submit=[code(1301, "Content security"), code(1201, "Bad ratio")])

        with pytest.raises(SubmissionRejected, match="Content security") as censored:
            await provider.submit(fake.example_request())
        with pytest.raises(SubmissionRejected, match="Bad ratio") as refused:
            await provider.submit(fake.example_request())

    assert censored.value.facts["reason"] == "content_refused"
    assert "reason" not in refused.value.facts


async def test_a_signed_address_stays_whole_however_long_it_is(tmp_path):
    url = f"https://media.example.org/video.mp4?sig={'x' * 3000}"
    async with opened(FakeKling, tmp_path) as (fake, provider):
        status = await status_after(fake, provider, Succeeded(files=[sample_video(url=url)]))

    assert [output.url for output in status.outputs] == [url]


async def test_a_token_that_a_refusal_repeats_stands_in_no_message(tmp_path):
    seen = []

    async def repeat(visit, _):
        seen.append(visit.request.headers["authorization"].removeprefix("Bearer "))
        return JSONResponse({"code": 1002, "message": f"Token {seen[0]} is not valid"})

    async with opened(FakeKling, tmp_path) as (fake, provider):
        fake.inject_faults(submit=[repeat])
        with pytest.raises(SubmissionRejected, match=r"Token \.\.\. is not valid") as refused:
            await provider.submit(fake.example_request())

    assert seen and seen[0] not in repr(refused.value.facts)


async def test_a_code_of_their_machines_tells_nothing(tmp_path):
    async with opened(FakeKling, tmp_path) as (fake, provider):
        fake.inject_faults(submit=[code(5001, "Temporarily unavailable")], status=[code(5002, "Timed out")])

        with pytest.raises(SubmissionUnknown):
            await provider.submit(fake.example_request())
        with pytest.raises(ProviderUnreachable):
            await provider.get_status(await provider.submit(fake.example_request()))


async def test_a_callback_tells_its_task_once_for_each_state(tmp_path):
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
