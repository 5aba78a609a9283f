"""Sends HTTP requests over kept-alive connections, without an HTTP library: one would use more CPU than the servers.

python -m bench.peers.http_client
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import uvloop

from bench.peers.protocol import answer

PLAN = {"jobs": [{"id": "a", "operation": "noop", "params": {"n": 0}}]}


async def post(port: int, path: str, requests: int, connections: int) -> dict[str, Any]:
    """Post so many one-job plans; return when the first began and the last was answered, and all statuses."""
    numbers = iter(range(requests))
    statuses: Counter[int] = Counter()
    seconds: list[float] = []
    began = time.monotonic()
    async with asyncio.TaskGroup() as senders:
        for _ in range(connections):
            senders.create_task(_send(port, path, numbers, statuses, seconds))
    return {"began": began, "submitted": time.monotonic(), "statuses": statuses, "seconds": seconds}


async def _send(port: int, path: str, numbers: Iterator[int], statuses: Counter[int], seconds: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in numbers:
        began = time.monotonic()
        writer.write(_request(port, path))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        await reader.readexactly(int(head.partition("content-length:")[2].split("\r\n")[0]))
        statuses[int(head.split(" ", 2)[1])] += 1
        seconds.append(time.monotonic() - began)
    writer.close()


def _request(port: int, path: str) -> bytes:
    body = json.dumps(PLAN).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    uvloop.run(answer(post=post))
