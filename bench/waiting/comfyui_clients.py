"""Three ways to have a ComfyUI server make a picture, warm; `python -m bench.waiting.comfyui_clients URL FOLDER`.

Each answers when the picture lies on the disk.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from bench.peers.protocol import answer
from callsheet.db.database import Database
from callsheet.domain.plan_validation import read_submission
from callsheet.engine.jobs.submit import submit
from callsheet.operation.catalog import discover

Graph = Mapping[str, Any]

BETWEEN_QUESTIONS = 5.0
"""Seconds, as in `COMFYUI_POLL_INTERVAL_MS=5000`."""
STORE = os.environ["BENCH_STORE"]
CATALOG = discover()


class Clients:
    """What the bench asks for."""

    def __init__(self, url: str, folder: Path, database: Database, listening: asyncpg.Connection) -> None:
        self._url = url
        self._folder = folder
        self._database = database
        self._listening = listening
        self._http = httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False)
        self._id = uuid4().hex
        self._socket: ClientConnection | None = None

    async def bare(self, graph: Graph) -> dict[str, Any]:
        """Send a prompt and hear of its end, over connections that stay open."""
        if self._socket is None:
            address = f"ws{self._url.removeprefix('http')}/ws?clientId={self._id}"
            self._socket = await connect(address, max_size=None, proxy=None)
        began, prompt = time.perf_counter(), await self._send(graph)
        async for message in self._socket:
            told = json.loads(message)
            data = told["data"]
            # By then it stands in the history.
            if told["type"] == "executing" and data.get("node") is None and data.get("prompt_id") == prompt:
                break
        entry = await self._history(prompt)
        assert entry is not None, "the server told of the end before it was one"
        await self._bring(entry)
        return _done(began, entry)

    async def asking(self, graph: Graph) -> dict[str, Any]:
        """Send a prompt and ask for it, at once and every few seconds."""
        began, prompt = time.perf_counter(), await self._send(graph)
        while (entry := await self._history(prompt)) is None:  # noqa: ASYNC110 - a server is asked
            await asyncio.sleep(BETWEEN_QUESTIONS)
        await self._bring(entry)
        return _done(began, entry)

    async def callsheet(self, graph: Graph) -> dict[str, Any]:
        """Submit a plan of one job, and hear of its end."""
        plan = {"jobs": [{"id": "picture", "operation": "comfyui", "params": {"graph": graph}}]}
        heard = asyncio.Event()

        def hear(*_: object) -> None:
            heard.set()

        await self._listening.add_listener("callsheet_events", hear)
        began = time.perf_counter()
        stored = await submit(self._database, read_submission({"executionPlan": plan}), CATALOG, max_jobs=1)
        while (row := await self._ended(stored.execution_id)) is None:
            await asyncio.wait_for(heard.wait(), 60)
            heard.clear()
        seen = time.perf_counter() - began
        await self._listening.remove_listener("callsheet_events", hear)
        if row["status"] != "succeeded":
            raise RuntimeError(f"the job ended as {row['status']}: {row['error']}")
        entry = await self._history(json.loads(row["result"])["promptId"])
        assert entry is not None
        return {**_ended(entry), "seconds": seen, "had": time.time(), "run": row["run"]}

    async def _ended(self, execution: Any) -> asyncpg.Record | None:
        return await self._listening.fetchrow(
            """SELECT status, error, result, extract(epoch FROM finished_at - started_at)::float8 AS run
               FROM execution_jobs WHERE execution_id = $1 AND finished_at IS NOT NULL""",
            execution,
        )

    async def _send(self, graph: Graph) -> str:
        prompt = str(uuid4())
        body = {"prompt": graph, "client_id": self._id, "prompt_id": prompt, "extra_data": {}}
        (await self._http.post("/prompt", json=body)).raise_for_status()
        return prompt

    async def _history(self, prompt: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await self._http.get(f"/history/{prompt}")).json().get(prompt)
        return found

    async def _bring(self, entry: Mapping[str, Any]) -> None:
        for node in entry["outputs"].values():
            for file in node["images"]:
                got = await self._http.get("/view", params=file)
                got.raise_for_status()
                (self._folder / file["filename"]).write_bytes(got.content)


def _done(began: float, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"seconds": time.perf_counter() - began, "had": time.time(), **_ended(entry)}


def _ended(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return when the server had done the work, by its own clock."""
    kind, data = entry["status"]["messages"][-1]
    if kind != "execution_success":
        raise RuntimeError(f"the prompt ended with {kind}")
    return {"ended": data["timestamp"] / 1000}


async def main(url: str, folder: Path) -> None:
    """Answer the bench's requests."""
    listening = await asyncpg.connect(STORE)
    async with Database(STORE) as database:
        clients = Clients(url, folder, database, listening)
        await answer(callsheet=clients.callsheet, bare=clients.bare, asking=clients.asking)


if __name__ == "__main__":
    files = Path(sys.argv[2])
    files.mkdir()
    uvloop.run(main(sys.argv[1], files))
