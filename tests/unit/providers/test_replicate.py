from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from callsheet.domain.errors import (
    BadWebhook,
    ConfigurationError,
    OutputExpired,
    ProviderFailed,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.fakes.providers.faults import CutConnection, ReplaceFields
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import (
    Cancelled,
    Expired,
    Failed,
    Running,
    Succeeded,
    sample_image,
    sample_video,
)
from callsheet.fakes.providers.webhook_receiver import open_webhook_receiver
from callsheet.fakes.providers.webhook_script import WebhookScript
from callsheet.providers.catalog import discover_providers
from callsheet.providers.contract import InputFile, Output
from callsheet.providers.replicate import Replicate
from callsheet.settings import Settings
from callsheet.testing.provider_contract import ProviderContract

VERSION = "a" * 64
LONG_AGO = timedelta(hours=1)


class TestReplicate(ProviderContract):
    fake = FakeReplicate


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as fake:
        yield fake


@pytest.fixture
async def replicate(fake: FakeReplicate) -> AsyncIterator[Replicate]:
    provider = open_replicate(fake)
    yield provider
    await provider.close()


def open_replicate(fake: FakeReplicate, *, settings: Settings | None = None, **provider_settings: Any) -> Replicate:
    return Replicate(settings or Settings(_env_file=None), fake.provider_settings(**provider_settings))


def test_a_missing_token_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="needs CALLSHEET_REPLICATE_API_TOKEN or REPLICATE_API_TOKEN"):
        discover_providers(Settings(_env_file=None))["replicate"]


@pytest.mark.parametrize(
    ("model", "version", "path", "named"),
    [
        ("owner/some-model", None, "/v1/models/owner/some-model/predictions", None),
        ("owner/some-model", VERSION, "/v1/predictions", VERSION),
        (f"owner/some-model:{VERSION}", None, "/v1/predictions", VERSION),
        ("deployments/owner/my.one", None, "/v1/deployments/owner/my.one/predictions", None),
    ],
)
async def test_models_versions_and_deployments_have_their_own_paths(
    fake: FakeReplicate, replicate: Replicate, model: str, version: str | None, path: str, named: str | None
) -> None:
    await replicate.submit(fake.example_request(model=model, version=version))

    [sent] = fake.requests_of("submit")
    assert sent.url == fake.base_url + path
    assert sent.json() == {"input": {"prompt": "A red fox in the snow"}, **({"version": named} if named else {})}


@pytest.mark.parametrize("model", ["", "model", "a/b/c", "../v1/account", "a/b?x=1", "a/..", "a/b#c", "a b/c", "/a/b"])
async def test_an_invalid_model_name_is_not_sent(fake: FakeReplicate, replicate: Replicate, model: str) -> None:
    with pytest.raises(SubmissionRejected, match="owner/name"):
        await replicate.submit(fake.example_request(model=model))

    assert fake.requests == []


async def test_a_submission_is_asynchronous_and_has_a_deadline(fake: FakeReplicate) -> None:
    replicate = open_replicate(fake, settings=Settings(_env_file=None, provider_deadline=timedelta(minutes=90)))

    await replicate.submit(fake.example_request(webhook="https://media.example.org/hook?token=x"))

    [sent] = fake.requests_of("submit")
    assert "prefer" not in sent.headers
    assert sent.headers["cancel-after"] == "90m0s"
    assert sent.json()["webhook_events_filter"] == ["completed"]
    await replicate.close()


def shaped(output: Any) -> ReplaceFields:
    return ReplaceFields({"status": "succeeded", "output": output})


@pytest.mark.parametrize(
    ("output", "urls"),
    [
        ("https://a.example/x.mp4", ["https://a.example/x.mp4"]),
        (
            ["https://a.example/1.png", "https://a.example/2.png"],
            ["https://a.example/1.png", "https://a.example/2.png"],
        ),
        ({"video": "https://a.example/v.mp4", "meta": {"seed": 7}}, ["https://a.example/v.mp4"]),
        ({"a": [{"b": {"c": "https://a.example/deep.mp4"}}], "n": None}, ["https://a.example/deep.mp4"]),
        (["https://a.example/x.mp4", "https://a.example/x.mp4"], ["https://a.example/x.mp4"]),
        (["A ", "red ", "fox, see https://a.example/"], []),
        (42, []),
        (True, []),
    ],
)
async def test_files_are_found_in_an_output_of_any_shape(
    fake: FakeReplicate, replicate: Replicate, output: Any, urls: list[str]
) -> None:
    task = await replicate.submit(fake.example_request())
    fake.inject_faults(status=[shaped(output)])

    status = await replicate.get_status(task)

    assert status.state == "succeeded"
    assert [found.url for found in status.outputs] == urls


async def test_an_inline_file_is_decoded(fake: FakeReplicate, replicate: Replicate, tmp_path: Path) -> None:
    task = await replicate.submit(fake.example_request())
    fake.inject_faults(status=[shaped("data:image/png;base64,aGVsbG8=")])

    [output] = (await replicate.get_status(task)).outputs

    assert (output.inline, output.media_type, output.url) == (b"hello", "image/png", None)
    assert (await replicate.fetch(output, tmp_path / "x.png")).read_bytes() == b"hello"


async def test_several_files_are_fetched(fake: FakeReplicate, replicate: Replicate, tmp_path: Path) -> None:
    fake.script(Succeeded((sample_video(), sample_image())))

    status = await replicate.get_status(await replicate.submit(fake.example_request()))

    paths = [await replicate.fetch(output, tmp_path / str(output.name)) for output in status.outputs]
    assert [path.read_bytes() for path in paths] == [sample_video().data, sample_image().data]
    assert status.seconds == 4.25


async def test_a_deadline_before_the_start_is_a_failure(fake: FakeReplicate, replicate: Replicate) -> None:
    fake.script(Failed(why="deadline"))

    status = await replicate.get_status(await replicate.submit(fake.example_request()))

    assert (status.state, status.status, status.code) == ("failed", "aborted", "deadline")


async def test_a_deadline_while_running_is_not_a_cancellation(fake: FakeReplicate, replicate: Replicate) -> None:
    fake.script(Cancelled())
    task = await replicate.submit(fake.example_request())
    times = {"deadline": "2026-11-25T12:00:00Z", "completed_at": "2026-11-25T12:00:00.5Z"}
    fake.inject_faults(
        status=[
            ReplaceFields(times),
            ReplaceFields({**times, "completed_at": "2026-11-25T11:00:00Z"}),
            ReplaceFields({"deadline": "?"}),
            ReplaceFields({**times, "completed_at": "2026-11-25T12:00:00"}),
        ]
    )

    statuses = [await replicate.get_status(task) for _ in range(4)]

    assert [(status.state, status.code) for status in statuses] == [
        ("failed", "deadline"),
        ("cancelled", None),
        ("cancelled", None),
        ("failed", "deadline"),
    ]


async def test_deleted_files_are_expired(fake: FakeReplicate, replicate: Replicate) -> None:
    fake.script(Expired())

    status = await replicate.get_status(await replicate.submit(fake.example_request()))

    assert (status.state, status.status, status.code) == ("failed", "succeeded", "output_expired")


@pytest.mark.parametrize(
    ("logs", "progress"),
    [
        ("  0%|  | 0/50\n 20%|## | 10/50\n", 0.2),
        ("100%|####| 50/50 [00:02<00:00]", 1.0),
        ("999%|", 1.0),
        ("70% done", None),
        ("", None),
        (None, None),
        (["20%|"], None),
    ],
)
async def test_progress_is_the_last_bar_of_the_log(
    fake: FakeReplicate, replicate: Replicate, logs: Any, progress: float | None
) -> None:
    fake.script(Running())
    task = await replicate.submit(fake.example_request())
    fake.inject_faults(status=[ReplaceFields({"logs": logs})])

    assert (await replicate.get_status(task)).progress == progress


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("NSFW content detected. Try running it again, or try a different prompt.", "content_refused"),
        (
            "The input or output was flagged as sensitive. Please try again with different inputs. (E005)",
            "content_refused",
        ),
        ("CUDA out of memory", "provider_failed"),
        (None, "provider_failed"),
        ({"odd": 1}, "provider_failed"),
    ],
)
async def test_failure_reasons_have_codes(fake: FakeReplicate, replicate: Replicate, reason: Any, code: str) -> None:
    task = await replicate.submit(fake.example_request())
    fake.inject_faults(status=[ReplaceFields({"status": "failed", "error": reason})])

    status = await replicate.get_status(task)

    assert (status.state, status.code) == ("failed", code)
    assert status.message


async def test_a_lost_submission_is_found_on_a_later_page(fake: FakeReplicate, replicate: Replicate) -> None:
    lost = fake.example_request(input={"prompt": "The lost one"})
    fake.inject_faults(submit=[CutConnection(accepted=True)])
    with pytest.raises(SubmissionUnknown):
        await replicate.submit(lost)
    for _ in range(120):
        await fake.accept(fake.model, {"prompt": "Another one"}, version=None)

    task = await replicate.find_submission(lost, datetime.now(UTC) - LONG_AGO)

    assert task is not None and task.id == next(iter(fake.tasks))
    assert len(fake.requests_of("list")) == 2


async def test_a_lost_submission_is_matched_by_model_version_and_input(
    fake: FakeReplicate, replicate: Replicate, tmp_path: Path
) -> None:
    file = InputFile(tmp_path / "a.png", "image/png", url="https://media.example.org/a.png?sig=2")
    wanted = {"prompt": "fox", "image": file, "list": [1, {"a": file}], "n": 1}
    taken = {
        "prompt": "fox",
        "image": "https://…/a.png?sig=1",
        "list": [1, {"a": "https://…/?sig=1"}],
        "n": 1,
        "more": 5,
    }
    await fake.accept("other/model", taken, version=None)
    await fake.accept(fake.model, {**taken, "n": 2}, version=None)
    await fake.accept(fake.model, {**taken, "list": [1]}, version=None)
    await fake.accept(fake.model, {**taken, "image": None}, version=None)
    since = datetime.now(UTC) - LONG_AGO
    assert await replicate.find_submission(fake.example_request(input=wanted), since) is None

    right = await fake.accept(fake.model, taken, version=None)
    found = await replicate.find_submission(fake.example_request(input=wanted), since)
    assert found is not None and found.id == right.id

    versioned = await fake.accept(VERSION, taken, version=VERSION)
    found = await replicate.find_submission(fake.example_request(input=wanted, version=VERSION, model="x/y"), since)
    assert found is not None and found.id == versioned.id


async def test_another_version_does_not_match(fake: FakeReplicate, replicate: Replicate) -> None:
    ours, theirs = "a" * 64, "b" * 64
    order, since = fake.example_request(model=f"some/model:{ours}"), datetime.now(UTC) - LONG_AGO
    await fake.accept(f"some/model:{theirs}", order.input, version=theirs)
    assert await replicate.find_submission(order, since) is None

    await fake.accept(f"some/model:{ours}", order.input, version="hidden")
    with pytest.raises(SubmissionUnknown, match="distinguish its predictions"):
        await replicate.find_submission(order, since)


async def test_a_submission_to_a_deployment_is_matched_by_deployment(fake: FakeReplicate, replicate: Replicate) -> None:
    order, since = fake.example_request(model="deployments/me/mine"), datetime.now(UTC) - LONG_AGO
    task = await replicate.submit(order)
    assert await replicate.find_submission(replace(order, model="deployments/me/other"), since) is None
    found = await replicate.find_submission(order, since)
    assert found is not None and found.id == task.id

    await fake.accept("some/model", order.input, version=None)
    with pytest.raises(SubmissionUnknown, match="distinguish its predictions"):
        await replicate.find_submission(order, since, {task.id})


async def test_two_matching_predictions_are_ambiguous(fake: FakeReplicate, replicate: Replicate) -> None:
    for _ in range(2):
        await replicate.submit(fake.example_request())

    with pytest.raises(SubmissionUnknown, match="2 predictions"):
        await replicate.find_submission(fake.example_request(), datetime.now(UTC) - LONG_AGO)


async def test_predictions_of_other_submissions_are_skipped(fake: FakeReplicate, replicate: Replicate) -> None:
    ours, lost = [(await replicate.submit(fake.example_request())).id for _ in range(2)]
    since = datetime.now(UTC) - LONG_AGO

    found = await replicate.find_submission(fake.example_request(), since, {ours})
    assert found is not None and found.id == lost
    assert await replicate.find_submission(fake.example_request(), since, {ours, lost}) is None


async def test_an_earlier_prediction_does_not_match(fake: FakeReplicate, replicate: Replicate) -> None:
    (await fake.accept(fake.model, fake.example_request().input, version=None)).created_at -= timedelta(hours=3)

    assert await replicate.find_submission(fake.example_request(), datetime.now(UTC) - LONG_AGO) is None


async def test_removed_inputs_are_inconclusive(fake: FakeReplicate, replicate: Replicate) -> None:
    fake.script(Expired())
    await replicate.submit(fake.example_request())

    with pytest.raises(SubmissionUnknown, match="removed"):
        await replicate.find_submission(fake.example_request(), datetime.now(UTC) - LONG_AGO)


async def test_the_webhook_secret_is_fetched_once(fake: FakeReplicate, replicate: Replicate) -> None:
    fake.script(Succeeded())
    fake.inject_faults(webhook=[WebhookScript(times=3)])
    async with open_webhook_receiver() as receiver:
        await fake.finish((await replicate.submit(fake.example_request(webhook=receiver.url))).id)
        for webhook in await receiver.received(3):
            await replicate.read_webhook(webhook.headers, webhook.body, datetime.now(UTC))

    assert len(fake.requests_of("secret")) == 1


async def test_configured_secrets_replace_the_fetched_one(fake: FakeReplicate) -> None:
    other = "whsec_" + "QUJD" * 8
    for secret, right in ((f"{other} {fake.secret}", True), (other, False)):
        replicate = open_replicate(fake, webhook_secret=SecretStr(secret))
        async with open_webhook_receiver() as receiver:
            await fake.finish((await replicate.submit(fake.example_request(webhook=receiver.url))).id)
            [webhook] = await receiver.received()
            if right:
                assert (
                    await replicate.read_webhook(webhook.headers, webhook.body, datetime.now(UTC))
                ).status == "succeeded"
            else:
                with pytest.raises(BadWebhook):
                    await replicate.read_webhook(webhook.headers, webhook.body, datetime.now(UTC))
        await replicate.close()

    assert fake.requests_of("secret") == []


async def test_files_are_fetched_from_the_file_host_of_replicate_only(replicate: Replicate, tmp_path: Path) -> None:
    with pytest.raises(OutputExpired, match="is not https"):
        await replicate.fetch(Output(url="http://pbxt.replicate.delivery/x.mp4"), tmp_path / "x")
    with pytest.raises(ProviderFailed):
        await replicate.fetch(Output(url="https://replicate.delivery.example.org/x.mp4"), tmp_path / "x")
