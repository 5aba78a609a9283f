"""A TCP proxy that can cut, delay, hold or silently drop connections.

async with Proxy("127.0.0.1", 5432) as proxy:
    ...  # connect to 127.0.0.1:proxy.port
    proxy.drop_silently()  # open connections stay open, and receive nothing more
"""

import asyncio
import contextlib
from types import TracebackType

_CHUNK = 64 * 1024


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.is_silent = False

    def cut(self) -> None:
        for end in (self.client, self.server):
            end.transport.abort()


class Proxy:
    """Forwards TCP connections from a free port of 127.0.0.1 to `host`:`port`.

    Setting `target_port` leads new connections to another server; those that are open stay where they are.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self.target_port = port
        self._links: set[_Link] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._responding = asyncio.Event()
        self._responding.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.delay = 0.0
        """Delay in seconds of all data, in both directions."""
        self.accepting = True
        """Whether new connections are forwarded; otherwise they are closed immediately."""
        self.refused = 0
        """Number of connections that were closed immediately."""

    @property
    def port(self) -> int:
        """The port of the proxy."""
        assert self._server is not None, "the proxy is not open"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """The number of open connections, including silent ones."""
        return len(self._links)

    def cut(self) -> None:
        """Reset all open connections. New ones are forwarded."""
        for link in list(self._links):
            link.cut()

    def drop_silently(self) -> None:
        """Drop all data and closes of the open connections, in both directions.

        A firewall behaves like this when it forgets a connection: both sides still consider it open. New connections
        are forwarded.
        """
        for link in self._links:
            link.is_silent = True

    def hold(self) -> None:
        """Hold all data until `release`."""
        self._flowing.clear()

    def hold_responses(self) -> None:
        """Hold the data of the server until `release`. Requests still reach it."""
        self._responding.clear()

    def release(self) -> None:
        """Forward the held data, and all that follows."""
        self._flowing.set()
        self._responding.set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # The connections end with the proxy; that is not an error.
            with contextlib.suppress(asyncio.CancelledError):
                await self._forward(reader, writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.accepting:
            self.refused += 1
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(self._host, self.target_port)
        except OSError:
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, reader, server_writer))
                pumps.create_task(self._pump(link, server_reader, writer))
        finally:
            self._links.discard(link)
            link.cut()

    async def _pump(self, link: _Link, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(_CHUNK):
                await self._flowing.wait()
                if target is link.client:
                    await self._responding.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if not link.is_silent:
                    target.write(data)
                    await target.drain()
        if link.is_silent:
            await asyncio.Event().wait()
        link.cut()
