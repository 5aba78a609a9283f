"""PostgreSQL servers of any version with TCP, for failovers: a primary, and a standby that follows it."""

import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from callsheet.db.embedded.initdb import environment, find_program
from callsheet.db.embedded.run_as_user import select_account

ROLE = "callsheet"
_NO_CONFIG: Mapping[str, str] = MappingProxyType({})
_CONFIG = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    # A standby asks for its primary again soon after it has lost it.
    "wal_retrieve_retry_interval": "500ms",
}
_TIMEOUT = "120"
"""Seconds for a server to start, stop or become the primary."""


def programs_of(version: int) -> Path | None:
    """Return the folder of the programs of a PostgreSQL version: of the installed package, or of Debian. None: neither.

    A version that can be a standby needs pg_basebackup.
    """
    folders = [Path(f"/usr/lib/postgresql/{version}/bin")]
    if version == 18:
        folders.insert(0, find_program("postgres").parent)
    return next((folder for folder in folders if (folder / "pg_basebackup").exists()), None)


class PostgresServer:
    """A server on a port of 127.0.0.1, with its data in `folder`. `config` are settings of the server."""

    def __init__(
        self, folder: Path, *, programs: Path, port: int, password: str = "", config: Mapping[str, str] = _NO_CONFIG
    ) -> None:
        folder.mkdir(mode=0o700, parents=True)
        account = select_account(programs / "postgres", folder, None)
        # initdb and pg_basebackup look up the name of their user.
        self._account = account.with_passwd_entry()
        if self._account.uid is not None:
            os.chown(folder, self._account.uid, self._account.gid or -1)
        self._folder = folder
        self._programs = programs
        self._config = {**_CONFIG, **config}
        self.port = port
        self.password = password or secrets.token_urlsafe(24)

    @property
    def dsn(self) -> str:
        """The address, with the password."""
        return self.dsn_at(f"127.0.0.1:{self.port}")

    def dsn_at(self, hosts: str) -> str:
        """Return the address with other hosts."""
        return f"postgresql://{ROLE}:{self.password}@{hosts}/postgres?sslmode=disable"

    def create(self) -> None:
        """Create an empty database."""
        file = self._folder / "password"
        file.write_text(self.password)
        file.chmod(0o644)  # in a private folder
        options = ["--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256"]
        self._run("initdb", "-D", self._data, "-U", ROLE, f"--pwfile={file}", *options)

    def copy(self, primary: "PostgresServer") -> None:
        """Become a standby of a running server."""
        source = f"host=127.0.0.1 port={primary.port} user={ROLE} password={primary.password}"
        self._run("pg_basebackup", "-D", self._data, "-d", source, "--write-recovery-conf", "--checkpoint=fast")

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        settings = {**self._config, "port": str(self.port)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        log = str(self._folder / "postgres.log")
        self._run("pg_ctl", "start", "-D", self._data, "-w", "-t", _TIMEOUT, "-l", log, "-o", options)

    def stop(self, *, immediately: bool = False) -> None:
        """Stop the server if it runs. `immediately`: without a shutdown, as in a crash."""
        if (self._folder / "data" / "postmaster.pid").exists():
            mode = "immediate" if immediately else "fast"
            self._run("pg_ctl", "stop", "-D", self._data, "-w", "-t", _TIMEOUT, "-m", mode)

    def promote(self) -> None:
        """Make a standby the primary, and wait until it can write."""
        self._run("pg_ctl", "promote", "-D", self._data, "-w", "-t", _TIMEOUT)

    def run_beside(self, program: str, *arguments: str, folder: Path) -> subprocess.Popen[bytes]:
        """Start another program under the user of the server."""
        return subprocess.Popen(self._account.command(Path(program), *arguments, folder=folder), env=environment())

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        command = self._account.command(self._programs / program, *arguments, folder=self._folder)
        # Not to pipes: the server would inherit them, and they would never be closed.
        with (self._folder / f"{program}.log").open("ab") as log:
            done = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{(self._folder / f'{program}.log').read_text()[-1500:]}")
