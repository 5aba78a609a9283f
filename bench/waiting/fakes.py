"""A fake provider or ComfyUI server in its own process.

python -m bench.waiting.fakes videos | replicate | comfyui FOLDER [PORT]

A provider can be given the tasks `w1`, `w2`, …, as if they had been submitted before.
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

from bench.peers.protocol import answer
from callsheet.fakes.comfyui.fake_server import FakeComfyUI, running_comfyui
from callsheet.fakes.providers.fake_server import FakeServer, FakeTask
from callsheet.fakes.providers.openai_videos import FakeOpenAIVideos
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import Running, Stage, Succeeded
from callsheet.fakes.providers.webhook_script import WebhookScript

CONNECTIONS = 32
TICK = 0.1
"""Duration of a step of a `Step` node on the fake ComfyUI server, in seconds."""


class Provider:
    """A fake provider that the benchmark controls."""

    def __init__(self, fake: FakeServer, script: Sequence[Stage]) -> None:
        self._fake = fake
        self._script = script
        self._polls = 0
        seen = fake.advance

        def counted(taken: FakeTask) -> Stage:
            self._polls += 1
            return seen(taken)

        fake.advance = counted  # type: ignore[method-assign]

    async def add_tasks(self, tasks: int) -> dict[str, Any]:
        """Add tasks; return the settings of this provider."""
        created, params = datetime.now(UTC), {"prompt": "A red fox in the snow"}
        for name in (f"w{number}" for number in range(1, tasks + 1)):
            self._fake.tasks[name] = FakeTask(
                name, self._fake.model, params, None, self._script, WebhookScript(), created, extra={"version": None}
            )
        return {"environment": self._fake.environment(), "model": self._fake.model}

    async def polls(self) -> dict[str, Any]:
        """Return the number of polls so far."""
        return {"polls": self._polls}

    async def send_webhooks(
        self, port: int, calls: list[tuple[str, str]], connections: int = CONNECTIONS
    ) -> dict[str, Any]:
        """Send the signed webhook of each task over `connections`; return the start time and the response statuses."""
        waiting = iter([self._request(port, *each) for each in calls])
        statuses: Counter[int] = Counter()
        seconds: list[float] = []
        began, moment = time.time(), time.perf_counter()
        async with asyncio.TaskGroup() as senders:
            for _ in range(connections):
                senders.create_task(_send(port, waiting, statuses, seconds))
        return {"began": began, "took": time.perf_counter() - moment, "statuses": statuses, "seconds": seconds}

    def _request(self, port: int, task: str, path: str) -> bytes:
        taken = self._fake.tasks[task]
        body = self._fake.webhook_body(taken)
        headers = {
            "Host": f"127.0.0.1:{port}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **self._fake.webhook_headers(taken, body, datetime.now(UTC)),
        }
        return f"POST {path} HTTP/1.1\r\n".encode() + _lines(headers) + b"\r\n" + body


async def _send(port: int, waiting: Iterator[bytes], statuses: Counter[int], seconds: list[float]) -> None:
    """Send requests over one connection, one after the other."""
    # Without an HTTP client, which would use more CPU time than the measured programs.
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
    """Run a fake provider that the benchmark controls."""
    kinds: dict[str, tuple[type[FakeServer], tuple[Stage]]] = {
        "videos": (FakeOpenAIVideos, (Running(0.5),)),
        "replicate": (FakeReplicate, (Succeeded(),)),
    }
    kind, script = kinds[name]
    async with kind() as fake:
        provider = Provider(fake, script)
        await answer(add_tasks=provider.add_tasks, polls=provider.polls, send_webhooks=provider.send_webhooks)


async def run_workflows(folder: Path, port: int = 0) -> None:
    """Run a fake ComfyUI server that the benchmark controls."""
    async with running_comfyui(folder, port=port) as server:

        async def url() -> dict[str, Any]:
            return {"url": server.url}

        async def accepted() -> dict[str, Any]:
            return {"accepted": len(server.accepted), "running": len(server.executor.running)}

        async def times() -> dict[str, Any]:
            """Return when each prompt began and ended, in seconds."""
            found = [dict(entry["status"]["messages"]) for entry in server.executor.history.values()]
            seconds = [
                [messages[kind]["timestamp"] / 1000 for kind in ("execution_start", "execution_success")]
                for messages in found
            ]
            return {"times": seconds}

        ticking = asyncio.create_task(_tick(server))
        await answer(url=url, accepted=accepted, times=times)
        ticking.cancel()


async def _tick(server: FakeComfyUI) -> None:
    while True:
        await asyncio.sleep(TICK)
        if server.executor.step_permits.locked():
            server.executor.step_permits.release()


if __name__ == "__main__":
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    uvloop.run(run_workflows(Path(sys.argv[2]), port) if sys.argv[1] == "comfyui" else provide(sys.argv[1]))
