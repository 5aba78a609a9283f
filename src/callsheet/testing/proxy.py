"""A network in between that can be cut, slowed down, held, or go silent.

async with Proxy("127.0.0.1", 5432) as proxy:
    ...  # connect to 127.0.0.1:proxy.port
    proxy.go_silent()  # what is connected stays connected, and hears nothing any more
"""

import asyncio
import contextlib
from types import TracebackType

_CHUNK = 64 * 1024


class _Link:
    """One connection through the proxy."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near = near
        self.far = far
        self.silent = False

    def cut(self) -> None:
        for end in (self.near, self.far):
            end.transport.abort()


class Proxy:
    """Passes TCP connections from a port of its own on 127.0.0.1 on to `host`:`port`."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._far_port = port
        self._links: set[_Link] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.delay = 0.0
        """Seconds by which everything is late, in both directions."""
        self.accepting = True
        """Whether new connections get through; if not, they are closed at once."""

    @property
    def port(self) -> int:
        """Where to connect to."""
        assert self._server is not None, "the proxy is not open"  # noqa: S101
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many are open, silent ones included."""
        return len(self._links)

    def cut(self) -> None:
        """Break all connections off, as a reset does; new ones get through."""
        for link in list(self._links):
            link.cut()

    def go_silent(self) -> None:
        """Swallow everything on the connections that are open, in both directions, closes included.

        So a firewall forgets a connection: each side believes that it still has the other. New connections work.
        """
        for link in self._links:
            link.silent = True

    def hold(self) -> None:
        """Let nothing through until `release`; nothing is lost."""
        self._flowing.clear()

    def release(self) -> None:
        """Let through what was held, and all that follows."""
        self._flowing.set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None  # noqa: S101 - entered before
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a server runs this as a task
        self._tasks.add(task)
        try:
            # A proxy that ends takes its connections with it; that is no error of theirs.
            with contextlib.suppress(asyncio.CancelledError):
                await self._join(reader, writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.accepting:
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._far_port)
        except OSError:
            return
        link = _Link(writer, far_writer)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, reader, far_writer))
                pumps.create_task(self._pump(link, far_reader, writer))
        finally:
            self._links.discard(link)
            link.cut()

    async def _pump(self, link: _Link, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(_CHUNK):
                await self._flowing.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if not link.silent:
                    target.write(data)
                    await target.drain()
        if link.silent:
            await asyncio.Event().wait()
        link.cut()
