"""Receivers of webhooks on real sockets, in good and bad weather."""

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager


class Receiver:
    """An HTTP server with scripted responses that records its requests.

    A response is a status line with optional headers, or `hang`, `reset` (the connection is cut), `drip` (200 with a
    body that never ends). Without a response left it answers `default`.
    """

    def __init__(self, responses, default="204 No Content"):
        self.responses = list(responses)
        self.default = default
        self.received = asyncio.Queue()
        self.url = ""

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            await self.received.put((first, headers, body))
            await self._respond(writer, self.responses.pop(0) if self.responses else self.default)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _respond(self, writer, response):
        if response == "hang":
            await asyncio.sleep(60)  # sleep: it hangs until the sender gives up
        elif response == "reset":
            # With a linger time of 0, the kernel sends RST.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif response == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)
        else:
            writer.write(f"HTTP/1.1 {response}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()

    async def next(self):
        """Return the next request: its first line, its headers, its body."""
        return await asyncio.wait_for(self.received.get(), 30)

    async def next_message(self):
        """Return the next body."""
        return json.loads((await self.next())[2])


@asynccontextmanager
async def receiving(*responses, default="204 No Content"):
    """Run a receiver."""
    receiver = Receiver(responses, default)
    handlers = set()

    async def serve(reader, writer):
        handlers.add(asyncio.current_task())
        await receiver.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=500)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?token=t"
    try:
        yield receiver
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


@asynccontextmanager
async def sending(runtime):
    """Run a sender beside the server."""
    task = asyncio.create_task(runtime.webhook_sender().run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
