"""A database that is restarted, killed, or cut off while jobs run and plans come in."""

import asyncio
import os
import socket
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from processes import as_environment
from pydantic import SecretStr

from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.upgrade import upgrade
from callsheet.testing.waiters import until

SUBMITTER = Path(__file__).with_name("submit_and_wait.py")


@pytest.fixture
def server(tmp_path):
    """A server of this test's own, durable as in production."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = EmbeddedPostgres(tmp_path / "postgres", port=port)
    asyncio.run(upgrade(server.start()))
    yield server
    server.stop()


@pytest.fixture
def settings(settings, server):
    return settings.model_copy(
        update={"database_url": SecretStr(server.start()), "poll_interval": timedelta(seconds=60)}
    )


@pytest.mark.parametrize("blow", ["restart", "kill"])
async def test_a_database_that_goes_down_and_comes_back_loses_and_doubles_nothing(
    engine, settings, start, server, blow
):
    for n in range(2):
        start(settings, f"worker {n}", CALLSHEET_LANES="test=20").ready()
    plan = {"jobs": [{"id": f"j{n}", "operation": "sleep", "params": {"seconds": 0.1 * (n % 8)}} for n in range(200)]}
    execution_id = await engine.submit(plan)
    await engine.wait(execution_id, "job.succeeded", timeout=30)

    if blow == "kill":
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    else:
        await asyncio.to_thread(server.restart)

    execution = await engine.ended(execution_id, timeout=100)
    assert execution.status == "succeeded"
    events = await engine.events(execution_id)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    ends = Counter(event.job_id for event in events if event.type == "job.succeeded")
    assert len(ends) == 200
    assert set(ends.values()) == {1}
    for name in ends:
        # A claim whose answer was lost is given back before anybody runs the job: no two runs at once.
        story = [event.type for event in events if event.job_id == name and event.type != "job.progress"]
        assert story[::2] == ["job.running"] * (len(story) // 2), story
    await _picks_up_at_once(engine)


async def _picks_up_at_once(engine):
    waits = []
    for n in range(5):
        began = time.monotonic()
        await engine.run({"jobs": [{"id": f"quick{n}", "operation": "noop"}]})
        waits.append(time.monotonic() - began)
    print(f"a job from submission to end, afterwards: {sorted(waits)[2] * 1000:.0f} ms")
    assert sorted(waits)[2] < 2


async def test_a_client_killed_in_mid_submit_leaves_a_plan_whole_or_not_at_all(settings, server):
    dsn = settings.database_url.get_secret_value()
    connection = await asyncpg.connect(dsn)
    outcomes = []
    for _ in range(2):
        client = await asyncio.create_subprocess_exec(
            sys.executable, str(SUBMITTER), env={**os.environ, **as_environment(settings)}
        )
        await until(lambda: connection.fetchval(INSERTING), timeout=60, what="the insert to run")
        client.kill()
        await client.wait()
        await until(lambda: _nobody_inserts(connection), timeout=30)
        outcomes.append(await _is_whole(connection))
    print(f"stored: {outcomes}")
    await connection.close()


async def test_a_submission_whose_connection_is_killed_is_stored_whole_or_not_at_all(engine, settings):
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    plan = {"jobs": [{"id": f"j{n}", "operation": "noop", "params": {"value": "x" * 100}} for n in range(5_000)]}
    for pause in (0.0, 0.02, 0.05):
        submitting = asyncio.create_task(engine.submit(plan))
        await until(lambda: connection.fetchval(INSERTING), timeout=60, what="the insert to run")
        await asyncio.sleep(pause)
        await connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({INSERTING}) AS busy")
        (answer,) = await asyncio.gather(submitting, return_exceptions=True)
        whole = await _is_whole(connection)
        if not isinstance(answer, Exception):
            assert whole
    await connection.close()


INSERTING = """
    SELECT pid FROM pg_stat_activity
    WHERE state = 'active' AND query LIKE '%INSERT INTO executions%' AND pid <> pg_backend_pid() LIMIT 1"""


async def _nobody_inserts(connection):
    return await connection.fetchval(INSERTING) is None


async def _is_whole(connection):
    """Whether the plan is stored; every execution must have all of its jobs and its first event, or not be there."""
    rows = await connection.fetch("""
        SELECT e.job_count, (SELECT count(*) FROM execution_jobs j WHERE j.execution_id = e.id) AS jobs,
               (SELECT count(*) FROM events v WHERE v.execution_id = e.id) AS events
        FROM executions e""")
    assert all(row["jobs"] == row["job_count"] and row["events"] >= 1 for row in rows)
    orphans = await connection.fetchval(
        "SELECT count(*) FROM execution_jobs WHERE execution_id NOT IN (SELECT id FROM executions)"
    )
    assert orphans == 0
    await connection.execute("TRUNCATE executions, execution_jobs, events, edges")
    return bool(rows)
