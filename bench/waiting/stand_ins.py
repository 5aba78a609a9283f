"""A stand-in of a provider, in a process of its own.

python -m bench.waiting.stand_ins videos | replicate | comfyui FOLDER

A provider knows the tasks `w1`, `w2`, … as if they had been ordered long ago.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench.peers.talk import answer
from callsheet.fakes.comfyui.fake_server import FakeComfyUI, running_comfyui
from callsheet.fakes.providers.fake_server import FakeServer, FakeTask
from callsheet.fakes.providers.openai_videos import FakeOpenAIVideos
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import Runs, Stage, Succeeds
from callsheet.fakes.providers.webhook_script import WebhookScript

CONNECTIONS = 32
TICK = 0.1
"""Seconds that a step of a `Step` node takes on the stand-in of ComfyUI."""


class Provider:
    """A stand-in, as the bench asks it."""

    def __init__(self, stand_in: FakeServer, course: Sequence[Stage]) -> None:
        self._stand_in = stand_in
        self._course = course
        self._looks = 0
        seen = stand_in.seen

        def counted(taken: FakeTask) -> Stage:
            self._looks += 1
            return seen(taken)

        stand_in.seen = counted  # type: ignore[method-assign]

    async def know(self, tasks: int) -> dict[str, Any]:
        """Know so many tasks; tells the settings that lead here."""
        made, told = datetime.now(UTC), {"prompt": "A red fox in the snow"}
        for name in (f"w{number}" for number in range(1, tasks + 1)):
            self._stand_in.taken[name] = FakeTask(
                name, self._stand_in.model, told, None, self._course, WebhookScript(), made, extra={"version": None}
            )
        return {"environment": self._stand_in.environment(), "model": self._stand_in.model}

    async def looks(self) -> dict[str, Any]:
        """Tell how often tasks were looked at."""
        return {"looks": self._looks}

    async def call(self, port: int, calls: list[tuple[str, str]], connections: int = CONNECTIONS) -> dict[str, Any]:
        """Call with the signed message of each task, so many at a time; tells when it began, and each answer."""
        waiting = iter([self._request(port, *each) for each in calls])
        statuses: Counter[int] = Counter()
        seconds: list[float] = []
        began, moment = time.time(), time.perf_counter()
        async with asyncio.TaskGroup() as callers:
            for _ in range(connections):
                callers.create_task(_calling(port, waiting, statuses, seconds))
        return {"began": began, "took": time.perf_counter() - moment, "statuses": statuses, "seconds": seconds}

    def _request(self, port: int, task: str, path: str) -> bytes:
        taken = self._stand_in.taken[task]
        body = self._stand_in.message(taken)
        headers = {
            "Host": f"127.0.0.1:{port}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **self._stand_in.signed(taken, body, datetime.now(UTC)),
        }
        return f"POST {path} HTTP/1.1\r\n".encode() + _lines(headers) + b"\r\n" + body


async def _calling(port: int, waiting: Iterator[bytes], statuses: Counter[int], seconds: list[float]) -> None:
    """Send requests over one connection, one after the other."""
    # By hand: an HTTP client would take more of the two cores than what is measured.
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in waiting:
        began = time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        await reader.readexactly(int(head.partition("content-length:")[2].split("\r\n")[0]))
        statuses[int(head.split(" ", 2)[1])] += 1
        seconds.append(time.perf_counter() - began)
    writer.close()


def _lines(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


async def provide(name: str) -> None:
    """Be a provider, and answer the bench."""
    kinds: dict[str, tuple[type[FakeServer], tuple[Stage]]] = {
        "videos": (FakeOpenAIVideos, (Runs(0.5),)),
        "replicate": (FakeReplicate, (Succeeds(),)),
    }
    kind, course = kinds[name]
    async with kind() as stand_in:
        provider = Provider(stand_in, course)
        await answer(know=provider.know, looks=provider.looks, call=provider.call)


async def run_workflows(folder: Path) -> None:
    """Be a ComfyUI server, and answer the bench."""
    async with running_comfyui(folder) as server:

        async def where() -> dict[str, Any]:
            return {"url": server.url}

        ticking = asyncio.create_task(_tick(server))
        await answer(where=where)
        ticking.cancel()


async def _tick(server: FakeComfyUI) -> None:
    while True:
        await asyncio.sleep(TICK)
        if server.executor.step_permits.locked():
            server.executor.step_permits.release()


if __name__ == "__main__":
    uvloop.run(run_workflows(Path(sys.argv[2])) if sys.argv[1] == "comfyui" else provide(sys.argv[1]))
