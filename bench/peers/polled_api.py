"""An API that hands out tasks over HTTP, and a program that asks for them, one at a time, and only calls back.

python -m bench.peers.polled_api submit | work
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from bench.peers.protocol import answer, reply, timed

IDLE_SECONDS = 0.02


class TaskServer:
    """The API: an ASGI application."""

    def __init__(self) -> None:
        self.tasks: deque[dict[str, Any]] = deque()
        self.completed = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Hand out the next task, or count a callback."""
        if scope["method"] == "GET":
            body = json.dumps(self.tasks.popleft()).encode() if self.tasks else b""
        else:
            result, more = b"", True
            while more:
                message = await receive()
                result, more = result + message["body"], message.get("more_body", False)
            self.completed += json.loads(result)["status"] == "COMPLETED"
            body = b"{}"
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200 if body else 204, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def serve(port: int) -> None:
    """Run the API, and answer the bench's requests."""
    api = TaskServer()
    server = uvicorn.Server(uvicorn.Config(api, port=port, log_level="error", access_log=False, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    run = 0

    def add(name: str, jobs: int) -> None:
        nonlocal run
        run += 1
        api.tasks.extend({"id": f"{name}-{run}-{number}", "kind": name, "n": number} for number in range(jobs))

    async def bulk(jobs: int) -> dict[str, Any]:
        wanted = api.completed + jobs

        async def submit() -> None:
            add("noop", jobs)

        async def all_reported() -> bool:
            return api.completed >= wanted

        return await timed(submit, all_reported)

    async def open_tasks(jobs: int) -> dict[str, Any]:
        add("held", jobs)
        return {"jobs": jobs}

    await answer(bulk=bulk, open=open_tasks)
    server.should_exit = True
    await serving


def work(address: str) -> None:
    """Ask, and call back; over one connection that stays open."""
    connection = HTTPConnection(address)
    reply(ready=True)
    while True:
        connection.request("GET", "/api/worker/task")
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            time.sleep(IDLE_SECONDS)
            continue
        task = json.loads(text)
        result = json.dumps({"id": task["id"], "job_id": task["id"], "status": "COMPLETED", "files": []})
        path = f"/api/worker/callback/{task['id']}"
        connection.request("POST", path, result, {"Content-Type": "application/json"})
        connection.getresponse().read()


if __name__ == "__main__":
    store = urlsplit(os.environ["BENCH_STORE"])
    if sys.argv[1] == "submit":
        asyncio.run(serve(int(store.port or 0)))
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        work(store.netloc)
