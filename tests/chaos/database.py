"""The database of the deployment: one PostgreSQL server, or a primary with a standby that takes its place."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from tests.chaos.links import Links
from tests.support.postgres import ROLE, PostgresServer, programs_of

from callsheet.testing.waiters import until

MAX_FAILOVER_SECONDS = 10.0
"""Seconds from the promotion of the standby within which a job must have ended."""
_AS_READER = 2.0
"""Seconds in which the address already leads to the standby, which cannot write yet."""


@dataclass(frozen=True, slots=True)
class Options:
    """Which PostgreSQL is used, and what stands around it."""

    version: int = 18
    pgbouncer: bool = False
    failover: bool = False


class DatabaseServers:
    """The primary, its standby if there is one, and the address of the deployment."""

    def __init__(self, primary: PostgresServer, standby: PostgresServer | None, links: Links) -> None:
        self._primary = primary
        self._standby = standby
        self._links = links
        self._changing = asyncio.Lock()
        self._entry = "database"
        self.url = ""
        """The address for the deployment, through a link and a pooler."""

    @property
    def dsn(self) -> str:
        """The address of the server that can write, without links."""
        return self._primary.dsn

    async def restart(self) -> None:
        """Stop the primary as in a crash, and start it."""
        async with self._changing:
            await asyncio.to_thread(self._primary.stop, immediately=True)
            await asyncio.to_thread(self._primary.start)

    async def fail_over(self) -> float:
        """Stop the primary as in a crash, and make the standby the primary, without a fault besides.

        Returns the seconds from the promotion to the next end of a job.
        """
        async with self._changing:
            assert self._standby is not None, "there is no standby"
            await asyncio.to_thread(self._primary.stop, immediately=True)
            self._links.lead(self._entry, self._standby.port)
            await asyncio.sleep(_AS_READER)
            await asyncio.to_thread(self._standby.promote)
            promoted = time.monotonic()
            self._primary, self._standby = self._standby, None
            await _wait_for_next_end(self.dsn)
            return time.monotonic() - promoted

    async def open(self, stack: AsyncExitStack, folder: Path, free_port: Callable[[], int], pgbouncer: bool) -> None:
        """Open the links of the deployment to the database, and start the pooler."""
        port = self._primary.port
        if pgbouncer:
            self._entry = "database server"
            port = await _start_pgbouncer(
                stack, folder / "pgbouncer", self._primary, await self._links.open(self._entry, port), free_port()
            )
        self.url = self._primary.dsn_at(f"127.0.0.1:{await self._links.open('database', port)}")


def start_servers(
    stack: AsyncExitStack, folder: Path, free_port: Callable[[], int], options: Options
) -> list[PostgresServer]:
    """Start the primary, and its standby if there is to be a failover. They are stopped with the stack."""
    programs = programs_of(options.version)
    if programs is None:
        raise SystemExit(f"PostgreSQL {options.version} is not installed (on Debian 12: apt install postgresql-15)")
    # Commits wait for the standby, so that a failover loses none of them.
    config = {"synchronous_standby_names": "*"} if options.failover else {}
    primary = PostgresServer(folder / "postgres", programs=programs, port=free_port(), config=config)
    stack.callback(primary.stop, immediately=True)
    primary.create()
    primary.start()
    if not options.failover:
        return [primary]
    standby = PostgresServer(folder / "standby", programs=programs, port=free_port(), password=primary.password)
    stack.callback(standby.stop, immediately=True)
    standby.copy(primary)
    standby.start()
    return [primary, standby]


async def _wait_for_next_end(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        before = await connection.fetchval(_SUCCESSES)

        async def has_grown() -> bool:
            return await connection.fetchval(_SUCCESSES) > before

        await until(has_grown, timeout=180)
    finally:
        await connection.close()


_SUCCESSES = "SELECT count(*) FROM events WHERE type = 'job.succeeded'"

_PGBOUNCER_PROGRAM = "/usr/sbin/pgbouncer"
_PGBOUNCER = """
[databases]
postgres = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users.txt
logfile = {folder}/pgbouncer.log
pool_mode = session
default_pool_size = 60
max_client_conn = 200
server_login_retry = 1
"""


async def _start_pgbouncer(
    stack: AsyncExitStack, folder: Path, server: PostgresServer, server_port: int, port: int
) -> int:
    """Start PgBouncer in session mode; returns its port."""
    _write_pgbouncer_files(folder, server, server_port, port)
    process = server.run_beside(_PGBOUNCER_PROGRAM, "-q", "pgbouncer.ini", folder=folder)
    stack.callback(process.wait)
    stack.callback(process.terminate)

    async def listens() -> bool:
        assert process.poll() is None, f"PgBouncer has ended; its log is in {folder}"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    await until(listens, timeout=30)
    return port


def _write_pgbouncer_files(folder: Path, server: PostgresServer, server_port: int, port: int) -> None:
    if not Path(_PGBOUNCER_PROGRAM).exists():
        raise SystemExit("PgBouncer is not installed (on Debian: apt install pgbouncer)")
    folder.mkdir()
    folder.chmod(0o777)  # PgBouncer runs as another user if this one is root.
    (folder / "pgbouncer.ini").write_text(_PGBOUNCER.format(server_port=server_port, port=port, folder=folder))
    (folder / "users.txt").write_text(f'"{ROLE}" "{server.password}"\n')
