"""A database that is restarted, killed or disconnected while jobs run and plans are submitted."""

import asyncio
import os
import socket
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from processes import as_environment
from pydantic import SecretStr

from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.upgrade import upgrade
from callsheet.testing.waiters import until
from support.proxy import Proxy
from support.refusing_server import refusing_server

SUBMITTER = Path(__file__).with_name("submit_and_wait.py")

UNORDERED = {"job.progress", "job.blocked"}
"""Events that say nothing about runs: a job is blocked for the moment while no worker has its heartbeat stored."""


@pytest.fixture
def server(tmp_path):
    """A separate server with durable commits, as in production."""
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


@pytest.mark.parametrize("fault", ["restart", "kill"])
async def test_a_database_restart_loses_and_duplicates_no_job(engine, settings, start, server, fault):
    for n in range(2):
        start(settings, f"worker {n}", CALLSHEET_LANES="test=20").ready()
    plan = {"jobs": [{"id": f"j{n}", "operation": "sleep", "params": {"seconds": 0.1 * (n % 8)}} for n in range(200)]}
    execution_id = await engine.submit(plan)
    await engine.wait(execution_id, "job.succeeded", timeout=30)

    if fault == "kill":
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
        # A claim whose response was lost is requeued before another run of the job: runs never overlap.
        history = [event.type for event in events if event.job_id == name and event.type not in UNORDERED]
        assert history[::2] == ["job.running"] * (len(history) // 2), history
    await _check_latency(engine)


async def _check_latency(engine):
    waits = []
    for n in range(5):
        started = time.monotonic()
        await engine.run({"jobs": [{"id": f"quick{n}", "operation": "noop"}]})
        waits.append(time.monotonic() - started)
    print(f"a job from submission to end, afterwards: {sorted(waits)[2] * 1000:.0f} ms")
    assert sorted(waits)[2] < 2


async def test_a_client_killed_during_submit_stores_a_plan_completely_or_not_at_all(settings, server):
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
        await until(lambda: _no_insert_is_running(connection), timeout=30)
        outcomes.append(await check_complete(connection))
    print(f"stored: {outcomes}")
    await connection.close()


async def test_a_plan_whose_connection_is_killed_is_stored_completely_or_not_at_all(engine, settings):
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    plan = {"jobs": [{"id": f"j{n}", "operation": "noop", "params": {"value": "x" * 100}} for n in range(5_000)]}
    for pause in (0.0, 0.02, 0.05):
        submitting = asyncio.create_task(engine.submit(plan))
        await until(lambda: connection.fetchval(INSERTING), timeout=60, what="the insert to run")
        await asyncio.sleep(pause)  # sleep: the moment of the kill varies
        await connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({INSERTING}) AS busy")
        (answer,) = await asyncio.gather(submitting, return_exceptions=True)
        complete = await check_complete(connection)
        if not isinstance(answer, Exception):
            assert complete
    await connection.close()


async def test_a_supervised_worker_survives_refused_connections(engine, settings, server, tmp_path):
    async with Proxy("127.0.0.1", tcp_port(server)) as proxy:
        address = server.tcp_dsn.replace(f":{tcp_port(server)}/", f":{proxy.port}/")
        environment = {**as_environment(settings), "CALLSHEET_DATABASE_URL": address, "CALLSHEET_GRACE_PERIOD": "1"}
        command = ["-m", "callsheet", "worker", "--queues", "test", "--import", "callsheet.testing.operations"]
        with (tmp_path / "worker.log").open("wb") as log:
            parent = await asyncio.create_subprocess_exec(
                sys.executable, *command, env={**os.environ, **environment}, stdout=log, stderr=log
            )
        try:
            sleep = {"jobs": [{"id": "a", "operation": "sleep", "params": {"seconds": 4}}]}
            first = await engine.submit(sleep)
            await engine.wait(first, "job.running", timeout=60)
            await refuse_for_a_while(proxy, server)
            assert (await engine.ended(first, timeout=60)).status == "succeeded"
            starts = [event for event in await engine.events(first) if event.type == "job.running"]
            assert len(starts) == 1

            # A worker that dies during the refusals: the supervisor cannot record it, and its next child cannot start.
            second = await engine.submit(sleep)
            await engine.wait(second, "job.running", timeout=60)
            (child,) = psutil.Process(parent.pid).children()
            await refuse_for_a_while(proxy, server, at_its_start=child.kill)
            assert (await engine.ended(second, timeout=90)).status == "succeeded"
        finally:
            if parent.returncode is None:
                parent.terminate()
            status = await parent.wait()
    assert status == 0, (tmp_path / "worker.log").read_text()[-3000:]


async def refuse_for_a_while(proxy, server, *, at_its_start=lambda: None):
    """Refuse all connections of the proxy, as while a password is rotated."""
    async with refusing_server("28P01", 'password authentication failed for user "callsheet"') as port:
        proxy.target_port = port
        proxy.cut()
        at_its_start()
        await asyncio.sleep(2)  # sleep: the length of the outage
        proxy.target_port = tcp_port(server)


def tcp_port(server):
    return urlsplit(server.tcp_dsn).port


INSERTING = """
    SELECT pid FROM pg_stat_activity
    WHERE state = 'active' AND query LIKE '%INSERT INTO executions%' AND pid <> pg_backend_pid() LIMIT 1"""


async def _no_insert_is_running(connection):
    return await connection.fetchval(INSERTING) is None


async def check_complete(connection):
    """Return whether the plan is stored. Every stored execution must have all its jobs and its first event."""
    rows = await connection.fetch("""
        SELECT e.job_count, (SELECT count(*) FROM execution_jobs j WHERE j.execution_id = e.id) AS jobs,
               (SELECT count(*) FROM events v WHERE v.execution_id = e.id) AS events
        FROM executions e""")
    assert all(row["jobs"] == row["job_count"] and row["events"] >= 1 for row in rows)
    orphans = await connection.fetchval(
        "SELECT count(*) FROM execution_jobs WHERE execution_id NOT IN (SELECT id FROM executions)"
    )
    assert orphans == 0
    await connection.execute("TRUNCATE executions, execution_jobs, events, edges CASCADE")
    return bool(rows)
