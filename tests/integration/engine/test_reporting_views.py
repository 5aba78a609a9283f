"""The views of the schema `reporting`: queries of other systems run unchanged, after jobs that ended in every way."""

from datetime import datetime, timedelta

import asyncpg
import pytest

from callsheet.providers.contract import PollPolicy
from callsheet.testing.engine import running_engine
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

PROCESSING = """
    -- View all processing jobs
    SELECT
      id,
      job_id,
      status,
      provider_job_id,
      waiting_strategy,
      poll_attempts,
      next_poll_at,
      created_at
    FROM execution_jobs
    WHERE status = 'processing'
    ORDER BY created_at DESC;
"""
COMPLETED = """
    -- View completed jobs
    SELECT
      id,
      job_id,
      status,
      waiting_strategy,
      result->>'completedAt' as completed_at,
      (completed_at - created_at) as duration
    FROM execution_jobs
    WHERE status = 'completed'
    ORDER BY created_at DESC
    LIMIT 10;
"""


@pytest.fixture
async def query(database_url):
    """Run a query as a session with the schema `reporting` on its search path."""
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "reporting"})
    yield connection.fetch
    await connection.close()


def job(id, operation, *upstream, **params):
    return {"id": id, "operation": operation, "params": params, "dependsOn": list(upstream)}


async def test_queries_of_other_systems_find_running_and_completed_jobs(settings, query, tmp_path):
    gate, started = tmp_path / "gate", tmp_path / "started"
    async with running_engine(ALL, settings=settings) as engine:
        jobs = [
            job("good", "noop", value="kept"),
            job("bad", "fail"),
            job("after", "noop", "bad"),
            job("open", "write", waitFor=str(gate), started=str(started)),
            job("next", "noop", "open"),
        ]
        execution_id = await engine.submit({"name": "mixed", "jobs": jobs})
        await until(started.exists)
        await engine.wait(execution_id, "job.skipped", job="after")
        await engine.wait(execution_id, "job.succeeded", job="good")

        [processing] = await query(PROCESSING)
        [completed] = await query(COMPLETED)

        assert (processing["job_id"], processing["provider_job_id"], processing["poll_attempts"]) == ("open", None, 0)
        assert (completed["job_id"], completed["status"], completed["waiting_strategy"]) == ("good", "completed", None)
        [good] = await query("SELECT completed_at, created_at FROM execution_jobs WHERE job_id = 'good'")
        assert completed["duration"] == good["completed_at"] - good["created_at"]
        seconds = abs((datetime.fromisoformat(completed["completed_at"]) - good["completed_at"]).total_seconds())
        assert seconds < 0.001, "the text has milliseconds"
        statuses = dict(await query("SELECT job_id, status FROM execution_jobs"))
        assert statuses == {
            "good": "completed",
            "bad": "failed",
            "after": "skipped",
            "open": "processing",
            "next": "pending",
        }
        assert [row["status"] for row in await query("SELECT status FROM executions")] == ["processing"]

        await engine.cancel(execution_id)
        await engine.ended(execution_id)

        assert await query(PROCESSING) == []
        statuses = dict(await query("SELECT job_id, status FROM execution_jobs WHERE completed_at IS NULL"))
        assert statuses == {"bad": "failed", "after": "skipped", "open": "cancelled", "next": "cancelled"}
        assert [row["completed_at"] for row in await query("SELECT completed_at FROM executions")] == [None]


async def test_a_job_that_waits_for_a_provider_is_processing(settings, query, tmp_path):
    interval = timedelta(seconds=0.05)
    policy = PollPolicy(initial=interval, max_interval=interval)
    provider = FakeProvider(tmp_path / "provider", poll_policy=policy)
    settings = settings.model_copy(update={"provider_poll_interval": interval})
    async with running_engine(ALL, settings=settings, providers=[provider]) as engine:
        execution_id = await engine.submit({"jobs": [job("clip", "draw")]})
        await engine.wait(execution_id, "job.waiting")
        [task] = await until(provider.requests)

        [row] = await query(PROCESSING)

        assert (row["job_id"], row["status"], row["waiting_strategy"]) == ("clip", "processing", "polling")
        assert row["provider_job_id"] == task["id"]
        provider.set_status(task["id"], "succeeded", files={"image.txt": "an image"})
        await engine.ended(execution_id)

        [done] = await query(COMPLETED)

        assert (done["job_id"], done["status"]) == ("clip", "completed")
        assert datetime.fromisoformat(done["completed_at"]).utcoffset() == timedelta(0)
