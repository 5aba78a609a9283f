"""Small web servers for tests, including misbehaving ones."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpcore2

Handler = Callable[["Request"], Awaitable[None]]


@dataclass
class Request:
    """One received request. The handler writes the response byte by byte."""

    path: str
    headers: dict[str, str]
    body: bytes
    _writer: asyncio.StreamWriter
    closing: asyncio.Event

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def respond(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Send a complete response. Header names are written with underscores."""
        encoded = {name.replace("_", "-"): value for name, value in headers.items()}
        encoded.setdefault("Content-Length", str(len(body)))
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in encoded.items()), "Connection: close"]
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


@dataclass
class Server:
    port: int
    requests: list[Request] = field(default_factory=list)

    def url(self, path: str = "/clip.mp4") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@asynccontextmanager
async def serve(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run a server that calls `handler` for each request and then closes the connection."""
    server, closing, tasks = Server(0), asyncio.Event(), set[asyncio.Task[None]]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Request(head[0].split(" ")[1], headers, body, writer, closing)
            server.requests.append(request)
            await handler(request)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client closed the connection; some tests do so on purpose
        finally:
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        closing.set()
        listener.close()
        if tasks:
            await asyncio.wait(tasks, timeout=5)


class RedirectingBackend(httpcore2.AsyncNetworkBackend):
    """Records the requested addresses, and connects to a local server instead."""

    def __init__(self, port: int, *, unreachable: Iterable[str] = ()) -> None:
        self.connected: list[tuple[str, int]] = []
        self._port = port
        self._unreachable = set(unreachable)
        self._real = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.connected.append((host, port))
        if host in self._unreachable:
            raise httpcore2.ConnectError("the connection was refused")
        return await self._real.connect_tcp("127.0.0.1", self._port, timeout)
