"""Broken, silent and slow connections, through a controllable proxy."""

import asyncio
import socket
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from callsheet.db import database as database_module
from callsheet.db.address import parse_address
from callsheet.db.commit_once import commit_once
from callsheet.db.database import Database
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.listener import Listener
from callsheet.testing.waiters import until
from support.proxy import Proxy


@pytest.fixture(scope="module")
def server():
    """A server that also listens on TCP."""
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


class RecordingListener:
    """A listener that records its notifications and counts its gaps."""

    def __init__(self, dsn):
        self.notifications = []
        self.gaps = 0
        self.listener = Listener(
            parse_address(dsn),
            ["news"],
            on_notify=lambda _, payload: self.notifications.append(payload),
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
async def recorder(dsn):
    recorder = RecordingListener(dsn)
    await until(lambda: recorder.gaps == 1)
    yield recorder
    await recorder.close()


async def notify(server, payload):
    connection = await asyncpg.connect(server.tcp_dsn)
    await connection.execute("SELECT pg_notify('news', $1)", payload)
    await connection.close()


async def test_a_listener_detects_a_half_open_connection_and_reconnects(server, proxy, recorder):
    await notify(server, "before")
    await until(lambda: recorder.notifications == ["before"])

    proxy.drop_silently()
    await notify(server, "lost")
    await until(lambda: recorder.gaps == 2, timeout=20)

    await notify(server, "after")
    await until(lambda: recorder.notifications[-1] == "after")
    assert recorder.notifications == ["before", "after"]


async def test_a_listener_reconnects_at_once_after_each_disconnect(server, proxy, recorder):
    for n in range(4):
        started = time.monotonic()
        proxy.cut()
        await until(lambda n=n: recorder.gaps == n + 2, timeout=20)
        print(f"reconnected after {time.monotonic() - started:.3f} s")
    await notify(server, "hello")
    assert await until(lambda: recorder.notifications == ["hello"])


async def test_a_listener_waits_for_an_unreachable_server(server, proxy, recorder):
    proxy.accepting = False
    proxy.cut()
    await until(lambda: not recorder.listener.connected.is_set())

    proxy.accepting = True

    assert await until(lambda: recorder.gaps == 2, timeout=20)


async def test_work_on_a_half_open_connection_is_retried_on_a_new_one(dsn, proxy, monkeypatch):
    monkeypatch.setattr(database_module, "_COMMAND_TIMEOUT", 0.5)
    async with Database(dsn, size=2) as database:
        assert await database.retry(lambda c: c.fetchval("SELECT 1")) == 1

        proxy.drop_silently()

        assert await database.retry(lambda c: c.fetchval("SELECT 2"), timeout=30) == 2


async def test_work_is_retried_when_all_connections_are_cut(dsn, proxy):
    async with Database(dsn, size=4) as database:
        working = [
            asyncio.create_task(database.retry(lambda c, n=n: c.fetchval("SELECT $1::int FROM pg_sleep(0.3)", n)))
            for n in range(4)
        ]
        await until(lambda: proxy.connections == 4)

        proxy.cut()

        assert await asyncio.gather(*working) == [0, 1, 2, 3]


async def test_a_slow_or_stalled_network_causes_no_error(dsn, proxy):
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


async def test_work_fails_after_its_timeout(dsn, proxy):
    async with Database(dsn, size=2) as database:
        proxy.accepting = False
        proxy.cut()
        started = time.monotonic()

        with pytest.raises(database_module.TRANSIENT_ERRORS):
            await database.retry(lambda c: c.fetchval("SELECT 1"), timeout=0.5)

        assert time.monotonic() - started < 10


async def test_an_sql_error_is_not_retried(dsn):
    attempts = []

    async def wrong(connection):
        attempts.append(1)
        await connection.fetchval("SELECT nonsense")

    async with Database(dsn, size=2) as database:
        with pytest.raises(asyncpg.UndefinedColumnError):
            await database.retry(wrong)

    assert len(attempts) == 1


@pytest.mark.parametrize("committed", [True, False])
async def test_a_transaction_is_committed_once_when_the_connection_breaks_at_its_end(server, dsn, proxy, committed):
    direct = await asyncpg.connect(server.tcp_dsn)
    await direct.execute("DROP TABLE IF EXISTS public.lines; CREATE TABLE public.lines (number int)")
    tries = 0

    async def insert(connection):
        nonlocal tries
        tries += 1
        await connection.execute("INSERT INTO public.lines VALUES (1)")
        if tries == 1:
            proxy.hold_responses() if committed else proxy.cut()

    async with Database(dsn, size=1) as database:
        writing = asyncio.create_task(commit_once(database, insert))
        if committed:
            while not await direct.fetchval("SELECT count(*) FROM public.lines"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            proxy.cut()
            proxy.release()
        await asyncio.wait_for(writing, timeout=60)
        stored = await direct.fetchval("SELECT count(*) FROM public.lines")
    await direct.close()

    assert stored == 1
    assert tries == (1 if committed else 2)
