"""What counts as an outage: refused connections, read-only servers, and addresses with several hosts."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import structlog
from pydantic import SecretStr

from callsheet.db import connect as connect_module
from callsheet.db import outage_log
from callsheet.db.address import parse_address
from callsheet.db.connect import connect
from callsheet.db.database import Database, DedicatedConnection
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.listener import Listener
from callsheet.db.outage_log import OutageLog
from callsheet.db.outages import TRANSIENT_ERRORS, ReadOnlyDatabase
from callsheet.domain.errors import DatabaseUnavailable
from callsheet.engine.submissions.poller import Poller
from callsheet.queue.claim import Claim
from callsheet.queue.lanes import Lane
from callsheet.testing.waiters import until
from callsheet.wiring import open_database
from support.proxy import Proxy
from support.refusing_server import refusing_server

REFUSALS = [
    ("57P03", "the database system is starting up", "is starting, stopping or recovering."),
    ("53300", "sorry, too many clients already", "has no free connections."),
    ("XX000", "(EMAXCONNSESSION) max clients reached", "or a pooler in front of it, refuses connections"),
    ("28P01", 'password authentication failed for user "me"', "rejects the login."),
    ("55000", 'database "films" is not currently accepting connections', "does not accept connections."),
    ("3D000", 'database "films" does not exist', "does not exist on its server."),
    ("42501", 'permission denied for database "films"', "or a pooler in front of it, refuses connections"),
    ("0A000", "unsupported frontend protocol", "or a pooler in front of it, refuses connections"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that listens on TCP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = EmbeddedPostgres(tmp_path_factory.mktemp("outages") / "postgres", port=port)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def proxy(server):
    async with Proxy("127.0.0.1", port_of(server)) as proxy:
        yield proxy


@pytest.fixture
def dsn(server, proxy):
    return at_hosts(server.tcp_dsn, f"127.0.0.1:{proxy.port}")


def port_of(server):
    return urlsplit(server.tcp_dsn).port


def at_hosts(dsn, hosts):
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@{hosts}"))


@asynccontextmanager
async def refusing(proxy, server, sqlstate, message):
    """Lead new connections to a server that refuses them, and cut the others."""
    async with refusing_server(sqlstate, message) as port:
        proxy.target_port = port
        proxy.cut()
        try:
            yield
        finally:
            proxy.target_port = port_of(server)


@pytest.mark.parametrize(("sqlstate", "message", "reason"), REFUSALS)
async def test_every_refused_connection_is_waited_for(server, proxy, dsn, sqlstate, message, reason):
    heartbeat = DedicatedConnection(parse_address(dsn), timeout=5)
    gaps = []
    listener = Listener(parse_address(dsn), ["news"], on_notify=lambda *_: None, on_gap=lambda: gaps.append(1))
    async with Database(dsn, size=2) as database, asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listener.run())
        await until(lambda: len(gaps) == 1)
        async with refusing(proxy, server, sqlstate, message):
            with pytest.raises(DatabaseUnavailable) as unavailable:
                await database.retry(lambda c: c.fetchval("SELECT 1"), timeout=0.1)
            with pytest.raises(TRANSIENT_ERRORS):
                await heartbeat.run(lambda c: c.fetchval("SELECT 1"))
            waiting = tasks.create_task(database.retry(lambda c: c.fetchval("SELECT 2"), timeout=60))
            await asyncio.sleep(0.2)  # sleep: no waiter may give up meanwhile
            assert not listening.done()

        assert await waiting == 2
        assert await heartbeat.run(lambda c: c.fetchval("SELECT 3")) == 3
        await until(lambda: len(gaps) == 2, timeout=20)
        listening.cancel()
    heartbeat.close()
    assert unavailable.value.message.startswith("The database")
    assert reason in unavailable.value.message
    assert "films" not in unavailable.value.message


async def test_the_log_of_an_outage_contains_what_the_server_said(server, proxy, dsn, monkeypatch):
    logger = structlog.testing.CapturingLogger()
    monkeypatch.setattr(outage_log, "log", logger)
    async with Database(dsn, size=1) as database, refusing(proxy, server, "XX000", "(EMAXCONNSESSION) max clients"):
        with pytest.raises(DatabaseUnavailable):
            await database.retry(lambda c: c.fetchval("SELECT 1"), timeout=0.3)

    texts = [call.kwargs["error"] for call in logger.calls]
    assert "InternalServerError XX000: (EMAXCONNSESSION) max clients" in texts


async def test_an_error_that_ends_a_session_is_an_outage(dsn):
    async with Database(dsn, size=1) as database:
        pids = []

        async def work(connection):
            pids.append(connection.get_server_pid())
            if len(pids) == 1:
                await connection.execute("SET idle_session_timeout = 1")
                await asyncio.sleep(0.3)  # sleep: the server ends the idle session
            return await connection.fetchval("SELECT 1")

        assert await database.retry(work) == 1
        assert len(set(pids)) == 2


async def test_a_full_disk_of_the_database_is_waited_for_with_its_reason(dsn):
    disk_full = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    tries = []

    async def write(connection):
        tries.append(1)
        await connection.execute(disk_full if len(tries) < 4 else "SELECT 1")

    async with Database(dsn, size=1) as database:
        with pytest.raises(DatabaseUnavailable, match="The database has a full disk"):
            await database.retry(write, timeout=0)
        await database.retry(write)

    assert len(tries) == 4


@pytest.mark.parametrize("sqlstate", ["28P01", "3D000", "XX000"])
async def test_a_process_that_was_connected_before_waits_for_a_rejected_login(
    settings, server, proxy, dsn, new_database, sqlstate
):
    settings = settings.model_copy(update={"database_url": SecretStr(dsn)})
    reasons = []

    async def open_and_close():
        options = {"migrate": True, "wait": True, "connected_before": True}
        async with open_database(settings, **options, on_wait=reasons.append) as database:
            return await database.retry(lambda c: c.fetchval("SELECT 1"))

    async with refusing(proxy, server, sqlstate, "no"):
        opening = asyncio.create_task(open_and_close())
        await until(lambda: reasons)

    assert await opening == 1


@pytest.mark.parametrize(("sqlstate", "says"), [("28P01", "rejects the login"), ("3D000", "does not have this")])
async def test_the_first_start_does_not_wait_for_a_rejected_login(settings, proxy, dsn, server, sqlstate, says):
    settings = settings.model_copy(update={"database_url": SecretStr(dsn)})
    async with refusing(proxy, server, sqlstate, "no"):
        with pytest.raises(DatabaseUnavailable, match=says):
            async with open_database(settings, migrate=False, wait=True):
                pass


class FailingOnce:
    """A claimer whose first claim fails with an error that is no outage."""

    def __init__(self):
        self.claims = 0

    async def claim(self, queue, free, **_):
        self.claims += 1
        if self.claims == 1:
            raise asyncpg.InternalServerError("tuple concurrently updated")
        return Claim([])


async def test_a_lane_survives_every_error_of_the_database(monkeypatch):
    monkeypatch.setattr("callsheet.queue.lanes._RETRY_DELAY", 0.01)
    claimer = FailingOnce()
    lane = Lane("test", 1, claimer, run_job=None, on_started=lambda _: None)
    running = asyncio.create_task(lane.run())
    lane.wake()

    await until(lambda: claimer.claims == 2)
    assert not running.done()
    lane.close()
    await running


class RefusingDatabase:
    """A database whose connections fail at once."""

    def __init__(self):
        self.outage = OutageLog()
        self.tries = 0

    def connection(self):
        self.tries += 1
        raise ConnectionRefusedError


async def test_the_poller_pauses_between_refused_connections():
    database = RefusingDatabase()
    polling = asyncio.create_task(Poller(database, {"luma": None}, interval=0.2).run())
    await until(lambda: database.tries)
    await asyncio.sleep(0.5)  # sleep: its tries in this time are counted
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)

    assert database.tries <= 5


async def set_read_only(server, value):
    """Switch the read-only mode that hosters use when a disk is nearly full. It applies to new sessions."""
    connection = await asyncpg.connect(server.tcp_dsn, server_settings={"default_transaction_read_only": "off"})
    try:
        await connection.execute(f"ALTER DATABASE postgres SET default_transaction_read_only = {value}")
    finally:
        await connection.close()


async def test_a_read_only_connection_is_dropped_with_all_of_the_pool(server, proxy, dsn):
    # With `any`, the check of new connections is off, as for sessions that become read-only later.
    async with Database(f"{dsn}&target_session_attrs=any", size=3) as database:
        await set_read_only(server, "on")
        proxy.cut()
        async with database.connection(), database.connection(), database.connection():
            pass
        await set_read_only(server, "off")

        started = time.monotonic()
        await database.retry(lambda c: c.execute("CREATE TABLE written ()"))
        async with database.connection() as one, database.connection() as two, database.connection() as three:
            read_only = [await c.fetchval("SHOW transaction_read_only") for c in (one, two, three)]
            await one.execute("DROP TABLE written")

    assert read_only == ["off"] * 3
    assert time.monotonic() - started < 20


async def test_no_read_only_server_is_used_and_its_reason_is_given(server, proxy, dsn):
    async with Database(dsn, size=1) as database:
        await database.check_writable()
        await set_read_only(server, "on")
        try:
            proxy.cut()
            with pytest.raises(DatabaseUnavailable, match="read-only: it is a standby, or in a read-only mode"):
                await database.check_writable()
            with pytest.raises(ReadOnlyDatabase):
                await connect(parse_address(dsn))
        finally:
            await set_read_only(server, "off")
        await database.check_writable()


async def test_readiness_checks_a_connection_of_the_pool(server, dsn):
    async with Database(f"{dsn}&target_session_attrs=any", size=1) as database:
        async with database.connection() as connection:
            await connection.execute("SET default_transaction_read_only = on")

        # Checked on a connection of the pool, which is replaced at once.
        await database.check_writable()
        async with database.connection() as connection:
            assert await connection.fetchval("SHOW transaction_read_only") == "off"


@pytest.fixture
def silent_port():
    """A port that accepts connections and never responds, like a machine that is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_a_host_that_does_not_respond_delays_only_the_first_connection(server, silent_port, monkeypatch):
    monkeypatch.setattr(connect_module, "_TIMEOUT_PER_HOST", 0.5)
    dsn = at_hosts(server.tcp_dsn, f"127.0.0.1:{silent_port},127.0.0.1:{port_of(server)}")
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        connection = await connect(parse_address(dsn))
        seconds.append(time.monotonic() - started)
        await connection.close()

    assert seconds[0] > 0.4
    assert max(seconds[1:]) < seconds[0]


async def test_a_caller_with_little_time_reaches_the_second_host_at_its_second_call(server, silent_port):
    dsn = at_hosts(server.tcp_dsn, f"127.0.0.1:{silent_port},127.0.0.1:{port_of(server)}")
    heartbeat = DedicatedConnection(parse_address(dsn), timeout=1)
    with pytest.raises(TimeoutError):
        await heartbeat.run(lambda c: c.fetchval("SELECT 1"))

    assert await heartbeat.run(lambda c: c.fetchval("SELECT 2")) == 2
    heartbeat.close()


async def test_hosts_in_the_query_of_an_address_are_tried_too(server, silent_port, monkeypatch):
    monkeypatch.setattr(connect_module, "_TIMEOUT_PER_HOST", 0.3)
    parts = urlsplit(server.tcp_dsn)
    query = f"host=127.0.0.1,127.0.0.1&port={silent_port},{parts.port}&sslmode=disable"
    connection = await connect(parse_address(f"postgresql://{parts.username}:{parts.password}@/postgres?{query}"))
    assert await connection.fetchval("SELECT inet_server_port()") == parts.port
    await connection.close()
