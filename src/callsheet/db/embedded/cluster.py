"""A PostgreSQL data directory and the server that runs on it.

The server and its child processes inherit an flock on `server.lock`. The kernel releases it when the last of them
exits. So the lock shows whether a server is alive; process ids do not, because they are reused. `postmaster.pid` is
trusted only while the lock is held.

The caller must ensure that only one process at a time starts or stops the server.
"""

import fcntl
import hashlib
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from callsheet.db.embedded.config import write_config
from callsheet.db.embedded.initdb import (
    PASSWORD_FILE,
    ROLE,
    check_version,
    environment,
    find_program,
    initialize,
    is_initialized,
    last_lines,
)
from callsheet.db.embedded.run_as_user import ServerAccount, chown_tree, owner_of, private_folder, select_account
from callsheet.domain.errors import ConfigurationError

SOCKET_PORT = 5432

_START_TIMEOUT = 300
_STOP_TIMEOUT = 60
_ORPHAN_DELAY = 1.0
_MAX_LOG_BYTES = 4 * 2**20
# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS, including the terminating NUL.
_MAX_SOCKET_PATH_BYTES = 103
# SSLRequest: the shortest message that PostgreSQL answers before authentication.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The contents of `postmaster.pid`, which a running server writes."""

    pid: int
    port: int
    socket_folder: str
    status: str


class Cluster:
    """A PostgreSQL cluster in `folder`.

    `port` opens the server on 127.0.0.1 in addition to its Unix socket; `config` adds to postgresql.conf. `programs` is
    the folder of the programs of an earlier PostgreSQL, which created the cluster.
    """

    def __init__(self, folder: Path, port: int | None, config: Mapping[str, str], programs: Path | None = None) -> None:
        self.folder = folder
        self.data = folder / "cluster"
        self.log = folder / "postgres.log"
        self._port = port
        self._config = config
        self._programs = programs

    def ensure_running(self, starting_lock: int) -> Postmaster:
        """Start the server unless it is running, and wait until it accepts connections.

        `starting_lock` is a locked file descriptor. initdb inherits it, so the lock is held even if this process dies
        while initdb runs. Raises ConfigurationError with the end of the server log.
        """
        log_start: int | None = None
        started = time.monotonic()
        while not (server := self._find_responding_server()):
            if (lock := self._try_server_lock()) is not None:
                if log_start is not None:
                    os.close(lock)
                    raise ConfigurationError(f"PostgreSQL did not start in {self.folder}: {self._log_since(log_start)}")
                log_start = self._launch(lock, starting_lock)
            waited = time.monotonic() - started
            if log_start is None and waited > _ORPHAN_DELAY and self.postmaster() is None:
                self._kill_orphans()
            if waited > _START_TIMEOUT:
                raise ConfigurationError(
                    f"PostgreSQL in {self.folder} does not accept connections: {self._log_since(0)}"
                )
            time.sleep(0.01)
        if self._port is not None and server.port != self._port:
            raise ConfigurationError(f"PostgreSQL in {self.folder} is already running, and not on port {self._port}")
        return server

    def stop(self) -> None:
        """Stop the server and wait until all its processes have exited. Does nothing if no server is running.

        A server in another container keeps running, because its process ids are not valid here.
        Raises ConfigurationError if the server does not stop.
        """
        for signal_number, timeout in ((signal.SIGINT, _STOP_TIMEOUT), (signal.SIGQUIT, 15)):
            if self._stop_with(signal_number, timeout):
                return
        raise ConfigurationError(f"PostgreSQL in {self.folder} does not stop: {self._log_since(0)}")

    def kill(self) -> None:
        """Kill the postmaster. Its children exit by themselves or are killed at the next start."""
        if server := self.postmaster():
            _signal(server.pid, signal.SIGKILL)
            while self.postmaster() or self._find_responding_server():
                time.sleep(0.001)

    def postmaster(self) -> Postmaster | None:
        """Return the contents of `postmaster.pid` if that process exists and is PostgreSQL on this folder."""
        recorded = self._read_pid_file()
        return recorded if recorded and _is_postmaster(recorded.pid, self.data) else None

    def socket_dsn(self, server: Postmaster) -> str:
        """Return the asyncpg DSN of the server's Unix socket."""
        return f"postgresql://{ROLE}@/postgres?host={quote(server.socket_folder, safe='')}&port={server.port}"

    def tcp_dsn(self) -> str:
        """Return the DSN on 127.0.0.1, with the password. Raises ConfigurationError if no port is configured."""
        if self._port is None:
            raise ConfigurationError("This embedded PostgreSQL has no TCP port")
        password = (self.data / PASSWORD_FILE).read_text()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self._port}/postgres?sslmode=disable"

    def open_file(self, name: str, flags: int) -> int:
        """Open a file of the folder. Create it if needed, with the owner of the folder."""
        # O_NOFOLLOW: the owner of the folder must not make root chown another file through a symlink.
        descriptor = os.open(self.folder / name, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if os.geteuid() == 0:
            owner = self.folder.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor

    # Server process ------------------------------------------------------------------------------------------

    def _launch(self, server_lock: int, starting_lock: int) -> int:
        """Start the server, which inherits `server_lock`. Close the lock here; return the log offset of the start."""
        try:
            postgres = self._programs / "postgres" if self._programs else find_program("postgres")
            if self._programs is None:
                check_version(self.data)
            account = select_account(postgres, self.folder, owner_of(self.data))
            if not is_initialized(self.data):
                initialize(self.data, account, starting_lock)
            chown_tree(self.data, account)
            socket_folder = self._socket_folder(account)
            self._remove_stale_files(socket_folder)
            args = ("-D", str(self.data), "-c", f"config_file={self._write_config(socket_folder)}")
            command = account.command(postgres, *args, folder=self.data, detached=True)
            return self._run_detached(command, server_lock)
        finally:
            os.close(server_lock)

    def _run_detached(self, command: list[str], server_lock: int) -> int:
        self._rotate_log()
        log = self.open_file(self.log.name, os.O_WRONLY | os.O_APPEND)
        try:
            log_start = os.lseek(log, 0, os.SEEK_END)
            subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                pass_fds=(server_lock,),
                start_new_session=True,
            )
            return log_start
        finally:
            os.close(log)

    def _find_responding_server(self) -> Postmaster | None:
        recorded = self._read_pid_file()
        if recorded is None or recorded.status != "ready":
            return None
        # After a kill, postmaster.pid remains, and the socket can remain for an instant. Only a response proves life.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(f"{recorded.socket_folder}/.s.PGSQL.{recorded.port}")
                probe.sendall(_SSL_REQUEST)
                return recorded if probe.recv(1) else None
            except OSError:
                return None

    def _read_pid_file(self) -> Postmaster | None:
        try:
            text = (self.data / "postmaster.pid").read_text(errors="surrogateescape")
            # A starting server has not yet written all lines.
            pid, _, _, port, socket_folder, _, _, status, *_ = [*text.splitlines(), *[""] * 8]
            return Postmaster(int(pid), int(port or 0), socket_folder, status.strip())
        except (FileNotFoundError, ValueError):
            return None

    def _try_server_lock(self) -> int | None:
        # A server that was started manually does not hold the lock.
        if self.postmaster():
            return None
        lock = self.open_file("server.lock", os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _stop_with(self, signal_number: signal.Signals, seconds: float) -> bool:
        started = time.monotonic()
        signalled: int | None = None
        while (lock := self._try_server_lock()) is None:
            waited = time.monotonic() - started
            server = self.postmaster()
            if server and server.pid != signalled:
                _signal(server.pid, signal_number)
                signalled = server.pid
            elif not server and self._find_responding_server():
                # It runs in another container.
                return True
            elif not server and waited > _ORPHAN_DELAY:
                self._kill_orphans()
            if waited > seconds:
                return False
            time.sleep(0.01)
        os.close(lock)
        return True

    def _kill_orphans(self) -> None:
        """Kill children of a killed postmaster. A child in a long query does not notice, and keeps the memory."""
        title = f"postgres: {self._cluster_name()}:"
        for process in psutil.process_iter(["cmdline"]):
            if (process.info["cmdline"] or [""])[0].startswith(title):
                _signal(process.pid, signal.SIGKILL)

    # Files ---------------------------------------------------------------------------------------------------

    def _write_config(self, socket_folder: Path) -> Path:
        return write_config(
            self.data,
            {
                "cluster_name": self._cluster_name(),
                "unix_socket_directories": str(socket_folder),
                "listen_addresses": "127.0.0.1" if self._port else "",
                "port": str(self._port or SOCKET_PORT),
                **self._config,
            },
        )

    def _remove_stale_files(self, socket_folder: Path) -> None:
        """Remove files of a crash. PostgreSQL would trust an old process id that another process has now."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for leftover in socket_folder.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)

    def _socket_folder(self, account: ServerAccount) -> Path:
        if _fits_socket_path(self.data):
            return self.data
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        temporary = Path(tempfile.gettempdir())
        # A long TMPDIR would exceed the limit again.
        base = temporary if len(str(temporary)) < 60 else Path("/tmp")  # noqa: S108
        return private_folder(base / f"callsheet-{digest}", account)

    def _cluster_name(self) -> str:
        # Device and inode, because another container may have another folder at the same path.
        place = self.data.stat()
        return "callsheet-" + hashlib.sha256(f"{place.st_dev}:{place.st_ino}".encode()).hexdigest()[:16]

    def _rotate_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def _log_since(self, start: int) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(start, file.seek(0, os.SEEK_END) - 8192))
                return last_lines(file.read().decode(errors="replace"))
        except FileNotFoundError:
            return "there is no log"


def _is_postmaster(pid: int, data: Path) -> bool:
    try:
        args = psutil.Process(pid).cmdline()
    except (psutil.Error, ValueError):
        return False
    return args[1:3] == ["-D", str(data)]


def _signal(pid: int, signal_number: signal.Signals) -> None:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return


def _fits_socket_path(folder: Path) -> bool:
    # A comma separates folders for PostgreSQL and hosts for asyncpg. asyncpg requires UTF-8.
    try:
        length = len(f"{folder}/.s.PGSQL.65535.lock".encode())
    except UnicodeEncodeError:
        return False
    return length <= _MAX_SOCKET_PATH_BYTES and "," not in str(folder)
