"""What running jobs record while the database is away."""

import asyncio
import time
from pathlib import Path

import pytest
from plans import job, plan
from pydantic import SecretStr

from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.upgrade import upgrade
from callsheet.domain.model import Model
from callsheet.engine.reads.job_logs import job_log_page
from callsheet.operation_api.blocking_context import BlockingContext
from callsheet.operation_api.contract import Context, operation
from callsheet.testing.engine import running_engine
from callsheet.testing.waiters import until

DRAFTS = 30
LONGER_THAN_A_QUERY_IS_RETRIED = 7.0
"""Seconds."""


class Gate(Model):
    path: str
    """The operation publishes after this file exists."""


class Nothing(Model):
    pass


@operation("publish", queue="test")
async def publish(job: Context, params: Gate) -> Nothing:
    job.progress(0.1)
    await until(Path(params.path).exists, timeout=60)
    for number in range(DRAFTS):
        job.publish(draft=number)
        await job.log(f"draft {number}")
        print("printed", number)
    return Nothing()


def publish_blocking(job: BlockingContext, params: Gate) -> Nothing:
    job.progress(0.1)
    while not Path(params.path).exists():
        job.check_stopped()
        time.sleep(0.05)
    for number in range(DRAFTS):
        job.publish(draft=number)
        job.log(f"draft {number}")
        print("printed", number)
    return Nothing()


publish_in_thread = operation("publish-in-thread", queue="test")(publish_blocking)


@operation("publish-in-process", queue="test", run_in="process")
def publish_in_process(job: BlockingContext, params: Gate) -> Nothing:
    return publish_blocking(job, params)


OPERATIONS = [publish, publish_in_thread, publish_in_process]


@pytest.fixture
def server(tmp_path):
    """A server of this test alone, which can be stopped."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    asyncio.run(upgrade(server.start()))
    yield server
    server.stop()


@pytest.fixture
def settings(settings, server):
    return settings.model_copy(update={"database_url": SecretStr(server.start())})


async def test_everything_that_a_job_records_in_an_outage_of_the_database_is_stored(settings, server, tmp_path):
    gate = tmp_path / "gate"
    names = [each.name for each in OPERATIONS]
    async with running_engine(OPERATIONS, settings=settings, lanes={"test": 3}) as engine:
        execution_id = await engine.submit(plan(*(job(name, name, params={"path": str(gate)}) for name in names)))
        for name in names:
            await engine.wait(execution_id, "job.progress", job=name, timeout=60)
        await asyncio.to_thread(server.stop)
        gate.touch()
        await asyncio.sleep(LONGER_THAN_A_QUERY_IS_RETRIED)  # sleep: the length of the outage
        await asyncio.to_thread(server.start)
        execution = await engine.ended(execution_id, timeout=60)
        events = await engine.events(execution_id)
        page = await job_log_page(engine.runtime.database, execution_id, None, after=0, limit=500)

    assert execution.status == "succeeded"
    for name in names:
        own = [event for event in events if event.job_id == name]
        assert [event.data["draft"] for event in own if event.type == "job.output"] == [*range(DRAFTS)]
        assert [e.data["message"] for e in own if e.type == "job.log"] == [f"draft {n}" for n in range(DRAFTS)]
        assert own[-1].type == "job.succeeded"
        lines = [line.message for line in page.lines if line.job_id == name]
        assert lines == [f"printed {n}" for n in range(DRAFTS)]
