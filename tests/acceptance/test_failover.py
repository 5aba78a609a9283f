"""A failover: the primary is gone at once, and its standby takes its place, while jobs run and plans are submitted."""

import asyncio
import socket
import time
from collections import Counter
from datetime import timedelta

import asyncpg
import pytest
from pydantic import SecretStr

from callsheet.db.database import Database
from callsheet.db.fitness import inspect
from callsheet.db.migrations import HEAD
from callsheet.db.upgrade import check_revision, upgrade
from support.postgres import PostgresServer, programs_of


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def servers(tmp_path):
    """A primary whose commits wait for its standby, and the standby."""
    programs = programs_of(18)
    if programs is None:
        pytest.skip("there is no pg_basebackup of PostgreSQL 18")
    primary = PostgresServer(
        tmp_path / "primary", programs=programs, port=free_port(), config={"synchronous_standby_names": "*"}
    )
    standby = PostgresServer(tmp_path / "standby", programs=programs, port=free_port(), password=primary.password)
    try:
        primary.create()
        primary.start()
        standby.copy(primary)
        standby.start()
        yield primary, standby
    finally:
        primary.stop(immediately=True)
        standby.stop(immediately=True)


@pytest.fixture
def settings(settings, servers):
    primary, standby = servers
    asyncio.run(upgrade(primary.dsn))
    # The standby comes first: it must not be used until it can write.
    address = primary.dsn_at(f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}")
    return settings.model_copy(update={"database_url": SecretStr(address), "poll_interval": timedelta(seconds=60)})


async def test_a_failover_loses_and_duplicates_no_job(engine, settings, start, servers):
    primary, standby = servers
    for n in range(2):
        start(settings, f"worker {n}", CALLSHEET_LANES="test=10").ready()
    plan = {"jobs": [{"id": f"j{n}", "operation": "sleep", "params": {"seconds": 0.1 * (n % 8)}} for n in range(120)]}
    execution_id = await engine.submit(plan)
    await engine.wait(execution_id, "job.succeeded", timeout=30)

    await asyncio.to_thread(primary.stop, immediately=True)
    during = asyncio.create_task(engine.submit(plan, idempotency_key="during"))
    await asyncio.to_thread(standby.promote)
    started = time.monotonic()
    later = await engine.run({"jobs": [{"id": "first", "operation": "noop"}]}, idempotency_key="first", timeout=100)

    print(f"a job ended {time.monotonic() - started:.1f} s after the standby had become the primary")
    assert later.status == "succeeded"
    for submitted in (execution_id, await during):
        execution = await engine.ended(submitted, timeout=100)
        assert execution.status == "succeeded"
        events = await engine.events(submitted)
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        ends = Counter(event.job_id for event in events if event.type == "job.succeeded")
        assert len(ends) == 120
        assert set(ends.values()) == {1}


async def test_a_start_does_not_depend_on_a_standby_that_is_behind(servers):
    primary, standby = servers
    behind = await asyncpg.connect(standby.dsn)
    await behind.execute("SELECT pg_wal_replay_pause()")
    await behind.close()
    await upgrade(primary.dsn)
    address = primary.dsn_at(f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}")

    async with Database(address, size=1) as database:
        await check_revision(database)
        state = await inspect(database.address)

    assert (state.revision, state.is_standby) == (HEAD, False)
