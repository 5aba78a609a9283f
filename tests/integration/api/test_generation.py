"""From a plan to a film: the API, a worker, and stand-ins of providers, with real sockets in between."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from callsheet.fakes.providers.fake_server import FakeServer
from callsheet.fakes.providers.fal import FakeFal
from callsheet.fakes.providers.faults import CutConnection, Fail, RateLimited, Reject, TruncateBody
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import Expired, Failed, Queued, Running, Succeeded, sample_video
from callsheet.fakes.providers.webhook_script import WebhookScript
from callsheet.operation.catalog import Catalog
from callsheet.operations.generate import generate
from callsheet.testing.waiters import until

from .conftest import Api, served

NEVER = timedelta(hours=1)
SOON = timedelta(seconds=0.02)
BOTH = pytest.mark.parametrize("kind", [FakeReplicate, FakeFal])


@pytest.fixture
def catalog():
    return Catalog([generate])


@dataclass
class Studio:
    """A server with a worker, led to one provider."""

    api: Api
    provider: FakeServer

    async def ordered(self):
        params = {"modelId": "bytedance/seedance-1-pro", "prompt": "fox", "provider": self.provider.name}
        return await self.api.submit(("film", "generate", params))

    async def ended(self, execution_id):
        execution = await self.api.ended(execution_id)
        return execution["jobs"][0]

    async def everything_told(self, execution_id):
        """Return all that is shown of an execution, and all that its database holds, as one text."""
        shown = (await self.api.client.get(f"/api/executions/{execution_id}")).text
        events = [repr(event) for event in await self.api.engine.events(execution_id)]
        async with self.api.runtime.database.connection() as connection:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            rows = [repr(await connection.fetch(f'SELECT * FROM "{table["tablename"]}"')) for table in tables]
        return "\n".join([shown, *events, *rows])


@pytest.fixture
def studio(settings, catalog):
    @asynccontextmanager
    async def opened(kind, *, looks=SOON, calls=True):
        async with kind() as provider:
            changes = {
                "public_url": f"http://127.0.0.1:{settings.port}" if calls else None,
                "provider_poll_initial": looks,
                "provider_poll_max": looks,
                "provider_poll_interval": SOON,
                "submission_recovery_timeout": timedelta(seconds=1),
            }
            changed, own = settings.model_copy(update=changes), [provider.provider_settings()]
            async with served(changed, catalog, provider_settings=own) as api:
                await api.engine.start_worker()
                yield Studio(api, provider)

    return opened


async def film_of(studio, job):
    assert job["status"] == "succeeded", job
    [video] = job["result"]["videos"]
    return (await studio.api.client.get(video["url"])).content


@BOTH
async def test_polling_alone_leads_to_the_video(studio, kind):
    async with studio(kind, calls=False) as here:
        here.provider.script(Queued(), Running(0.5), Succeeded())
        execution_id = await here.ordered()

        assert await film_of(here, await here.ended(execution_id)) == sample_video().data
        [taken] = here.provider.tasks.values()
        assert taken.webhook is None
        assert here.provider.key not in await here.everything_told(execution_id)
        page = (await here.api.client.get(f"/executions/{execution_id}", headers={"Accept": "text/html"})).text
        assert f"at {here.provider.name}: {(await here.ended(execution_id))['providerStatus']}" in page


@BOTH
@pytest.mark.parametrize(
    "calls",
    [WebhookScript(), WebhookScript(times=3), WebhookScript(before_response=True), WebhookScript(reordered=True)],
    ids=["once", "thrice", "first", "reordered"],
)
async def test_a_webhook_leads_to_the_video(studio, kind, calls):
    async with studio(kind, looks=NEVER) as here:
        here.provider.script(Queued(), Succeeded())
        here.provider.inject_faults(webhook=[calls])
        execution_id = await here.ordered()
        if not calls.before_response:
            await here.api.event(execution_id, "job.waiting")
            await here.provider.finish(*here.provider.tasks)

        assert await film_of(here, await here.ended(execution_id)) == sample_video().data
        await here.provider.wait_for_webhooks()
        assert {told.status for told in here.provider.sent_webhooks} == {200}
        assert here.provider.paid == 1


@BOTH
async def test_forged_webhooks_change_nothing(studio, kind):
    async with studio(kind, looks=timedelta(seconds=1)) as here:
        here.provider.script(Queued(), Succeeded())
        here.provider.inject_faults(webhook=[WebhookScript(forged=True, times=2)])
        execution_id = await here.ordered()
        await here.api.event(execution_id, "job.waiting")
        await here.provider.finish(*here.provider.tasks)

        assert await film_of(here, await here.ended(execution_id)) == sample_video().data
        assert [told.status for told in here.provider.sent_webhooks] == [401, 401]


@pytest.mark.parametrize("weather", [Fail(502, accepted=True), CutConnection(accepted=True), TruncateBody()], ids=repr)
async def test_a_lost_submission_is_found_in_the_list(studio, weather):
    async with studio(FakeReplicate, calls=False) as here:
        here.provider.inject_faults(submit=[weather])
        execution_id = await here.ordered()

        assert await film_of(here, await here.ended(execution_id)) == sample_video().data
        assert here.provider.paid == len(here.provider.requests_of("submit")) == 1


async def test_an_identical_submission_is_not_adopted(studio):
    async with studio(FakeReplicate, calls=False) as here:
        first = await here.ordered()
        await here.ended(first)
        here.provider.inject_faults(submit=[CutConnection()])
        second = await here.ordered()

        job = await here.ended(second)

        assert (job["status"], job["error"]["code"]) == ("failed", "submission_unknown")
        assert here.provider.paid == 1


@pytest.mark.parametrize(
    "calls", [WebhookScript(before_response=True), WebhookScript(delay=0.2)], ids=["before", "after"]
)
async def test_a_lost_submission_is_found_by_its_webhook(studio, calls):
    async with studio(FakeFal, looks=NEVER) as here:
        here.provider.script(Succeeded())
        here.provider.inject_faults(submit=[CutConnection(accepted=True)], webhook=[calls])
        execution_id = await here.ordered()
        await until(lambda: here.provider.tasks)
        await here.provider.finish(*here.provider.tasks)

        assert await film_of(here, await here.ended(execution_id)) == sample_video().data
        assert here.provider.paid == len(here.provider.requests_of("submit")) == 1


@pytest.mark.parametrize("weather", [Fail(503), CutConnection(), Fail(500, accepted=True)], ids=repr)
async def test_an_unknown_submission_fails_the_job(studio, weather):
    async with studio(FakeFal, calls=False) as here:
        here.provider.inject_faults(submit=[weather])
        execution_id = await here.ordered()

        job = await here.ended(execution_id)

        assert (job["status"], job["error"]["code"]) == ("failed", "submission_unknown")
        assert len(here.provider.requests_of("submit")) == 1


@BOTH
async def test_a_rate_limited_provider_is_retried_and_paid_once(studio, kind):
    async with studio(kind, calls=False) as here:
        here.provider.inject_faults(
            submit=[RateLimited(0.01, "ms"), RateLimited()],
            status=[RateLimited(0.01, "ms"), Fail(503), CutConnection()],
        )
        execution_id = await here.ordered()

        assert await film_of(here, await here.ended(execution_id)) == sample_video().data
        assert here.provider.paid == 1


@BOTH
async def test_an_incomplete_download_is_repeated(studio, kind):
    async with studio(kind, calls=False) as here:
        here.provider.inject_faults(download=[TruncateBody(), Fail(502)])
        execution_id = await here.ordered()

        assert await film_of(here, await here.ended(execution_id)) == sample_video().data
        assert here.provider.paid == 1


@BOTH
@pytest.mark.parametrize(
    ("stage", "code"),
    [
        (Failed("CUDA out of memory"), "provider_failed"),
        (Failed(why="content"), "content_refused"),
        (Expired(), "output_expired"),
    ],
    ids=["error", "content", "gone"],
)
async def test_a_failure_of_the_provider_is_reported(studio, kind, stage, code):
    async with studio(kind, calls=False) as here:
        here.provider.script(Running(), stage)
        job = await here.ended(await here.ordered())

        assert (job["status"], job["error"]["code"]) == ("failed", code)
        assert here.provider.paid == 1


@BOTH
async def test_a_rejection_costs_nothing_and_is_reported(studio, kind):
    async with studio(kind, calls=False) as here:
        here.provider.inject_faults(submit=[Reject(422, "duration must be 5 or 10")])
        job = await here.ended(await here.ordered())

        assert (job["status"], job["error"]["code"]) == ("failed", "submission_rejected")
        assert "duration must be 5 or 10" in job["error"]["message"]
        assert here.provider.paid == 0


@BOTH
async def test_cancelling_a_job_cancels_its_task(studio, kind):
    async with studio(kind, looks=NEVER) as here:
        here.provider.script(Running())
        execution_id = await here.ordered()
        await here.api.event(execution_id, "job.waiting")

        await here.api.client.post(f"/api/executions/{execution_id}/cancel")

        assert (await here.ended(execution_id))["status"] == "cancelled"
        [taken] = here.provider.tasks.values()
        await until(lambda: taken.ended_at is not None)
