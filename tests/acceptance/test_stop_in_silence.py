"""SIGTERM while the network is silent: connections stay open, and no response arrives."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from processes import as_environment
from pydantic import SecretStr

from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.upgrade import upgrade
from callsheet.testing.waiters import until
from support.proxy import Proxy

GRACE = 1
BOUND = GRACE + 10 + 15
"""The grace period, the time for the database, and a margin for a busy machine."""


@pytest.fixture
async def proxy(tmp_path):
    """A proxy in front of a database of its own; `proxy.dsn` leads through it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = EmbeddedPostgres(tmp_path / "postgres", port=port)
    server.start()
    await upgrade(server.tcp_dsn)
    async with Proxy("127.0.0.1", port) as proxy:
        proxy.dsn = server.tcp_dsn.replace(f":{port}/", f":{proxy.port}/")
        yield proxy
    server.stop()


@contextmanager
def command(settings, log, *arguments):
    changed = settings.model_copy(update={"grace_period": timedelta(seconds=GRACE)})
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "callsheet", *arguments],
            env={**os.environ, **as_environment(changed)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


@pytest.mark.parametrize(
    ("arguments", "started"),
    [(["serve", "--port", "0"], "Callsheet listens"), (["worker"], "worker started")],
    ids=["serve", "worker"],
)
async def test_a_process_ends_with_0_while_the_database_is_silent(arguments, started, settings, proxy, tmp_path):
    log = tmp_path / "log"
    settings = settings.model_copy(update={"database_url": SecretStr(proxy.dsn)})
    with command(settings, log, *arguments) as process:
        await until(lambda: started in log.read_text(), timeout=90)
        proxy.hold()

        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await until(lambda: process.poll() is not None, timeout=2 * BOUND)

    assert (process.returncode, time.monotonic() - began < BOUND) == (0, True), log.read_text()


@pytest.mark.parametrize("arguments", [["serve", "--port", "0"], ["worker"]], ids=["serve", "worker"])
async def test_a_process_that_waits_for_the_database_ends_with_0(arguments, settings, proxy, tmp_path):
    log = tmp_path / "log"
    proxy.hold()
    settings = settings.model_copy(update={"database_url": SecretStr(proxy.dsn)})
    with command(settings, log, *arguments) as process:
        await until(lambda: proxy.connections, timeout=90)
        process.send_signal(signal.SIGTERM)
        await until(lambda: process.poll() is not None, timeout=2 * BOUND)

    assert process.returncode == 0, log.read_text()
