"""Follows executions over HTTP, as browsers do, while it writes their events into the database.

python -m bench.peers.watch_client
"""

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import uvloop

from bench.peers.protocol import answer

_WRITE = """
WITH numbered AS (
    UPDATE executions SET last_event = last_event + 1 WHERE id = ANY ($1::uuid[]) RETURNING id, last_event
), stored AS (
    INSERT INTO events (execution_id, number, job_id, type, data)
    SELECT id, last_event, 'a', 'job.progress', '{"progress": 0.5}' FROM numbered RETURNING execution_id
)
SELECT pg_notify(current_schema() || '_events', string_agg(execution_id::text, ',')) FROM stored
"""
_SETTLE = 3.0
"""Seconds for events that are still on their way."""


@dataclass
class Watcher:
    """One stream: what has arrived, and how late."""

    last: int = 0
    lost: int = 0
    """Events that did not follow the one before."""
    waits: list[float] = field(default_factory=list)


async def watch(port: int, store: str, executions: int, watchers: int, length: float, rate: float) -> dict[str, Any]:
    """Follow executions with so many streams; write `rate` events per second for each of them.

    Every tenth stream is cut once, and resumed with Last-Event-ID.
    """
    ids = [await _submit(port) for _ in range(executions)]
    streams = [Watcher() for _ in range(watchers)]
    following = [
        asyncio.create_task(_follow(port, ids[place % executions], stream, cuts=place % 10 == 0))
        for place, stream in enumerate(streams)
    ]
    while not all(stream.last for stream in streams):  # noqa: ASYNC110 - the streams are polled
        await asyncio.sleep(0.05)
    newest = await _write_events(store, ids, length, rate)
    await asyncio.sleep(_SETTLE)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    behind = sum(max(0, newest[ids[place % executions]] - stream.last) for place, stream in enumerate(streams))
    return {
        "waits": [wait for stream in streams for wait in stream.waits],
        "lost": behind + sum(stream.lost for stream in streams),
    }


async def _write_events(store: str, ids: list[str], length: float, rate: float) -> dict[str, int]:
    """Write events, a tenth of the executions at a time; return the number of the newest event of each execution."""
    connection = await asyncpg.connect(store, server_settings={"search_path": "callsheet"})
    parts = [part for part in (ids[start::10] for start in range(10)) if part]
    rounds, due = max(1, round(length * rate)), time.monotonic()
    for _ in range(rounds):
        for part in parts:
            await connection.execute(_WRITE, part)
            due += 1 / rate / len(parts)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    rows = await connection.fetch("SELECT id::text, last_event FROM executions WHERE id = ANY ($1::uuid[])", ids)
    await connection.close()
    return {row["id"]: row["last_event"] for row in rows}


async def _follow(port: int, execution: str, stream: Watcher, *, cuts: bool) -> None:
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            after = f"Last-Event-ID: {stream.last}\r\n" if stream.last else ""
            head = f"GET /api/executions/{execution}/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{after}\r\n"
            writer.write(head.encode())
            with suppress(asyncio.IncompleteReadError):
                await _read(reader, stream, until=stream.last + 5 if cuts else None)
            cuts = False
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, stream: Watcher, *, until: int | None) -> None:
    while until is None or stream.last < until:
        line = await reader.readuntil(b"\n")
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if event["type"] == "job.progress":
            stream.waits.append(time.time() - datetime.fromisoformat(event["at"]).timestamp())
        stream.lost += event["number"] != stream.last + 1
        stream.last = event["number"]


async def _submit(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"executionPlan": {"jobs": [{"id": "a", "operation": "held"}]}})
    head = f"POST /api/executions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    answered = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    text = await reader.readexactly(int(answered.partition("content-length:")[2].split("\r\n")[0]))
    writer.close()
    return str(json.loads(text)["executionId"])


if __name__ == "__main__":
    uvloop.run(answer(watch=watch))
