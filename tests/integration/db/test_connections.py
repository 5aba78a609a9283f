"""Connections that break, go silent, or are slow; through a network that does as it is told."""

import asyncio
import socket
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from callsheet.db import database as database_module
from callsheet.db.database import Database
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.listener import Listener
from callsheet.testing.waiters import until
from support.proxy import Proxy


@pytest.fixture(scope="module")
def server():
    """A server that listens on TCP too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="callsheet-tcp-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", port=port)
        server.start()
        yield server
        server.stop()


@pytest.fixture
async def proxy(server):
    async with Proxy("127.0.0.1", urlsplit(server.tcp_dsn).port) as proxy:
        yield proxy


@pytest.fixture
def dsn(server, proxy):
    parts = urlsplit(server.tcp_dsn)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))


class Ear:
    """A listener, with what it heard and how many gaps it had."""

    def __init__(self, dsn):
        self.heard = []
        self.gaps = 0
        self.listener = Listener(
            dsn,
            ["news"],
            on_notify=lambda _, payload: self.heard.append(payload),
            on_gap=self._gap,
            ping_interval=0.2,
            ping_timeout=0.3,
        )
        self._task = asyncio.create_task(self.listener.run())

    def _gap(self):
        self.gaps += 1

    async def close(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def ear(dsn):
    ear = Ear(dsn)
    await until(lambda: ear.gaps == 1)
    yield ear
    await ear.close()


async def say(server, what):
    connection = await asyncpg.connect(server.tcp_dsn)
    await connection.execute("SELECT pg_notify('news', $1)", what)
    await connection.close()


async def test_a_listener_on_a_half_open_connection_notices_and_hears_again(server, proxy, ear):
    await say(server, "before")
    await until(lambda: ear.heard == ["before"])

    proxy.drop_silently()
    await say(server, "lost")
    await until(lambda: ear.gaps == 2, timeout=20)

    await say(server, "after")
    await until(lambda: ear.heard[-1] == "after")
    assert ear.heard == ["before", "after"]


async def test_a_listener_comes_back_at_once_each_time_it_is_cut_off(server, proxy, ear):
    for n in range(4):
        began = time.monotonic()
        proxy.cut()
        await until(lambda n=n: ear.gaps == n + 2, timeout=20)
        print(f"hears again after {time.monotonic() - began:.3f} s")
    await say(server, "hello")
    await until(lambda: ear.heard == ["hello"])


async def test_a_listener_waits_for_a_server_that_cannot_be_reached(server, proxy, ear):
    proxy.accepting = False
    proxy.cut()
    await until(lambda: not ear.listener.connected.is_set())

    proxy.accepting = True

    await until(lambda: ear.gaps == 2, timeout=20)


async def test_work_on_a_half_open_connection_is_done_on_a_new_one(dsn, proxy, monkeypatch):
    monkeypatch.setattr(database_module, "_COMMAND_TIMEOUT", 0.5)
    async with Database(dsn, size=2) as database:
        assert await database.retry(lambda c: c.fetchval("SELECT 1")) == 1

        proxy.drop_silently()

        assert await database.retry(lambda c: c.fetchval("SELECT 2"), timeout=30) == 2


async def test_work_goes_on_when_every_connection_is_cut_in_the_middle(dsn, proxy):
    async with Database(dsn, size=4) as database:
        working = [
            asyncio.create_task(database.retry(lambda c, n=n: c.fetchval("SELECT $1::int FROM pg_sleep(0.3)", n)))
            for n in range(4)
        ]
        await until(lambda: proxy.connections == 4)

        proxy.cut()

        assert await asyncio.gather(*working) == [0, 1, 2, 3]


async def test_a_slow_network_and_one_that_stands_still_for_a_moment_do_no_harm(dsn, proxy):
    async with Database(dsn, size=2) as database:
        proxy.delay = 0.02
        assert await database.retry(lambda c: c.fetchval("SELECT 1")) == 1
        proxy.delay = 0
        proxy.hold()
        waiting = asyncio.create_task(database.retry(lambda c: c.fetchval("SELECT 2")))
        await asyncio.wait({waiting}, timeout=0.2)
        assert not waiting.done()

        proxy.release()

        assert await waiting == 2


async def test_work_gives_up_when_its_time_is_over(dsn, proxy):
    async with Database(dsn, size=2) as database:
        proxy.accepting = False
        proxy.cut()
        began = time.monotonic()

        with pytest.raises(database_module.TRANSIENT_ERRORS):
            await database.retry(lambda c: c.fetchval("SELECT 1"), timeout=0.5)

        assert time.monotonic() - began < 10


async def test_a_mistake_in_a_statement_is_not_tried_again(dsn):
    tries = []

    async def wrong(connection):
        tries.append(1)
        await connection.fetchval("SELECT nonsense")

    async with Database(dsn, size=2) as database:
        with pytest.raises(asyncpg.UndefinedColumnError):
            await database.retry(wrong)

    assert len(tries) == 1
