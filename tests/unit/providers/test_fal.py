from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from callsheet.domain.errors import (
    BadWebhook,
    ConfigurationError,
    OutputExpired,
    ProviderFailed,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.fakes.providers.fal import FakeFal
from callsheet.fakes.providers.faults import Fail, Garble, Reject, ReplaceFields
from callsheet.fakes.providers.task_script import (
    Cancelled,
    Failed,
    Queued,
    Running,
    Succeeded,
    sample_image,
    sample_video,
)
from callsheet.fakes.providers.webhook_receiver import ReceivedWebhook, open_webhook_receiver
from callsheet.providers.contract import Output, Task
from callsheet.providers.fal import Fal, open_fal
from callsheet.settings import Settings
from callsheet.testing.provider_contract import ProviderContract


class TestFal(ProviderContract):
    fake = FakeFal


@pytest.fixture
async def there() -> AsyncIterator[FakeFal]:
    async with FakeFal() as stand_in:
        yield stand_in


@pytest.fixture
async def fal(there: FakeFal) -> AsyncIterator[Fal]:
    provider = open_fal(there.opened_settings())
    yield provider
    await provider.close()


def test_without_a_key_it_is_not_set_up() -> None:
    with pytest.raises(ConfigurationError, match="FAL_KEY"):
        open_fal(Settings(_env_file=None))


@pytest.mark.parametrize("model", ["fal-ai/veo3", "fal-ai/kling-video/v2.5/pro/text-to-video", "workflows/me/my-flow"])
async def test_an_order_is_the_bare_input_at_the_address_of_its_model(there: FakeFal, fal: Fal, model: str) -> None:
    await fal.submit(there.example_request(model=model, webhook="https://media.example.org/hook?token=a+b&c=ü"))

    [came] = there.requests_of("submit")
    assert came.url.split("?")[0] == f"{there.base_url}/{model}"
    assert came.json() == {"prompt": "A red fox in the snow"}
    assert came.headers["authorization"] == f"Key {there.key}"
    assert came.headers["x-app-fal-disable-fallback"] == "true"
    assert came.headers["x-fal-request-timeout"] == "86400"
    [taken] = there.tasks.values()
    assert taken.webhook == "https://media.example.org/hook?token=a+b&c=ü"


@pytest.mark.parametrize("model", ["", "model", "a/../b", "a/b?fal_webhook=x", "a//b", "/a/b", "a/b/", "a/b#c"])
async def test_a_name_that_is_no_model_goes_nowhere(there: FakeFal, fal: Fal, model: str) -> None:
    with pytest.raises(SubmissionRejected, match="owner/app"):
        await fal.submit(there.example_request(model=model))

    assert there.requests == []


async def test_the_told_addresses_are_used(there: FakeFal, fal: Fal) -> None:
    there.script(Queued())
    task = await fal.submit(there.example_request(model="fal-ai/some-model/fast/text-to-video"))

    look = await fal.get_status(task)
    await fal.cancel(task)

    assert (look.state, look.status) == ("queued", "IN_QUEUE")
    place = f"{there.base_url}/fal-ai/some-model/requests/{task.id}"
    assert [came.url for came in there.requests[1:]] == [f"{place}/status?logs=1", f"{place}/cancel"]


@pytest.mark.parametrize(
    ("model", "app"),
    [("a/b", "a/b"), ("a/b/c/d", "a/b"), ("workflows/me/mine", "workflows/me/mine"), ("comfy/me/it/x", "comfy/me/it")],
)
async def test_the_addresses_of_a_task_that_its_webhook_told_of_are_made(
    there: FakeFal, fal: Fal, model: str, app: str
) -> None:
    await fal.get_status(Task("fal", "id-1", {"model": model}))

    [came] = there.requests
    assert came.url == f"{there.base_url}/{app}/requests/id-1/status?logs=1"


@pytest.mark.parametrize("name", ["status_url", "response_url", "cancel_url"])
@pytest.mark.parametrize("told", ["foreign", "http://queue.fal.run/x", "https://fal.run.example.org/x", "file:///x"])
async def test_the_key_does_not_go_to_a_told_address_that_is_foreign(
    there: FakeFal, fal: Fal, name: str, told: str
) -> None:
    async with open_webhook_receiver() as stranger:
        there.inject_faults(submit=[ReplaceFields({name: stranger.url if told == "foreign" else told})])
        task = await fal.submit(there.example_request())

        look = await fal.get_status(task)
        if name == "cancel_url":
            with pytest.raises(ProviderFailed):
                await fal.cancel(task)

    assert (look.state, look.code) == ("failed", "foreign_host")
    assert stranger.webhooks == []


@pytest.mark.parametrize("name", ["request_id", "status_url", "response_url", "cancel_url"])
async def test_an_answer_without_an_address_is_unknown(there: FakeFal, fal: Fal, name: str) -> None:
    there.inject_faults(submit=[ReplaceFields({name: None})])

    with pytest.raises(SubmissionUnknown):
        await fal.submit(there.example_request())


async def test_files_keep_their_names_and_kinds(there: FakeFal, fal: Fal, tmp_path: Path) -> None:
    there.script(Succeeded((sample_image("one.png"), sample_image("two.png"))))

    look = await fal.get_status(await fal.submit(there.example_request()))

    assert [(output.name, output.media_type) for output in look.outputs] == [
        ("one.png", "image/png"),
        ("two.png", "image/png"),
    ]
    assert look.seconds == 4.25
    assert (await fal.fetch(look.outputs[1], tmp_path / "two.png")).read_bytes() == sample_image().data


async def test_a_bad_input_shows_with_the_result_only(there: FakeFal, fal: Fal) -> None:
    there.script(Succeeded())
    task = await fal.submit(there.example_request())
    there.inject_faults(result=[Reject(422, "duration must be 5 or 10")])

    look = await fal.get_status(task)

    assert (look.state, look.code) == ("failed", "provider_failed")
    assert look.message == "422 duration must be 5 or 10"


async def test_a_failure_that_the_status_tells_needs_no_result(there: FakeFal, fal: Fal) -> None:
    there.script(Failed("runner died"))

    look = await fal.get_status(await fal.submit(there.example_request()))

    assert (look.state, look.status, look.code) == ("failed", "runner_server_error", "provider_failed")
    assert there.requests_of("result") == []


@pytest.mark.parametrize(
    ("error_type", "state", "code"),
    [
        ("request_timeout", "failed", "deadline"),
        ("startup_timeout", "failed", "deadline"),
        ("generation_timeout", "failed", "deadline"),
        ("runner_scheduling_failure", "failed", "provider_failed"),
        ("downstream_service_error", "failed", "provider_failed"),
        ("content_policy_violation", "failed", "content_refused"),
        ("client_cancelled", "cancelled", None),
        ("something_new", "failed", "provider_failed"),
    ],
)
@pytest.mark.parametrize("told", ["status", "result", "detail", "header"])
async def test_kinds_of_failures_are_told_apart_wherever_they_stand(
    there: FakeFal, fal: Fal, error_type: str, state: str, code: str | None, told: str
) -> None:
    there.script(Succeeded())
    task = await fal.submit(there.example_request())
    detail = {"loc": ["body"], "msg": "no", "type": error_type}
    there.inject_faults(
        **{
            "status": {"status": [ReplaceFields({"error": "no", "error_type": error_type})]},
            "result": {"result": [stored(504, {"detail": "no", "error_type": error_type})]},
            "detail": {"result": [stored(500, {"detail": [detail]})]},
            "header": {"result": [stored(503, {"detail": "no"}, {"X-Fal-Error-Type": error_type})]},
        }[told]
    )

    look = await fal.get_status(task)

    assert (look.state, look.code) == (state, code)
    assert look.message is not None and "no" in look.message


def stored(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """A weather: the model's own answer."""

    async def answer(*_: object) -> JSONResponse:
        return JSONResponse(body, status, headers)

    return answer


async def test_an_error_in_the_status_counts_though_there_is_a_result(there: FakeFal, fal: Fal) -> None:
    there.script(Succeeded())
    task = await fal.submit(there.example_request())
    there.inject_faults(status=[ReplaceFields({"error": "half of it is missing"})])

    look = await fal.get_status(task)

    assert (look.state, look.message) == ("failed", "half of it is missing")


@pytest.mark.parametrize("weather", [Fail(502), Fail(503), Garble(), Reject(401, "No."), Reject(403, "No.")], ids=repr)
async def test_a_result_that_does_not_come_is_asked_for_again(there: FakeFal, fal: Fal, weather: Any) -> None:
    there.script(Succeeded())
    task = await fal.submit(there.example_request())
    there.inject_faults(result=[weather])

    with pytest.raises(ProviderUnreachable):
        await fal.get_status(task)

    assert (await fal.get_status(task)).state == "succeeded"


async def test_a_result_that_is_not_there_yet_is_waited_for(there: FakeFal, fal: Fal) -> None:
    there.script(Succeeded())
    task = await fal.submit(there.example_request())
    there.inject_faults(result=[stored(400, {"detail": "Request is still in progress"})])

    assert (await fal.get_status(task)).state == "running"
    assert (await fal.get_status(task)).state == "succeeded"


async def test_progress_is_read_from_the_log(there: FakeFal, fal: Fal) -> None:
    there.script(Running(0.25), Running())
    task = await fal.submit(there.example_request())
    there.inject_faults(
        status=[
            ReplaceFields({}),
            ReplaceFields({"logs": ["odd", {"message": 5}, None]}),
            ReplaceFields({"logs": "odd"}),
        ]
    )

    assert [(await fal.get_status(task)).progress for _ in range(3)] == [0.25, None, None]


async def test_a_cancellation_that_came_too_late_is_fine(there: FakeFal, fal: Fal) -> None:
    there.script(Running(), Cancelled())
    task = await fal.submit(there.example_request())
    for weather in (stored(200, {}), stored(202, {}), stored(400, {"status": "ALREADY_COMPLETED"})):
        there.inject_faults(cancel=[weather])
        await fal.cancel(task)
    there.inject_faults(cancel=[stored(403, {"detail": "not yours"})])

    with pytest.raises(ProviderUnreachable, match="not yours"):
        await fal.cancel(task)


async def a_call(there: FakeFal, fal: Fal) -> ReceivedWebhook:
    there.script(Succeeded((sample_video(),)))
    async with open_webhook_receiver() as box:
        await there.finish((await fal.submit(there.example_request(webhook=box.url))).id)
        return (await box.received())[0]


async def test_a_call_for_another_account_is_refused(there: FakeFal, fal: Fal) -> None:
    letter = await a_call(there, fal)
    other = open_fal(there.opened_settings(fal_user_id="somebody-else"))
    anyone = open_fal(there.opened_settings(fal_user_id=None))

    assert (await anyone.read_webhook(letter.headers, letter.body, datetime.now(UTC))).status == "OK"
    with pytest.raises(BadWebhook, match="another account"):
        await other.read_webhook(letter.headers, letter.body, datetime.now(UTC))

    await other.close()
    await anyone.close()


async def test_a_call_that_tells_of_another_task_is_refused(there: FakeFal, fal: Fal) -> None:
    await a_call(there, fal)
    [taken] = there.tasks.values()
    body = b'{"request_id": "another", "status": "OK"}'
    headers = there.webhook_headers(taken, body, datetime.now(UTC))

    with pytest.raises(BadWebhook, match="another task"):
        await fal.read_webhook(headers, body, datetime.now(UTC))


async def test_the_keys_are_asked_for_once(there: FakeFal, fal: Fal) -> None:
    letter = await a_call(there, fal)
    for late in (0, 1, 400):
        moment = datetime.now(UTC) + timedelta(seconds=late)
        if late < 300:
            await fal.read_webhook(letter.headers, letter.body, moment)
        else:
            with pytest.raises(BadWebhook):
                await fal.read_webhook(letter.headers, letter.body, moment)

    assert len(there.requests_of("keys")) == 1
    assert "authorization" not in there.requests_of("keys")[0].headers


async def test_files_of_fal_lie_on_its_own_host_of_files(fal: Fal, tmp_path: Path) -> None:
    with pytest.raises(OutputExpired, match="is not https"):
        await fal.fetch(Output(url="http://v3.fal.media/x.mp4"), tmp_path / "x")
    with pytest.raises(ProviderFailed):
        await fal.fetch(Output(url="https://fal.media.example.org/x.mp4"), tmp_path / "x")
