"""From a plan to a video: the API, a worker and fake providers, over real sockets."""

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
from callsheet.operation_api.catalog import Catalog
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
class Service:
    """A server with a worker, connected to one fake provider."""

    api: Api
    provider: FakeServer

    async def submit(self):
        params = {"modelId": "bytedance/seedance-1-pro", "prompt": "fox", "provider": self.provider.name}
        return await self.api.submit(("film", "generate", params))

    async def ended(self, execution_id):
        execution = await self.api.ended(execution_id)
        return execution["jobs"][0]

    async def all_text(self, execution_id):
        """Return everything that the API shows of an execution and that the database contains, as one text."""
        shown = (await self.api.client.get(f"/api/executions/{execution_id}")).text
        events = [repr(event) for event in await self.api.engine.events(execution_id)]
        async with self.api.runtime.database.connection() as connection:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'callsheet'")
            rows = [repr(await connection.fetch(f'SELECT * FROM "{table["tablename"]}"')) for table in tables]
        return "\n".join([shown, *events, *rows])


@pytest.fixture
def service(settings, catalog):
    @asynccontextmanager
    async def opened(kind, *, poll_interval=SOON, webhooks=True):
        async with kind() as provider:
            changes = {
                "public_url": f"http://127.0.0.1:{settings.port}" if webhooks else None,
                "provider_poll_initial": poll_interval,
                "provider_poll_max": poll_interval,
                "provider_poll_interval": SOON,
                "submission_recovery_timeout": timedelta(seconds=1),
            }
            changed, own = settings.model_copy(update=changes), [provider.provider_settings()]
            async with served(changed, catalog, provider_settings=own) as api:
                await api.engine.start_worker()
                yield Service(api, provider)

    return opened


async def video_of(service, job):
    assert job["status"] == "succeeded", job
    [video] = job["result"]["videos"]
    return (await service.api.client.get(video["url"])).content


@BOTH
async def test_polling_alone_leads_to_the_video(service, kind):
    async with service(kind, webhooks=False) as here:
        here.provider.script(Queued(), Running(0.5), Succeeded())
        execution_id = await here.submit()

        assert await video_of(here, await here.ended(execution_id)) == sample_video().data
        [task] = here.provider.tasks.values()
        assert task.webhook is None
        assert here.provider.key not in await here.all_text(execution_id)
        page = (await here.api.client.get(f"/executions/{execution_id}", headers={"Accept": "text/html"})).text
        assert f"provider {here.provider.name}: {(await here.ended(execution_id))['providerStatus']}" in page


@BOTH
@pytest.mark.parametrize(
    "script",
    [WebhookScript(), WebhookScript(times=3), WebhookScript(before_response=True), WebhookScript(reordered=True)],
    ids=["once", "thrice", "first", "reordered"],
)
async def test_a_webhook_leads_to_the_video(service, kind, script):
    async with service(kind, poll_interval=NEVER) as here:
        here.provider.script(Queued(), Succeeded())
        here.provider.inject_faults(webhook=[script])
        execution_id = await here.submit()
        if not script.before_response:
            await here.api.event(execution_id, "job.waiting")
            await here.provider.finish(*here.provider.tasks)

        assert await video_of(here, await here.ended(execution_id)) == sample_video().data
        await here.provider.wait_for_webhooks()
        assert {sent.status for sent in here.provider.sent_webhooks} == {200}
        assert here.provider.paid == 1


@BOTH
async def test_forged_webhooks_change_nothing(service, kind):
    async with service(kind, poll_interval=timedelta(seconds=1)) as here:
        here.provider.script(Queued(), Succeeded())
        here.provider.inject_faults(webhook=[WebhookScript(forged=True, times=2)])
        execution_id = await here.submit()
        await here.api.event(execution_id, "job.waiting")
        await here.provider.finish(*here.provider.tasks)

        assert await video_of(here, await here.ended(execution_id)) == sample_video().data
        assert [sent.status for sent in here.provider.sent_webhooks] == [401, 401]


@pytest.mark.parametrize("fault", [Fail(502, accepted=True), CutConnection(accepted=True), TruncateBody()], ids=repr)
async def test_a_lost_submission_is_found_in_the_list(service, fault):
    async with service(FakeReplicate, webhooks=False) as here:
        here.provider.inject_faults(submit=[fault])
        execution_id = await here.submit()

        assert await video_of(here, await here.ended(execution_id)) == sample_video().data
        assert here.provider.paid == len(here.provider.requests_of("submit")) == 1


async def test_an_identical_submission_is_not_adopted(service):
    async with service(FakeReplicate, webhooks=False) as here:
        first = await here.submit()
        await here.ended(first)
        here.provider.inject_faults(submit=[CutConnection()])
        second = await here.submit()

        job = await here.ended(second)

        assert (job["status"], job["error"]["code"]) == ("failed", "submission_unknown")
        assert here.provider.paid == 1


@pytest.mark.parametrize(
    "script", [WebhookScript(before_response=True), WebhookScript(delay=0.2)], ids=["before", "after"]
)
async def test_a_lost_submission_is_found_by_its_webhook(service, script):
    async with service(FakeFal, poll_interval=NEVER) as here:
        here.provider.script(Succeeded())
        here.provider.inject_faults(submit=[CutConnection(accepted=True)], webhook=[script])
        execution_id = await here.submit()
        await until(lambda: here.provider.tasks)
        await here.provider.finish(*here.provider.tasks)

        assert await video_of(here, await here.ended(execution_id)) == sample_video().data
        assert here.provider.paid == len(here.provider.requests_of("submit")) == 1


@pytest.mark.parametrize("fault", [Fail(503), CutConnection(), Fail(500, accepted=True)], ids=repr)
async def test_an_unknown_submission_fails_the_job(service, fault):
    async with service(FakeFal, webhooks=False) as here:
        here.provider.inject_faults(submit=[fault])
        execution_id = await here.submit()

        job = await here.ended(execution_id)

        assert (job["status"], job["error"]["code"]) == ("failed", "submission_unknown")
        assert len(here.provider.requests_of("submit")) == 1


@BOTH
async def test_a_rate_limited_provider_is_retried_and_paid_once(service, kind):
    async with service(kind, webhooks=False) as here:
        here.provider.inject_faults(
            submit=[RateLimited(0.01, "ms"), RateLimited()],
            status=[RateLimited(0.01, "ms"), Fail(503), CutConnection()],
        )
        execution_id = await here.submit()

        assert await video_of(here, await here.ended(execution_id)) == sample_video().data
        assert here.provider.paid == 1


@BOTH
async def test_an_incomplete_download_is_repeated(service, kind):
    async with service(kind, webhooks=False) as here:
        here.provider.inject_faults(download=[TruncateBody(), Fail(502)])
        execution_id = await here.submit()

        assert await video_of(here, await here.ended(execution_id)) == sample_video().data
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
async def test_a_failure_of_the_provider_is_reported(service, kind, stage, code):
    async with service(kind, webhooks=False) as here:
        here.provider.script(Running(), stage)
        job = await here.ended(await here.submit())

        assert (job["status"], job["error"]["code"]) == ("failed", code)
        assert here.provider.paid == 1


@BOTH
async def test_a_rejection_costs_nothing_and_is_reported(service, kind):
    async with service(kind, webhooks=False) as here:
        here.provider.inject_faults(submit=[Reject(422, "duration must be 5 or 10")])
        job = await here.ended(await here.submit())

        assert (job["status"], job["error"]["code"]) == ("failed", "submission_rejected")
        assert "duration must be 5 or 10" in job["error"]["message"]
        assert here.provider.paid == 0


@BOTH
async def test_cancelling_a_job_cancels_its_task(service, kind):
    async with service(kind, poll_interval=NEVER) as here:
        here.provider.script(Running())
        execution_id = await here.submit()
        await here.api.event(execution_id, "job.waiting")

        await here.api.client.post(f"/api/executions/{execution_id}/cancel")

        assert (await here.ended(execution_id))["status"] == "cancelled"
        [task] = here.provider.tasks.values()
        await until(lambda: task.ended_at is not None)
