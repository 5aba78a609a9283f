"""Contract of `get_status`: states, failures and errors of a poll."""

from dataclasses import asdict

import orjson

from callsheet.domain.errors import ProviderRateLimited, ProviderUnreachable
from callsheet.fakes.providers.faults import (
    CutConnection,
    Fail,
    Fault,
    Garble,
    RateLimited,
    Redirect,
    Reject,
    TruncateBody,
)
from callsheet.fakes.providers.task_script import (
    Cancelled,
    Failed,
    Lost,
    Queued,
    Running,
    Succeeded,
    UnknownStatus,
    sample_video,
)
from callsheet.providers.contract import Provider, Task, TaskStatus
from callsheet.testing.provider_contract.harness import Case, ContractTests, all_text, expect_error, for_each, require

_FAILED_POLLS: dict[str, Fault] = {
    "503": Fail(503),
    "cut connection": CutConnection(),
    "truncated body": TruncateBody(),
    "body is not JSON": Garble(),
    "body is not an object": Garble(b"[1]"),
    "wrong API key": Reject(401, "Unauthenticated."),
    "redirect": Redirect("/elsewhere"),
}


class StatusContract(ContractTests):
    """Tests of `get_status`."""

    async def test_a_task_is_polled_until_its_files_can_be_fetched(self, case: Case) -> None:
        """Queued, running, succeeded."""
        case.server.script(Queued(), Running(0.5), Succeeded((sample_video(),)))

        statuses = await _poll(case.provider, await case.provider.submit(case.server.example_request()), 3)

        assert [status.state for status in statuses[1:]] == ["running", "succeeded"]
        assert statuses[0].state in ("queued", "running")
        progress = statuses[1].progress
        assert not case.provider.capabilities.progress or (progress is not None and abs(progress - 0.5) <= 0.02)
        [output] = statuses[2].outputs
        path = await case.provider.fetch(output, case.folder / "fetched.mp4")
        assert path.read_bytes() == sample_video().data

    async def test_an_unknown_status_is_running(self, case: Case) -> None:
        """The task is polled again."""
        case.server.script(UnknownStatus("hibernating"), Succeeded())

        statuses = await _poll(case.provider, await case.provider.submit(case.server.example_request()), 2)

        assert [status.state for status in statuses] == ["running", "succeeded"]

    async def test_a_failed_task_has_the_message_of_the_provider(self, case: Case) -> None:
        """It also has an error code."""
        status = await case.status_at(Failed("CUDA out of memory"))

        assert status.state == "failed"
        assert status.code not in (None, "content_refused")
        assert status.message is not None and "CUDA out of memory" in status.message

    async def test_refused_content_has_the_code_content_refused(self, case: Case) -> None:
        """A retry would be refused as well."""
        require(case.server.moderates, "does not report refused content")

        status = await case.status_at(Failed(why="content"))

        assert (status.state, status.code) == ("failed", "content_refused")
        assert status.message

    async def test_a_cancelled_task_is_cancelled(self, case: Case) -> None:
        """If the provider has such a state."""
        status = await case.status_at(Cancelled())

        assert status.state == "cancelled" or not case.provider.capabilities.cancel

    async def test_a_task_that_the_provider_does_not_know_is_lost(self, case: Case) -> None:
        """It is neither failed nor running."""
        assert (await case.status_at(Lost())).state == "lost"

    @for_each(fault=_FAILED_POLLS)
    async def test_a_failed_poll_does_not_end_the_task(self, case: Case, fault: Fault) -> None:
        """The next poll returns the status."""
        case.server.script(Running())
        task = await case.provider.submit(case.server.example_request())
        case.server.inject_faults(status=[fault])

        with expect_error(ProviderUnreachable) as failed:
            await case.provider.get_status(task)

        assert case.server.key not in all_text(failed.error)
        assert (await case.provider.get_status(task)).state == "running"

    async def test_the_rate_limit_of_a_poll_is_reported_with_the_requested_delay(self, case: Case) -> None:
        """The response is 429."""
        case.server.script(Running())
        task = await case.provider.submit(case.server.example_request())
        case.server.inject_faults(status=[RateLimited(7)])

        with expect_error(ProviderRateLimited) as limited:
            await case.provider.get_status(task)

        assert limited.error.retry_after == 7

    async def test_a_stored_task_can_be_polled(self, case: Case) -> None:
        """Another process knows only its JSON."""
        case.server.script(Running())
        task = await case.provider.submit(case.server.example_request())
        stored = orjson.loads(orjson.dumps(asdict(task)))

        assert (await case.provider.get_status(Task(**stored))).state == "running"

    async def test_a_task_that_is_known_from_its_webhook_only_can_be_polled(self, case: Case) -> None:
        """The response to the submission was lost, with all data except the task id."""
        require(case.provider.capabilities.webhook, "sends no webhooks")
        case.server.script(Running(), Succeeded((sample_video(),)))
        request = case.server.example_request()
        task_id = (await case.provider.submit(request)).id
        task = Task(case.server.name, task_id, {"model": request.model})

        statuses = await _poll(case.provider, task, 2)

        assert [status.state for status in statuses] == ["running", "succeeded"]
        await case.provider.fetch(statuses[1].outputs[0], case.folder / "fetched.mp4")
        await case.provider.cancel(task)


async def _poll(provider: Provider, task: Task, count: int) -> list[TaskStatus]:
    return [await provider.get_status(task) for _ in range(count)]
