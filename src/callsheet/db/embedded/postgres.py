"""The embedded PostgreSQL, shared by all Callsheet processes of a machine.

Each process that uses it is a member and holds a shared flock on `members`. The kernel releases the lock when the
process exits, so a killed member does not count. A member that can take the exclusive lock is the last one.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

from callsheet.db.embedded.cluster import Cluster
from callsheet.domain.errors import ConfigurationError

_LOCK_TIMEOUT = 400
_NO_CONFIG: Mapping[str, str] = MappingProxyType({})


class EmbeddedPostgres:
    """A PostgreSQL 18 in a folder. The first member starts it, and the last one stops it.

    `port` opens it on 127.0.0.1 in addition to the Unix socket, with a password. `config` adds to postgresql.conf. Both
    apply at the start of the server, so those of the first member count. All methods block: call them in a thread.

    `programs` is the folder of the programs of an earlier PostgreSQL, for a folder that it created.

    A process that was forked from a member without exec shares its membership.

        with EmbeddedPostgres(Path("data/postgres")) as dsn:
            ...
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        config: Mapping[str, str] = _NO_CONFIG,
        programs: Path | None = None,
    ) -> None:
        self._folder = folder.expanduser().resolve()
        if not str(self._folder).isprintable():
            raise ConfigurationError(f"PostgreSQL cannot use a folder with this name: {str(self._folder)!r}")
        self._cluster = Cluster(self._folder, port, config, programs)
        self._membership: int | None = None

    def start(self) -> str:
        """Become a member: start the server or join the running one. Return the asyncpg DSN of its Unix socket.

        Takes about 1 s the first time, 0.25 s later, and milliseconds to join. Recovers from an earlier crash.
        Raises ConfigurationError with the reason if the server does not start.
        """
        with self._exclusive() as lock:
            self._join()
            try:
                return self._cluster.socket_dsn(self._cluster.ensure_running(lock))
            except BaseException:
                self._leave()
                raise

    def stop(self) -> None:
        """Leave; the last member stops the server. Does nothing if this process is not a member."""
        if self._membership is not None:
            with self._exclusive():
                self._leave()

    def restart(self) -> str:
        """Restart the server, even if it has other members. Return its DSN."""
        with self._exclusive() as lock:
            self._cluster.stop()
            return self._cluster.socket_dsn(self._cluster.ensure_running(lock))

    def is_in_use(self) -> bool:
        """Return whether any process is a member, or a server runs."""
        if self.server_pid is not None:
            return True
        try:
            members = os.open(self._folder / "members", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(members, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(members)
        return False

    def stop_left_server(self) -> None:
        """Stop a server whose members were all killed. Does nothing if there is none."""
        if self.server_pid is not None:
            with self._exclusive():
                self._cluster.stop()

    def kill(self) -> None:
        """Kill the server to simulate a crash. The next `start` of any process restarts it."""
        self._cluster.kill()

    @property
    def server_pid(self) -> int | None:
        """The process id of the server, or None if it is not running."""
        server = self._cluster.postmaster()
        return server.pid if server else None

    @property
    def tcp_dsn(self) -> str:
        """The DSN on 127.0.0.1, with the password. Raises ConfigurationError without `port`."""
        return self._cluster.tcp_dsn()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _join(self) -> None:
        if self._membership is None:
            members = self._cluster.open_file("members", os.O_RDWR)
            fcntl.flock(members, fcntl.LOCK_SH)
            self._membership = members

    def _leave(self) -> None:
        if self._membership is None:
            return
        members, self._membership = self._membership, None
        try:
            fcntl.flock(members, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            self._cluster.stop()
        finally:
            os.close(members)

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[int]:
        """Hold the lock that serializes start and stop. Yields its file descriptor."""
        lock = self._open_lock()
        try:
            self._acquire(lock)
            yield lock
        except OSError as error:
            raise self._folder_error(error) from error
        finally:
            os.close(lock)

    def _open_lock(self) -> int:
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            # 0711: the user of the server must be able to traverse the folder. Its contents are private.
            self._folder.mkdir(mode=0o711, exist_ok=True)
            return self._cluster.open_file("lock", os.O_RDWR)
        except OSError as error:
            raise self._folder_error(error) from error

    def _acquire(self, lock: int) -> None:
        deadline = time.monotonic() + _LOCK_TIMEOUT
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            time.sleep(0.01)
        raise ConfigurationError(
            f"Another process has held the lock to start or stop PostgreSQL in {self._folder} for {_LOCK_TIMEOUT} s"
        )

    def _folder_error(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"The embedded PostgreSQL cannot use {self._folder} ({error}). Free disk space if the disk is full. "
            "Otherwise set CALLSHEET_DATA_DIR to a folder of this user, or set DATABASE_URL to your own PostgreSQL"
        )
