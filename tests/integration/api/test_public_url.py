"""The public URL of a server, which workers without one use for webhooks."""

import asyncio
import contextlib
from datetime import timedelta

import pytest

from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.engine.fleet.public_url import PublicUrl
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import operation
from callsheet.providers.contract import Capabilities, PollPolicy
from callsheet.settings import Settings
from callsheet.testing.engine import running_engine
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until
from callsheet.wiring import open_runtime

HOUR = timedelta(hours=1)


@contextlib.asynccontextmanager
async def server_tasks(settings, catalog, public_url):
    """Run the periodic work of a server with this public URL."""
    with_url = settings.model_copy(update={"public_url": public_url})
    async with open_runtime(with_url, catalog) as runtime:
        tasks = asyncio.create_task(runtime.run_server_tasks())
        try:
            yield runtime
        finally:
            tasks.cancel()
            await asyncio.gather(tasks, return_exceptions=True)


async def recorded(database):
    address = PublicUrl(Settings(_env_file=None))
    await address.refresh(database)
    return address.url


async def test_a_worker_without_a_public_url_submits_with_the_webhook_of_the_server(settings, catalog, tmp_path):
    fake = FakeProvider(
        tmp_path / "fake",
        capabilities=Capabilities(webhook=True),
        poll_policy=PollPolicy(initial=HOUR, max_interval=HOUR),
    )
    async with server_tasks(settings, catalog, "https://sheet.example/base/") as server:
        await until(lambda: recorded(server.database), timeout=30)
        async with running_engine(ALL, settings=settings, providers=[fake]) as engine:
            execution_id = await engine.submit({"jobs": [{"id": "a", "operation": "draw"}]})
            await engine.wait(execution_id, "job.waiting", timeout=60)
            job = await engine.job(execution_id, "a")

    [request] = fake.requests()
    assert request["webhook"].startswith(f"https://sheet.example/base/api/webhooks/job/{job.id}?token=")
    assert (job.waiting_strategy, job.wait_reason.code) == ("webhook", "provider")


class Linked(Model):
    url: str | None


class LinkParams(Model):
    src: MediaSource


class Nothing(Model):
    pass


@operation("stored", queue="test")
async def stored(job, params: Nothing) -> Nothing:
    """Store a file."""
    path = job.dir / "note.txt"
    path.write_text("note")
    await job.keep(path)
    return Nothing()


@operation("link", queue="test")
async def link(job, params: LinkParams) -> Linked:
    """Return the public URL of a file."""
    return Linked(url=await job.public_url(params.src))


async def test_a_worker_without_a_public_url_signs_urls_of_local_files_with_that_of_the_server(settings):
    async with (
        server_tasks(settings, Catalog([link, stored]), "https://sheet.example/base/") as server,
        running_engine([link, stored], settings=settings) as engine,
    ):
        await until(lambda: recorded(server.database), timeout=30)
        for worker in engine.workers:
            await worker._refresh_public_url()
        note = await engine.run({"jobs": [{"id": "a", "operation": "stored"}]})
        params = {"src": f"artifact:{note.artifacts[0].artifact_id}"}
        linked = await engine.run({"jobs": [{"id": "b", "operation": "link", "params": params}]})

    assert linked.jobs[0].result["url"].startswith("https://sheet.example/base/files/")


async def test_the_newest_url_counts_until_it_expires(settings, catalog):
    async with (
        server_tasks(settings, catalog, "https://old.example") as old,
        server_tasks(settings, catalog, None),
    ):
        await until(lambda: recorded(old.database), timeout=30)
        async with server_tasks(settings, catalog, "https://new.example"):
            await until(lambda: _is(old.database, "https://new.example"), timeout=30)
        async with old.database.connection() as connection:
            await connection.execute("UPDATE public_urls SET seen_at = seen_at - interval '11 minutes'")
        assert await recorded(old.database) is None


async def _is(database, url):
    return await recorded(database) == url


@pytest.mark.parametrize("configured", ["https://mine.example", "https://mine.example/"])
async def test_the_setting_of_the_worker_takes_precedence(settings, catalog, configured):
    address = PublicUrl(settings.model_copy(update={"public_url": configured}))
    async with server_tasks(settings, catalog, "https://sheet.example") as server:
        await until(lambda: recorded(server.database), timeout=30)
        await address.refresh(server.database)

    assert address.url == "https://mine.example"
