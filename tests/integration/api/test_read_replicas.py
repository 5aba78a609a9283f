"""Lists from a streaming replica: which reads it answers, and when the primary does instead."""

import asyncio
import socket

import asyncpg
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from callsheet.db.upgrade import upgrade
from callsheet.testing.waiters import until
from support.postgres import PostgresServer, programs_of

from .conftest import served

NOT_USED = "a read replica is not used: the primary answers instead"
AGAIN = "a read replica is used again"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """A primary with the schema, and a standby that streams from it."""
    programs = programs_of(18)
    if programs is None:
        pytest.skip("there is no pg_basebackup of PostgreSQL 18")
    folder, config = tmp_path_factory.mktemp("replicas"), {"fsync": "off", "full_page_writes": "off"}
    primary = PostgresServer(folder / "primary", programs=programs, port=free_port(), config=config)
    standby = PostgresServer(
        folder / "standby", programs=programs, port=free_port(), password=primary.password, config=config
    )
    try:
        primary.create()
        primary.start()
        asyncio.run(upgrade(primary.dsn))
        standby.copy(primary)
        standby.start()
        yield primary, standby
    finally:
        primary.stop(immediately=True)
        standby.stop(immediately=True)


@pytest.fixture
def settings(settings, servers):
    primary, standby = servers
    urls = {"database_url": SecretStr(primary.dsn), "database_read_url": SecretStr(standby.dsn)}
    return settings.model_copy(update={**urls, "port": 0})


async def execute(server, statement):
    connection = await asyncpg.connect(server.dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def replica_of(api):
    [replica] = api.runtime.reads._replicas
    return replica


async def listed(api):
    response = await api.client.get("/api/executions")
    assert response.status_code == 200, response.text
    return {each["executionId"] for each in response.json()["executions"]}


def lines(logs, event):
    return [line for line in logs if line["event"] == event and line["log_level"] != "debug"]


async def test_lists_come_from_the_replica_and_what_must_be_current_from_the_primary(settings, catalog, servers):
    _, standby = servers
    patient = settings.model_copy(update={"database_read_max_lag": settings.database_read_max_lag * 1000})
    async with served(patient, catalog) as api:
        await until(lambda: replica_of(api).database, timeout=60)
        before = await api.submit(("a", "noop", {}))

        async def is_listed():
            return before in await listed(api)

        await until(is_listed, timeout=60)
        await execute(standby, "SELECT pg_wal_replay_pause()")
        try:
            after = await api.submit(("a", "noop", {}))
            current = await api.client.get(f"/api/executions/{after}")

            # The replica has stopped in the past, and the limit allows it.
            assert current.json()["status"] == "queued"
            assert after not in await listed(api)
            assert f"/executions/{after}" not in (await api.client.get("/executions")).text
            assert f"/executions/{before}" in (await api.client.get("/executions")).text
        finally:
            await execute(standby, "SELECT pg_wal_replay_resume()")

        async def is_there():
            return after in await listed(api)

        await until(is_there, timeout=60)


async def test_a_replica_that_is_behind_its_limit_is_left_out_and_used_again_with_one_line_each(
    settings, catalog, servers
):
    _, standby = servers
    strict = settings.model_copy(update={"database_read_max_lag": settings.database_read_max_lag * 0.4})
    with capture_logs() as logs:
        async with served(strict, catalog) as api:
            await until(lambda: replica_of(api).database, timeout=60)
            await execute(standby, "SELECT pg_wal_replay_pause()")
            try:
                after = await api.submit(("a", "noop", {}))
                await until(lambda: replica_of(api).database is None, timeout=60)

                assert after in await listed(api)
                [line] = lines(logs, NOT_USED)
                assert "behind its primary; the limit is 2 s" in line["reason"]
                assert line["replica"] == f"127.0.0.1:{standby.port}"
            finally:
                await execute(standby, "SELECT pg_wal_replay_resume()")
            await until(lambda: replica_of(api).database, timeout=60)
            await listed(api)
    assert len(lines(logs, NOT_USED)) == len(lines(logs, AGAIN)) == 1


async def test_a_replica_that_goes_away_is_left_out_and_used_again(settings, catalog, servers):
    _, standby = servers
    with capture_logs() as logs:
        async with served(settings, catalog) as api:
            await until(lambda: replica_of(api).database, timeout=60)
            await asyncio.to_thread(standby.stop, immediately=True)
            try:
                after = await api.submit(("a", "noop", {}))

                for _ in range(3):
                    assert after in await listed(api)
                assert replica_of(api).database is None
            finally:
                await asyncio.to_thread(standby.start)
            await until(lambda: replica_of(api).database, timeout=60)

            async def is_listed():
                return after in await listed(api)

            await until(is_listed, timeout=60)
    assert lines(logs, NOT_USED)[0]["replica"] == f"127.0.0.1:{standby.port}"
    assert lines(logs, "database unavailable, retrying") == []


async def test_the_primary_itself_and_a_server_that_is_not_there_are_no_replicas(settings, catalog, servers):
    primary, _ = servers
    url = primary.dsn_at(f"127.0.0.1:{primary.port},127.0.0.1:{free_port()}")
    with capture_logs() as logs:
        async with served(settings.model_copy(update={"database_read_url": SecretStr(url)}), catalog) as api:
            await until(lambda: len(lines(logs, NOT_USED)) == 2, timeout=60)

            assert await api.submit(("a", "noop", {})) in await listed(api)
    assert any(line["reason"] == "it is not a replica" for line in lines(logs, NOT_USED))
