"""Asks a server for `/health` every 20 ms while it submits one plan.

python -m bench.peers.health_client
"""

import asyncio
import time
from typing import Any

import uvloop

from bench.peers.protocol import answer

INTERVAL = 0.02
"""Seconds."""
AROUND = 1.0
"""Seconds that are measured before and after the plan."""


async def probe(port: int, text: str | None) -> dict[str, Any]:
    """Submit a plan, if any; return how long each request for `/health` waited, and the response to the plan."""
    ended = asyncio.Event()
    probing = asyncio.create_task(_probe(port, ended))
    await asyncio.sleep(AROUND)
    began = time.monotonic()
    status = await _submit(port, text) if text is not None else None
    seconds = time.monotonic() - began
    await asyncio.sleep(AROUND)
    ended.set()
    return {"waits": await probing, "status": status, "seconds": seconds}


async def _probe(port: int, ended: asyncio.Event) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    waits: list[float] = []
    due = time.monotonic()
    while not ended.is_set():
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        writer.write(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        if await _response(reader) != 200:
            raise RuntimeError("the server is not healthy")
        waits.append(time.monotonic() - due)
        due += INTERVAL
    writer.close()
    return waits


async def _submit(port: int, text: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = text.encode()
    head = (
        f"POST /api/execute HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    status = await _response(reader)
    writer.close()
    return status


async def _response(reader: asyncio.StreamReader) -> int:
    """Read a response to its end; return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    await reader.readexactly(int(head.partition("content-length:")[2].split("\r\n")[0]))
    return int(head.split(" ", 2)[1])


if __name__ == "__main__":
    uvloop.run(answer(probe=probe))
