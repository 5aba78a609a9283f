"""Three clients of a ComfyUI server; `python -m bench.waiting.comfyui_clients URL FOLDER`.

Each returns when the image is on the disk.
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
from callsheet.operation_api.catalog import discover

Graph = Mapping[str, Any]

POLL_INTERVAL = 5.0
"""Seconds; the default of `comfyui_poll_interval`."""
STORE = os.environ["BENCH_STORE"]
CATALOG = discover()


class Clients:
    """The clients, each as one command of the benchmark."""

    def __init__(self, url: str, folder: Path, database: Database, listening: asyncpg.Connection) -> None:
        self._url = url
        self._folder = folder
        self._database = database
        self._listening = listening
        self._http = httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False)
        self._id = uuid4().hex
        self._socket: ClientConnection | None = None

    async def bare(self, graph: Graph) -> dict[str, Any]:
        """Submit a prompt and wait for the websocket message of its end; connections stay open."""
        if self._socket is None:
            address = f"ws{self._url.removeprefix('http')}/ws?clientId={self._id}"
            self._socket = await connect(address, max_size=None, proxy=None)
        began, prompt = time.perf_counter(), await self._submit(graph)
        async for text in self._socket:
            message = json.loads(text)
            data = message["data"]
            # This message is sent after the history entry is written.
            if message["type"] == "executing" and data.get("node") is None and data.get("prompt_id") == prompt:
                break
        entry = await self._history(prompt)
        assert entry is not None, "the prompt has ended without a history entry"
        await self._download(entry)
        return _done(began, entry)

    async def polling(self, graph: Graph) -> dict[str, Any]:
        """Submit a prompt and poll its history, at once and then every 5 s."""
        began, prompt = time.perf_counter(), await self._submit(graph)
        while (entry := await self._history(prompt)) is None:  # noqa: ASYNC110 - the server is polled
            await asyncio.sleep(POLL_INTERVAL)
        await self._download(entry)
        return _done(began, entry)

    async def callsheet(self, graph: Graph) -> dict[str, Any]:
        """Submit a plan of one job, and wait for the notification of its end."""
        plan = {"jobs": [{"id": "image", "operation": "comfyui", "params": {"graph": graph}}]}
        notified = asyncio.Event()

        def on_event(*_: object) -> None:
            notified.set()

        await self._listening.add_listener("callsheet_events", on_event)
        began = time.perf_counter()
        stored = await submit(self._database, read_submission({"executionPlan": plan}), CATALOG, max_jobs=1)
        while (row := await self._ended(stored.execution_id)) is None:
            await asyncio.wait_for(notified.wait(), 60)
            notified.clear()
        seconds = time.perf_counter() - began
        await self._listening.remove_listener("callsheet_events", on_event)
        if row["status"] != "succeeded":
            raise RuntimeError(f"the job ended as {row['status']}: {row['error']}")
        entry = await self._history(json.loads(row["result"])["promptId"])
        assert entry is not None
        return {**_ended(entry), "seconds": seconds, "downloaded": time.time(), "run": row["run"]}

    async def _ended(self, execution: Any) -> asyncpg.Record | None:
        return await self._listening.fetchrow(
            """SELECT status, error, result, extract(epoch FROM finished_at - started_at)::float8 AS run
               FROM execution_jobs WHERE execution_id = $1 AND finished_at IS NOT NULL""",
            execution,
        )

    async def _submit(self, graph: Graph) -> str:
        prompt = str(uuid4())
        body = {"prompt": graph, "client_id": self._id, "prompt_id": prompt, "extra_data": {}}
        (await self._http.post("/prompt", json=body)).raise_for_status()
        return prompt

    async def _history(self, prompt: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await self._http.get(f"/history/{prompt}")).json().get(prompt)
        return found

    async def _download(self, entry: Mapping[str, Any]) -> None:
        for node in entry["outputs"].values():
            for file in node["images"]:
                response = await self._http.get("/view", params=file)
                response.raise_for_status()
                (self._folder / file["filename"]).write_bytes(response.content)


def _done(began: float, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"seconds": time.perf_counter() - began, "downloaded": time.time(), **_ended(entry)}


def _ended(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the time at which the prompt ended, by the server's clock."""
    kind, data = entry["status"]["messages"][-1]
    if kind != "execution_success":
        raise RuntimeError(f"the prompt ended with {kind}")
    return {"ended": data["timestamp"] / 1000}


async def main(url: str, folder: Path) -> None:
    """Run the commands of the benchmark."""
    listening = await asyncpg.connect(STORE)
    async with Database(STORE) as database:
        clients = Clients(url, folder, database, listening)
        await answer(callsheet=clients.callsheet, bare=clients.bare, polling=clients.polling)


if __name__ == "__main__":
    files = Path(sys.argv[2])
    files.mkdir()
    uvloop.run(main(sys.argv[1], files))
