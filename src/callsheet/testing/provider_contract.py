"""What every provider must do, tried against its stand-in.

    class TestReplicate(ProviderContract):
        stand_in = FakeReplicate

It needs pytest and pytest-asyncio. The provider is opened through its entry point.
"""

import base64
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import httpx2
import orjson
import pytest
import pytest_asyncio

from callsheet.domain.errors import (
    BadWebhook,
    CallsheetError,
    OutputExpired,
    ProviderFailed,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.fakes.providers.fake_server import FakeServer
from callsheet.fakes.providers.faults import (
    CutConnection,
    Fail,
    Fault,
    Flood,
    Garble,
    RateLimited,
    Redirect,
    Reject,
    Slow,
    TruncateBody,
)
from callsheet.fakes.providers.task_script import (
    Cancelled,
    Expired,
    Failed,
    Lost,
    Queued,
    Running,
    Stage,
    Succeeded,
    UnknownStatus,
    sample_video,
)
from callsheet.fakes.providers.webhook_receiver import ReceivedWebhook, WebhookReceiver, open_webhook_receiver
from callsheet.fakes.providers.webhook_script import WebhookScript
from callsheet.providers.catalog import discover_providers
from callsheet.providers.contract import InputFile, Output, Provider, Task, TaskStatus, WebhookEvent

_LONG_AGO = timedelta(hours=1)
_IMPATIENT = httpx2.Timeout(20, read=0.3)

_UNKNOWN: dict[str, Fault] = {
    "a 500": Fail(500),
    "a 502 by what stands before it": Fail(502),
    "a 503 after the order was taken": Fail(503, accepted=True),
    "a time-out of its own": Fail(408),
    "a cut": CutConnection(),
    "a cut after the order was taken": CutConnection(accepted=True),
    "half an answer": TruncateBody(),
    "an answer that is no JSON": Garble(),
    "an answer without the task's name": Garble(b"{}"),
    "an answer with a name that cannot be kept": Garble(
        b'{"id": "a\\u0000b", "name": "a\\u0000b", "request_id": "a\\u0000b", "data": {"task_id": "a\\u0000b"},'
        b' "code": 0, "status_url": "s", "response_url": "r", "cancel_url": "c"}'
    ),
    "an answer of another shape": Garble(b'["what", 1, null]'),
    "a redirect to the answer": Redirect("/elsewhere", 303),
    "a redirect to what may be the answer": Redirect("/elsewhere"),
}
_NO_LOOK: dict[str, Fault] = {
    "a 503": Fail(503),
    "a cut": CutConnection(),
    "half an answer": TruncateBody(),
    "no JSON": Garble(),
    "another shape": Garble(b"[1]"),
    "a wrong key": Reject(401, "Unauthenticated."),
    "a redirect": Redirect("/elsewhere"),
}


@pytest.mark.asyncio
class ProviderContract:
    """The suite. A subclass names the stand-in."""

    fake: ClassVar[type[FakeServer]]

    @pytest_asyncio.fixture
    async def server(self) -> AsyncIterator[FakeServer]:
        """The stand-in, open."""
        async with self.fake() as stand_in:
            yield stand_in

    @pytest_asyncio.fixture
    async def provider(self, server: FakeServer, tmp_path: Path) -> AsyncIterator[Provider]:
        """The provider, led to the stand-in."""
        async with discover_providers(server.opened_settings(data_dir=tmp_path)) as providers:
            yield providers[server.name]

    @pytest_asyncio.fixture
    async def stranger(self) -> AsyncIterator[WebhookReceiver]:
        """A server that is not the provider's."""
        async with open_webhook_receiver() as box:
            yield box

    # Orders

    async def test_an_order_is_taken_once_and_named(self, server: FakeServer, provider: Provider) -> None:
        """The task holds what leads back to it, as JSON, without secrets."""
        task = await provider.submit(server.example_request())

        assert (task.provider, task.id) == (server.name, *server.tasks)
        stored = orjson.dumps(asdict(task))
        assert server.key.encode() not in stored
        assert server.paid == len(server.requests_of("submit")) == 1

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
    async def test_a_refused_order_costs_nothing(self, server: FakeServer, provider: Provider, status: int) -> None:
        """The reason is told, in the provider's words."""
        server.inject_faults(submit=[Reject(status, "This is not to our taste.")])

        with pytest.raises(SubmissionRejected, match="This is not to our taste") as refused:
            await provider.submit(server.example_request())

        assert server.key not in _everything(refused.value)
        assert server.paid == 0

    @pytest.mark.parametrize("told", ["seconds", "date", "ms"])
    async def test_a_busy_provider_is_left_alone_for_as_long_as_it_asks(
        self, server: FakeServer, provider: Provider, told: str
    ) -> None:
        """However it tells the time."""
        server.inject_faults(submit=[RateLimited(20, told)])

        with pytest.raises(ProviderRateLimited) as busy:
            await provider.submit(server.example_request())

        assert busy.value.retry_after is not None and 17 <= busy.value.retry_after <= 20
        assert server.paid == 0

    async def test_a_busy_provider_that_names_no_time_leaves_it_to_us(
        self, server: FakeServer, provider: Provider
    ) -> None:
        """A 429 alone."""
        server.inject_faults(submit=[RateLimited()])

        with pytest.raises(ProviderRateLimited) as busy:
            await provider.submit(server.example_request())

        assert busy.value.retry_after is None
        assert (server.paid, len(server.requests_of("submit"))) == (0, 1)

    async def test_a_provider_that_nobody_reaches_has_taken_nothing(self, tmp_path: Path) -> None:
        """The connection is refused."""
        async with self.fake() as gone:
            settings, order = gone.opened_settings(data_dir=tmp_path), gone.example_request()

        async with discover_providers(settings) as providers:
            with pytest.raises(ProviderUnreachable):
                await providers[gone.name].submit(order)

    @pytest.mark.parametrize("weather", _UNKNOWN.values(), ids=_UNKNOWN)
    async def test_an_order_without_an_answer_is_unknown_and_sent_once(
        self, server: FakeServer, provider: Provider, weather: Fault
    ) -> None:
        """Whatever became of it."""
        server.inject_faults(submit=[weather])

        with pytest.raises(SubmissionUnknown) as unknown:
            await provider.submit(server.example_request())

        assert server.key not in _everything(unknown.value)
        assert len(server.requests_of("submit")) == 1

    async def test_an_order_whose_answer_is_late_is_unknown_and_sent_once(
        self, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may come to be taken."""
        monkeypatch.setattr("callsheet.providers.http.client._TIMEOUT", _IMPATIENT)
        server.inject_faults(submit=[Slow(60)])

        async with discover_providers(server.opened_settings(data_dir=tmp_path)) as providers:
            with pytest.raises(SubmissionUnknown):
                await providers[server.name].submit(server.example_request())

        assert len(server.requests_of("submit")) == 1

    async def test_a_redirected_order_is_not_taken_elsewhere(
        self, server: FakeServer, provider: Provider, stranger: WebhookReceiver
    ) -> None:
        """Neither the order nor the key."""
        server.inject_faults(submit=[Redirect(stranger.url, 307)])

        with pytest.raises(SubmissionRejected):
            await provider.submit(server.example_request())

        assert stranger.webhooks == []

    async def test_a_file_with_an_address_is_sent_as_its_address(
        self, server: FakeServer, provider: Provider, tmp_path: Path
    ) -> None:
        """Where the provider takes addresses at all."""
        path = _file(tmp_path, b"picture" * 100)
        order = server.request_with_file(InputFile(path, "image/png", url="https://media.example.org/a.png?sig=1"))
        if order is None:
            pytest.skip("takes no files")

        await provider.submit(order)

        [came] = server.requests_of("submit")
        sent_inside = _is_inside(path.read_bytes(), came.body)
        assert sent_inside or b"https://media.example.org/a.png?sig=1" in came.body

    async def test_a_small_file_without_an_address_is_sent_inside_the_order(
        self, server: FakeServer, provider: Provider, tmp_path: Path
    ) -> None:
        """Where the provider takes files inside of orders."""
        path = _file(tmp_path, b"picture" * 100)
        order = server.request_with_file(InputFile(path, "image/png"))
        if order is None or not provider.capabilities.inline_limit:
            pytest.skip("takes no files inside of orders")

        await provider.submit(order)

        [came] = server.requests_of("submit")
        assert _is_inside(path.read_bytes(), came.body)

    async def test_files_of_a_list_are_sent_as_one_alone_is(
        self, server: FakeServer, provider: Provider, tmp_path: Path
    ) -> None:
        """Each of them, and none by what our own code calls it."""
        first, second = tmp_path / "first.png", tmp_path / "second.png"
        first.write_bytes(b"first" * 100)
        second.write_bytes(b"second" * 100)
        order = server.request_with_file(InputFile(first, "image/png"))
        if order is None or not provider.capabilities.inline_limit:
            pytest.skip("takes no files inside of orders")

        more = [InputFile(first, "image/png"), InputFile(second, "image/png")]
        await provider.submit(replace(order, input={**order.input, "more": more}))

        [came] = server.requests_of("submit")
        assert _is_inside(second.read_bytes(), came.body)
        assert b"InputFile" not in came.body

    async def test_a_large_file_without_an_address_is_refused_before_anything_is_sent(
        self, server: FakeServer, provider: Provider, tmp_path: Path
    ) -> None:
        """The message says how large it may be, and what helps."""
        limit = provider.capabilities.inline_limit
        path = tmp_path / "large.png"
        with path.open("wb") as file:
            file.truncate(limit + 1)
        order = server.request_with_file(InputFile(path, "image/png"))
        if order is None:
            pytest.skip("takes no files")

        with pytest.raises(SubmissionRejected) as refused:
            await provider.submit(order)

        assert f"{limit:,}" in refused.value.message or not limit
        assert "CALLSHEET_PUBLIC_URL" in refused.value.message
        assert server.requests == []

    # Looks

    async def test_a_task_is_followed_to_its_files(
        self, server: FakeServer, provider: Provider, tmp_path: Path
    ) -> None:
        """Queued, running, succeeded, fetched."""
        server.script(Queued(), Running(0.5), Succeeded((sample_video(),)))

        looks = await _looks(provider, await provider.submit(server.example_request()), 3)

        assert [look.state for look in looks[1:]] == ["running", "succeeded"]
        assert looks[0].state in ("queued", "running")
        assert not provider.capabilities.progress or looks[1].progress == pytest.approx(0.5, abs=0.02)
        [output] = looks[2].outputs
        path = await provider.fetch(output, tmp_path / "fetched.mp4")
        assert path.read_bytes() == sample_video().data

    async def test_a_state_that_nobody_has_heard_of_is_no_end(self, server: FakeServer, provider: Provider) -> None:
        """The task goes on."""
        server.script(UnknownStatus("hibernating"), Succeeded())

        looks = await _looks(provider, await provider.submit(server.example_request()), 2)

        assert [look.state for look in looks] == ["running", "succeeded"]

    async def test_a_failed_task_tells_why(self, server: FakeServer, provider: Provider) -> None:
        """In the provider's words."""
        look = await _end(server, provider, Failed("CUDA out of memory"))

        assert look.state == "failed"
        assert look.code not in (None, "content_refused")
        assert look.message is not None and "CUDA out of memory" in look.message

    async def test_what_the_censor_refused_has_a_name_of_its_own(self, server: FakeServer, provider: Provider) -> None:
        """It is no use to try it again."""
        if not server.moderates:
            pytest.skip("tells no such refusals")

        look = await _end(server, provider, Failed(why="content"))

        assert (look.state, look.code) == ("failed", "content_refused")
        assert look.message

    async def test_a_cancelled_task_is_told_as_such(self, server: FakeServer, provider: Provider) -> None:
        """Where the provider has a word for it."""
        look = await _end(server, provider, Cancelled())

        assert look.state == "cancelled" or not provider.capabilities.cancel

    async def test_a_task_that_the_provider_forgot_is_lost(self, server: FakeServer, provider: Provider) -> None:
        """It is not taken for one that failed, or still runs."""
        look = await _end(server, provider, Lost())

        assert look.state == "lost"

    @pytest.mark.parametrize("weather", _NO_LOOK.values(), ids=_NO_LOOK)
    async def test_a_look_that_shows_nothing_is_no_end(
        self, server: FakeServer, provider: Provider, weather: Fault
    ) -> None:
        """The next one shows it."""
        server.script(Running())
        task = await provider.submit(server.example_request())
        server.inject_faults(status=[weather])

        with pytest.raises(ProviderUnreachable) as failed:
            await provider.get_status(task)

        assert server.key not in _everything(failed.value)
        assert (await provider.get_status(task)).state == "running"

    async def test_a_provider_that_is_asked_too_often_says_so(self, server: FakeServer, provider: Provider) -> None:
        """With the pause that it wants."""
        server.script(Running())
        task = await provider.submit(server.example_request())
        server.inject_faults(status=[RateLimited(7)])

        with pytest.raises(ProviderRateLimited) as busy:
            await provider.get_status(task)

        assert busy.value.retry_after == 7

    async def test_a_task_that_was_stored_is_found_again(self, server: FakeServer, provider: Provider) -> None:
        """Another process has nothing but its JSON."""
        server.script(Running())
        stored = orjson.loads(orjson.dumps(asdict(await provider.submit(server.example_request()))))

        assert (await provider.get_status(Task(**stored))).state == "running"

    async def test_a_task_that_only_its_webhook_told_of_is_followed(
        self, server: FakeServer, provider: Provider, tmp_path: Path
    ) -> None:
        """The answer to the order was lost, and what else it would have told."""
        if not provider.capabilities.webhook:
            pytest.skip("calls nobody")
        server.script(Running(), Succeeded((sample_video(),)))
        order = server.example_request()
        task = Task(server.name, (await provider.submit(order)).id, {"model": order.model})

        looks = await _looks(provider, task, 2)

        assert [look.state for look in looks] == ["running", "succeeded"]
        await provider.fetch(looks[1].outputs[0], tmp_path / "fetched.mp4")
        await provider.cancel(task)

    # Files

    async def test_results_that_are_not_kept_any_more_are_gone(
        self, server: FakeServer, provider: Provider, tmp_path: Path
    ) -> None:
        """They are told as gone with the look, or when they are fetched."""
        look = await _end(server, provider, Expired())

        if look.state == "succeeded":
            with pytest.raises(OutputExpired):
                await provider.fetch(look.outputs[0], tmp_path / "gone")
        else:
            assert look.state == "lost" or look.code == "output_expired"

    async def test_a_file_on_a_foreign_host_is_not_fetched(
        self, server: FakeServer, provider: Provider, stranger: WebhookReceiver, tmp_path: Path
    ) -> None:
        """Whatever the answer says."""
        look = await _end(server, provider, Succeeded((sample_video(url=f"{stranger.url}film.mp4"),)))
        if not look.outputs or look.outputs[0].url is None:
            pytest.skip("gives no addresses")

        with pytest.raises((ProviderFailed, OutputExpired)):
            await provider.fetch(look.outputs[0], tmp_path / "foreign")

        assert stranger.webhooks == []

    async def test_a_file_that_leads_to_a_private_address_is_not_fetched(
        self, server: FakeServer, provider: Provider, stranger: WebhookReceiver, tmp_path: Path
    ) -> None:
        """By a redirect."""
        output = await _downloaded(server, provider)
        server.inject_faults(download=[Redirect(f"{stranger.url}film.mp4")])

        with pytest.raises(OutputExpired):
            await provider.fetch(output, tmp_path / "private")

        assert stranger.webhooks == []

    async def test_the_key_goes_to_nobody_else(
        self, server: FakeServer, stranger: WebhookReceiver, tmp_path: Path
    ) -> None:
        """Where a download leads to another server, it is asked without the key."""
        settings = server.opened_settings(data_dir=tmp_path, allow_http=True, allow_private_addresses=True)
        async with discover_providers(settings) as providers:
            output = await _downloaded(server, providers[server.name])
            server.inject_faults(download=[Redirect(f"{stranger.url}film.mp4")])

            await providers[server.name].fetch(output, tmp_path / "elsewhere")

        [letter] = stranger.webhooks
        assert server.key not in str(letter)
        assert not {"authorization", "x-goog-api-key"} & set(letter.headers)

    @pytest.mark.parametrize(
        "weather", [TruncateBody(), TruncateBody(declared_length=10**9), Fail(502), CutConnection()], ids=repr
    )
    async def test_a_file_that_does_not_come_whole_leaves_nothing(
        self, server: FakeServer, provider: Provider, tmp_path: Path, weather: Fault
    ) -> None:
        """It is fetched again later."""
        output = await _downloaded(server, provider)
        server.inject_faults(download=[weather])
        target = tmp_path / "folder" / "film.mp4"
        target.parent.mkdir()

        with pytest.raises(ProviderUnreachable):
            await provider.fetch(output, target)

        assert list(target.parent.iterdir()) == []
        assert (await provider.fetch(output, target)).read_bytes() == sample_video().data

    async def test_a_file_that_was_deleted_is_gone(
        self, server: FakeServer, provider: Provider, tmp_path: Path
    ) -> None:
        """404"""
        output = await _downloaded(server, provider)
        server.inject_faults(download=[Reject(404, "Not found.")])

        with pytest.raises(OutputExpired):
            await provider.fetch(output, tmp_path / "gone")

    async def test_a_file_that_is_too_large_is_not_fetched(self, server: FakeServer, tmp_path: Path) -> None:
        """By the cap of the settings."""
        settings = server.opened_settings(data_dir=tmp_path / "data", source_max_bytes=100_000)
        async with discover_providers(settings) as providers:
            output = await _downloaded(server, providers[server.name])
            server.inject_faults(download=[Flood(100_001)])

            with pytest.raises(OutputExpired, match="100,000"):
                await providers[server.name].fetch(output, tmp_path / "large")

        assert not (tmp_path / "large").exists()

    # Cancelling

    async def test_a_task_is_cancelled_at_the_provider(self, server: FakeServer, provider: Provider) -> None:
        """Where it can be."""
        server.script(Running())
        task = await provider.submit(server.example_request())

        await provider.cancel(task)

        assert len(server.requests_of("cancel")) == (1 if provider.capabilities.cancel else 0)
        if provider.capabilities.cancel:
            assert (await provider.get_status(task)).state in ("cancelled", "lost")

    async def test_cancelling_what_has_ended_or_is_unknown_is_fine(
        self, server: FakeServer, provider: Provider
    ) -> None:
        """Both come to the same."""
        server.script(Succeeded())
        task = await provider.submit(server.example_request())
        await server.finish(task.id)
        await provider.cancel(task)

        server.tasks.clear()
        await provider.cancel(task)

    async def test_a_cancel_that_did_not_arrive_is_told(self, server: FakeServer, provider: Provider) -> None:
        """It is asked for again."""
        if not provider.capabilities.cancel:
            pytest.skip("cannot cancel")
        server.script(Running())
        task = await provider.submit(server.example_request())
        server.inject_faults(cancel=[Fail(503)])

        with pytest.raises(ProviderUnreachable):
            await provider.cancel(task)

    # Lost orders

    async def test_a_taken_order_whose_answer_was_lost_is_found(self, server: FakeServer, provider: Provider) -> None:
        """Among others, where the provider can list them."""
        await provider.submit(server.example_request(input={**server.example_request().input, "prompt": "Another one"}))
        order, since = server.example_request(), datetime.now(UTC) - _LONG_AGO
        server.inject_faults(submit=[CutConnection(accepted=True)])
        with pytest.raises(SubmissionUnknown):
            await provider.submit(order)

        if provider.capabilities.find_submission:
            task = await provider.find_submission(order, since)
            assert task is not None and task.id == list(server.tasks)[-1]
            assert not (await provider.get_status(task)).ended
        else:
            with pytest.raises(SubmissionUnknown):
                await provider.find_submission(order, since)

    async def test_an_order_that_never_arrived_is_not_found(self, server: FakeServer, provider: Provider) -> None:
        """However alike others look."""
        if not provider.capabilities.find_submission:
            pytest.skip("cannot list")
        await provider.submit(server.example_request(input={**server.example_request().input, "prompt": "Another one"}))

        assert await provider.find_submission(server.example_request(), datetime.now(UTC) - _LONG_AGO) is None

    # Webhooks

    async def test_the_address_to_call_goes_with_the_order(
        self, server: FakeServer, provider: Provider, stranger: WebhookReceiver
    ) -> None:
        """It holds a token."""
        if not provider.capabilities.webhook:
            pytest.skip("calls nobody")
        address = f"{stranger.url}api/webhooks/job/1?token=a-b_c&x=%2F"

        await provider.submit(server.example_request(webhook=address))

        [taken] = server.tasks.values()
        assert taken.webhook == address

    async def test_a_true_webhook_names_its_task(
        self, server: FakeServer, provider: Provider, stranger: WebhookReceiver
    ) -> None:
        """Every delivery of it has the same message id."""
        if not provider.capabilities.webhook:
            pytest.skip("calls nobody")
        server.script(Succeeded())
        server.inject_faults(webhook=[WebhookScript(times=2)])

        task = await _told(server, provider, stranger)

        first, second = [await _read(provider, letter) for letter in stranger.webhooks]
        assert isinstance(first, WebhookEvent)
        assert first.task_id == task.id
        assert first.message_id == second.message_id != ""

    @pytest.mark.parametrize(
        "calls",
        [WebhookScript(forged=True), WebhookScript(age=600), WebhookScript(age=-600)],
        ids=["forged", "too old", "from the future"],
    )
    async def test_a_webhook_that_is_not_what_it_says_is_refused(
        self, server: FakeServer, provider: Provider, stranger: WebhookReceiver, calls: WebhookScript
    ) -> None:
        """Where the provider signs."""
        if not provider.capabilities.signed:
            pytest.skip("signs nothing")
        server.script(Succeeded())
        server.inject_faults(webhook=[calls])

        await _told(server, provider, stranger)

        with pytest.raises(BadWebhook):
            await _read(provider, stranger.webhooks[0])

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000, b"{}" + b" " * 3_000_000 + b"}"],
        ids=["empty", "half", "null", "a list", "a text", "no UTF-8", "deep", "huge"],
    )
    async def test_a_webhook_that_makes_no_sense_is_refused(
        self, server: FakeServer, provider: Provider, stranger: WebhookReceiver, body: bytes
    ) -> None:
        """However well it is signed."""
        if not provider.capabilities.webhook:
            pytest.skip("calls nobody")
        server.script(Succeeded())
        server.inject_faults(webhook=[WebhookScript(body=body)])

        await _told(server, provider, stranger)

        with pytest.raises(BadWebhook):
            await _read(provider, stranger.webhooks[0])

    @pytest.mark.parametrize("value", ["", "garbage", "v1,", "v1,é", "v1,!!", "1" * 400, "0x10", "-1", "9" * 30])
    async def test_headers_that_make_no_sense_are_refused(
        self, server: FakeServer, provider: Provider, stranger: WebhookReceiver, value: str
    ) -> None:
        """One at a time."""
        if not provider.capabilities.signed:
            pytest.skip("signs nothing")
        server.script(Succeeded())
        await _told(server, provider, stranger)
        [letter] = stranger.webhooks

        for name in (name for name in letter.headers if "webhook" in name):
            with pytest.raises(BadWebhook):
                await provider.read_webhook({**letter.headers, name: value}, letter.body, datetime.now(UTC))

    async def test_a_call_without_any_proof_is_refused(self, provider: Provider) -> None:
        """Also by those who call nobody."""
        if provider.capabilities.webhook and not provider.capabilities.signed:
            pytest.skip("signs nothing")

        with pytest.raises(BadWebhook):
            await provider.read_webhook({}, b'{"id": "x", "status": "succeeded"}', datetime.now(UTC))

    async def test_a_provider_is_closed_twice_without_harm(self, provider: Provider) -> None:
        """The catalog may come after the test."""
        await provider.close()
        await provider.close()


async def _looks(provider: Provider, task: Task, count: int) -> list[TaskStatus]:
    return [await provider.get_status(task) for _ in range(count)]


async def _end(server: FakeServer, provider: Provider, stage: Stage) -> TaskStatus:
    server.script(stage)
    return await provider.get_status(await provider.submit(server.example_request()))


async def _downloaded(server: FakeServer, provider: Provider) -> Output:
    """Return an output that is fetched from the stand-in; skips the test where server is none."""
    look = await _end(server, provider, Succeeded((sample_video(),)))
    if look.outputs[0].url is None:
        pytest.skip("gives files inside of its answers")
    return look.outputs[0]


async def _told(server: FakeServer, provider: Provider, box: WebhookReceiver) -> Task:
    """Order with a webhook, end the task, and wait until it was told."""
    task = await provider.submit(server.example_request(webhook=box.url))
    await server.finish(task.id)
    await box.received(1)
    return task


async def _read(provider: Provider, letter: ReceivedWebhook) -> WebhookEvent:
    return await provider.read_webhook(letter.headers, letter.body, datetime.now(UTC))


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "picture.png"
    path.write_bytes(data)
    return path


def _is_inside(data: bytes, body: bytes) -> bool:
    return data in body or base64.b64encode(data) in body


def _everything(error: CallsheetError) -> str:
    return f"{error!r} {error.message} {error.facts} {error.__cause__!r}"
