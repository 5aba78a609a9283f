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
from callsheet.providers.catalog import discover_providers
from callsheet.providers.contract import Output, Task
from callsheet.providers.fal import Fal
from callsheet.settings import Settings
from callsheet.testing.provider_contract import ProviderContract


class TestFal(ProviderContract):
    fake = FakeFal


@pytest.fixture
async def fake() -> AsyncIterator[FakeFal]:
    async with FakeFal() as fake:
        yield fake


@pytest.fixture
async def fal(fake: FakeFal) -> AsyncIterator[Fal]:
    provider = open_fal(fake)
    yield provider
    await provider.close()


def open_fal(fake: FakeFal, **provider_settings: Any) -> Fal:
    return Fal(Settings(_env_file=None), fake.provider_settings(**provider_settings))


def test_a_missing_key_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="provider 'fal' needs CALLSHEET_FAL_KEY or FAL_KEY"):
        discover_providers(Settings(_env_file=None))["fal"]


@pytest.mark.parametrize("model", ["fal-ai/veo3", "fal-ai/kling-video/v2.5/pro/text-to-video", "workflows/me/my-flow"])
async def test_a_submission_is_the_input_posted_to_the_path_of_the_model(fake: FakeFal, fal: Fal, model: str) -> None:
    await fal.submit(fake.example_request(model=model, webhook="https://media.example.org/hook?token=a+b&c=ü"))

    [sent] = fake.requests_of("submit")
    assert sent.url.split("?")[0] == f"{fake.base_url}/{model}"
    assert sent.json() == {"prompt": "A red fox in the snow"}
    assert sent.headers["authorization"] == f"Key {fake.key}"
    assert sent.headers["x-app-fal-disable-fallback"] == "true"
    assert sent.headers["x-fal-request-timeout"] == "86400"
    [task] = fake.tasks.values()
    assert task.webhook == "https://media.example.org/hook?token=a+b&c=ü"


@pytest.mark.parametrize("model", ["", "model", "a/../b", "a/b?fal_webhook=x", "a//b", "/a/b", "a/b/", "a/b#c"])
async def test_an_invalid_model_name_is_not_sent(fake: FakeFal, fal: Fal, model: str) -> None:
    with pytest.raises(SubmissionRejected, match="owner/app"):
        await fal.submit(fake.example_request(model=model))

    assert fake.requests == []


async def test_the_returned_task_urls_are_used(fake: FakeFal, fal: Fal) -> None:
    fake.script(Queued())
    task = await fal.submit(fake.example_request(model="fal-ai/some-model/fast/text-to-video"))

    status = await fal.get_status(task)
    await fal.cancel(task)

    assert (status.state, status.status) == ("queued", "IN_QUEUE")
    place = f"{fake.base_url}/fal-ai/some-model/requests/{task.id}"
    assert [sent.url for sent in fake.requests[1:]] == [f"{place}/status?logs=1", f"{place}/cancel"]


@pytest.mark.parametrize(
    ("model", "app"),
    [("a/b", "a/b"), ("a/b/c/d", "a/b"), ("workflows/me/mine", "workflows/me/mine"), ("comfy/me/it/x", "comfy/me/it")],
)
async def test_task_urls_are_derived_for_a_task_known_from_its_webhook(
    fake: FakeFal, fal: Fal, model: str, app: str
) -> None:
    await fal.get_status(Task("fal", "id-1", {"model": model}))

    [sent] = fake.requests
    assert sent.url == f"{fake.base_url}/{app}/requests/id-1/status?logs=1"


@pytest.mark.parametrize("name", ["status_url", "response_url", "cancel_url"])
@pytest.mark.parametrize(
    "reported", ["foreign", "http://queue.fal.run/x", "https://fal.run.example.org/x", "file:///x"]
)
async def test_the_key_is_not_sent_to_a_foreign_task_url(fake: FakeFal, fal: Fal, name: str, reported: str) -> None:
    async with open_webhook_receiver() as stranger:
        fake.inject_faults(submit=[ReplaceFields({name: stranger.url if reported == "foreign" else reported})])
        task = await fal.submit(fake.example_request())

        status = await fal.get_status(task)
        if name == "cancel_url":
            with pytest.raises(ProviderFailed):
                await fal.cancel(task)

    assert (status.state, status.code) == ("failed", "foreign_host")
    assert stranger.webhooks == []


@pytest.mark.parametrize("name", ["request_id", "status_url", "response_url", "cancel_url"])
async def test_a_response_without_a_task_url_is_unknown(fake: FakeFal, fal: Fal, name: str) -> None:
    fake.inject_faults(submit=[ReplaceFields({name: None})])

    with pytest.raises(SubmissionUnknown):
        await fal.submit(fake.example_request())


async def test_files_keep_their_names_and_media_types(fake: FakeFal, fal: Fal, tmp_path: Path) -> None:
    fake.script(Succeeded((sample_image("one.png"), sample_image("two.png"))))

    status = await fal.get_status(await fal.submit(fake.example_request()))

    assert [(output.name, output.media_type) for output in status.outputs] == [
        ("one.png", "image/png"),
        ("two.png", "image/png"),
    ]
    assert status.seconds == 4.25
    assert (await fal.fetch(status.outputs[1], tmp_path / "two.png")).read_bytes() == sample_image().data


async def test_an_invalid_input_is_reported_by_the_result(fake: FakeFal, fal: Fal) -> None:
    fake.script(Succeeded())
    task = await fal.submit(fake.example_request())
    fake.inject_faults(result=[Reject(422, "duration must be 5 or 10")])

    status = await fal.get_status(task)

    assert (status.state, status.code) == ("failed", "provider_failed")
    assert status.message == "422 duration must be 5 or 10"


async def test_a_failure_in_the_status_needs_no_result(fake: FakeFal, fal: Fal) -> None:
    fake.script(Failed("runner died"))

    status = await fal.get_status(await fal.submit(fake.example_request()))

    assert (status.state, status.status, status.code) == ("failed", "runner_server_error", "provider_failed")
    assert fake.requests_of("result") == []


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
@pytest.mark.parametrize("reported", ["status", "result", "detail", "header"])
async def test_error_types_are_read_from_every_place(
    fake: FakeFal, fal: Fal, error_type: str, state: str, code: str | None, reported: str
) -> None:
    fake.script(Succeeded())
    task = await fal.submit(fake.example_request())
    detail = {"loc": ["body"], "msg": "no", "type": error_type}
    fake.inject_faults(
        **{
            "status": {"status": [ReplaceFields({"error": "no", "error_type": error_type})]},
            "result": {"result": [stored(504, {"detail": "no", "error_type": error_type})]},
            "detail": {"result": [stored(500, {"detail": [detail]})]},
            "header": {"result": [stored(503, {"detail": "no"}, {"X-Fal-Error-Type": error_type})]},
        }[reported]
    )

    status = await fal.get_status(task)

    assert (status.state, status.code) == (state, code)
    assert status.message is not None and "no" in status.message


def stored(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """A fault that returns a response of the model."""

    async def answer(*_: object) -> JSONResponse:
        return JSONResponse(body, status, headers)

    return answer


async def test_an_error_in_the_status_takes_precedence_over_a_result(fake: FakeFal, fal: Fal) -> None:
    fake.script(Succeeded())
    task = await fal.submit(fake.example_request())
    fake.inject_faults(status=[ReplaceFields({"error": "half of it is missing"})])

    status = await fal.get_status(task)

    assert (status.state, status.message) == ("failed", "half of it is missing")


@pytest.mark.parametrize("fault", [Fail(502), Fail(503), Garble(), Reject(401, "No."), Reject(403, "No.")], ids=repr)
async def test_an_unavailable_result_is_requested_again(fake: FakeFal, fal: Fal, fault: Any) -> None:
    fake.script(Succeeded())
    task = await fal.submit(fake.example_request())
    fake.inject_faults(result=[fault])

    with pytest.raises(ProviderUnreachable):
        await fal.get_status(task)

    assert (await fal.get_status(task)).state == "succeeded"


async def test_a_result_in_progress_is_running(fake: FakeFal, fal: Fal) -> None:
    fake.script(Succeeded())
    task = await fal.submit(fake.example_request())
    fake.inject_faults(result=[stored(400, {"detail": "Request is still in progress"})])

    assert (await fal.get_status(task)).state == "running"
    assert (await fal.get_status(task)).state == "succeeded"


async def test_progress_is_read_from_the_log(fake: FakeFal, fal: Fal) -> None:
    fake.script(Running(0.25), Running())
    task = await fal.submit(fake.example_request())
    fake.inject_faults(
        status=[
            ReplaceFields({}),
            ReplaceFields({"logs": ["odd", {"message": 5}, None]}),
            ReplaceFields({"logs": "odd"}),
        ]
    )

    assert [(await fal.get_status(task)).progress for _ in range(3)] == [0.25, None, None]


async def test_a_too_late_cancellation_is_no_error(fake: FakeFal, fal: Fal) -> None:
    fake.script(Running(), Cancelled())
    task = await fal.submit(fake.example_request())
    for fault in (stored(200, {}), stored(202, {}), stored(400, {"status": "ALREADY_COMPLETED"})):
        fake.inject_faults(cancel=[fault])
        await fal.cancel(task)
    fake.inject_faults(cancel=[stored(403, {"detail": "not yours"})])

    with pytest.raises(ProviderUnreachable, match="not yours"):
        await fal.cancel(task)


async def a_call(fake: FakeFal, fal: Fal) -> ReceivedWebhook:
    fake.script(Succeeded((sample_video(),)))
    async with open_webhook_receiver() as receiver:
        await fake.finish((await fal.submit(fake.example_request(webhook=receiver.url))).id)
        return (await receiver.received())[0]


async def test_a_webhook_for_another_account_is_rejected(fake: FakeFal, fal: Fal) -> None:
    webhook = await a_call(fake, fal)
    other = open_fal(fake, user_id="another-user")
    anyone = open_fal(fake, user_id=None)

    assert (await anyone.read_webhook(webhook.headers, webhook.body, datetime.now(UTC))).status == "OK"
    with pytest.raises(BadWebhook, match="another account"):
        await other.read_webhook(webhook.headers, webhook.body, datetime.now(UTC))

    await other.close()
    await anyone.close()


async def test_a_webhook_with_another_task_is_rejected(fake: FakeFal, fal: Fal) -> None:
    await a_call(fake, fal)
    [task] = fake.tasks.values()
    body = b'{"request_id": "another", "status": "OK"}'
    headers = fake.webhook_headers(task, body, datetime.now(UTC))

    with pytest.raises(BadWebhook, match="another task"):
        await fal.read_webhook(headers, body, datetime.now(UTC))


async def test_the_keys_are_fetched_once(fake: FakeFal, fal: Fal) -> None:
    webhook = await a_call(fake, fal)
    for late in (0, 1, 400):
        moment = datetime.now(UTC) + timedelta(seconds=late)
        if late < 300:
            await fal.read_webhook(webhook.headers, webhook.body, moment)
        else:
            with pytest.raises(BadWebhook):
                await fal.read_webhook(webhook.headers, webhook.body, moment)

    assert len(fake.requests_of("keys")) == 1
    assert "authorization" not in fake.requests_of("keys")[0].headers


async def test_files_are_fetched_from_the_file_host_of_fal_only(fal: Fal, tmp_path: Path) -> None:
    with pytest.raises(OutputExpired, match="is not https"):
        await fal.fetch(Output(url="http://v3.fal.media/x.mp4"), tmp_path / "x")
    with pytest.raises(ProviderFailed):
        await fal.fetch(Output(url="https://fal.media.example.org/x.mp4"), tmp_path / "x")
