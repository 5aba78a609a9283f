"""A PostgreSQL that comes with Callsheet and is shared by all its processes on a machine.

A process that uses it is a member, and holds a shared flock on `members`. The kernel drops that lock when a process
ends in whatever way, so a killed member is never counted. Who can take the lock alone was the last.
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

_TURN_SECONDS = 400
_NO_CONFIG: Mapping[str, str] = MappingProxyType({})


class EmbeddedPostgres:
    """A PostgreSQL 18 in a folder, started by the first process that wants it and stopped by the last.

    `port` opens it on 127.0.0.1 too, with a password; `config` holds more settings for postgresql.conf. Both take
    effect when the server starts, so the first member's count. All methods block: call them in a thread.

    A process forked from a member without exec counts as that member until it ends.
    """

    def __init__(self, folder: Path, *, port: int | None = None, config: Mapping[str, str] = _NO_CONFIG) -> None:
        self._folder = folder.expanduser().resolve()
        if not str(self._folder).isprintable():
            raise ConfigurationError(f"PostgreSQL cannot use a folder with such a name: {str(self._folder)!r}")
        self._cluster = Cluster(self._folder, port, config)
        self._membership: int | None = None

    def start(self) -> str:
        """Start the server or join the one that runs; return its address for asyncpg, on a Unix socket.

        Takes about a second the first time, a quarter of one later, milliseconds to join. Heals what a crash left.
        Raises ConfigurationError telling why the server does not start.
        """
        with self._alone() as lock:
            self._join()
            try:
                return self._cluster.socket_dsn(self._cluster.ensure_running(lock))
            except BaseException:
                self._leave()
                raise

    def stop(self) -> None:
        """Leave; the last member out stops the server. Does nothing for one who is no member."""
        if self._membership is not None:
            with self._alone():
                self._leave()

    def restart(self) -> str:
        """Stop the server, whoever uses it, and start it again; return its address."""
        with self._alone() as lock:
            self._cluster.stop()
            return self._cluster.socket_dsn(self._cluster.ensure_running(lock))

    def kill(self) -> None:
        """Kill the server as a crash would; the next `start` of any process brings it back."""
        self._cluster.kill()

    @property
    def server_pid(self) -> int | None:
        """The process id of the server, None while none runs."""
        server = self._cluster.postmaster()
        return server.pid if server else None

    @property
    def tcp_dsn(self) -> str:
        """The server's address on 127.0.0.1, with its password; raises ConfigurationError without `port`."""
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
    def _alone(self) -> Iterator[int]:
        """Hold the lock under which the server is started and stopped; gives its file descriptor."""
        lock = self._open_lock()
        try:
            self._wait_for(lock)
            yield lock
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            os.close(lock)

    def _open_lock(self) -> int:
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            # Others may pass through, as the server's own user must; everything inside is closed to them.
            self._folder.mkdir(mode=0o711, exist_ok=True)
            return self._cluster.open_file("lock", os.O_RDWR)
        except OSError as error:
            raise self._unusable(error) from error

    def _wait_for(self, lock: int) -> None:
        deadline = time.monotonic() + _TURN_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            time.sleep(0.01)
        raise ConfigurationError(
            f"Another process has been starting or stopping PostgreSQL in {self._folder} for minutes"
        )

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"The embedded PostgreSQL cannot use {self._folder} ({error}). Free space there if the disk is full, else "
            "point CALLSHEET_DATA_DIR to a folder of this user, or set DATABASE_URL to a PostgreSQL of your own"
        )
