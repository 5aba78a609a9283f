"""A client of the deployment. It submits plans with idempotency keys, and cancels and retries executions at random."""

import asyncio
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
from tests.chaos.system import System

from callsheet.fakes.providers.task_script import sample_image

_GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "chaos"}},
}
_SENT_TWICE = 0.15
"""Share of submissions that the client sends twice at the same time, with one key."""


@dataclass(slots=True)
class Order:
    """One plan of the client. It is sent with the same idempotency key until it is accepted."""

    key: str
    kind: str
    execution_ids: set[str] = field(default_factory=set)
    """The executions that the responses named. More than one is a fault."""
    rejections: list[str] = field(default_factory=list)
    """Responses that reject the plan. Every plan is valid, so each one is a fault."""


@dataclass(slots=True)
class Interventions:
    """What the client requested of executions, and got a response for or not."""

    cancelled: set[str] = field(default_factory=set)
    retried: list[str] = field(default_factory=list)


class Client:
    """Submits plans until it is stopped."""

    def __init__(self, system: System, seed: int) -> None:
        self.orders: list[Order] = []
        self.interventions = Interventions()
        self._random = random.Random(f"load {seed}")
        self._system = system
        self._http = httpx2.AsyncClient(base_url=system.api_url, timeout=10, trust_env=False)
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, pause: float) -> None:
        """Submit a plan about every `pause` seconds, until cancelled. All kinds take their turn."""
        kinds: list[str] = []
        while True:
            kinds = kinds or self._random.sample(list(_PLANS), len(_PLANS))
            self._submit(kinds.pop())
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * pause)

    async def accepted(self, timeout: float) -> list[Order]:
        """Wait until all plans are accepted; returns those that are not."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=timeout)
        for task in self._sending:
            task.cancel()
        return [order for order in self.orders if not order.execution_ids]

    async def cancel_one(self, choice: float) -> bool:
        """Cancel one of the newest executions."""
        if execution_id := self._pick(choice, newest=3):
            self.interventions.cancelled.add(execution_id)
            return await self._post(f"/api/executions/{execution_id}/cancel")
        return False

    async def retry_one(self, choice: float) -> bool:
        """Retry one of the executions. Nothing happens unless it has failed or was cancelled."""
        cancelled = sorted(self.interventions.cancelled)
        if execution_id := (cancelled[int(choice * len(cancelled))] if cancelled else None):
            self.interventions.retried.append(execution_id)
            return await self._post(f"/api/executions/{execution_id}/retry")
        return False

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _pick(self, choice: float, *, newest: int) -> str | None:
        known = [execution_id for order in self.orders for execution_id in order.execution_ids][-newest:]
        return known[int(choice * len(known))] if known else None

    async def _post(self, path: str) -> bool:
        try:
            return (await self._http.post(path)).status_code == 200
        except httpx2.HTTPError:
            return False

    def _submit(self, kind: str) -> None:
        order = Order(f"order-{len(self.orders):05d}", kind)
        self.orders.append(order)
        copies = 2 if self._random.random() < _SENT_TWICE else 1
        for _ in range(copies):
            task = asyncio.create_task(self._send(order))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, order: Order) -> None:
        """Send until there is an answer: the client does not know what became of a request without a response."""
        while True:
            try:
                response = await self._request(order)
            except httpx2.HTTPError:
                await asyncio.sleep(0.5)
                continue
            if response.status_code < 300:
                body = response.json()
                order.execution_ids.add(body.get("executionId") or _execution_of_video(body["id"]))
                return
            if response.status_code < 500 and response.status_code != 429:
                order.rejections.append(f"{response.status_code} {response.text[:300]}")
                return
            await asyncio.sleep(0.5)

    async def _request(self, order: Order) -> httpx2.Response:
        headers = {"Idempotency-Key": order.key}
        if order.kind == "upload":
            fields = {"model": "luma/ray-3.2", "prompt": order.key}
            files = {"input_reference": ("first.png", sample_image().data, "image/png")}
            return await self._http.post("/v1/videos", data=fields, files=files, headers=headers)
        body = {
            "executionPlan": {"name": order.key, "jobs": _PLANS[order.kind](order.key)},
            "callbackUrl": self._system.callbacks.url,
            "metadata": {"order": order.key},
        }
        return await self._http.post("/api/executions", json=body, headers=headers)


def _execution_of_video(video_id: str) -> str:
    digits = video_id.removeprefix("video_").replace("-", "")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _job(id: str, operation: str, params: dict[str, Any], *upstream: str) -> dict[str, Any]:
    return {"id": id, "operation": operation, "params": params, "dependsOn": list(upstream)}


def _chain(key: str) -> list[dict[str, Any]]:
    first = _job("a", "noop", {"value": key})
    return [first, _job("b", "noop", {"value": "${a.value}"}), _job("c", "sleep", {"seconds": 0.2}, "b")]


def _fan_out(key: str) -> list[dict[str, Any]]:
    branches = [_job(f"branch-{n}", "sleep", {"seconds": 0.1 * n}, "start") for n in range(6)]
    end = _job("end", "noop", {"value": key}, *(branch["id"] for branch in branches))
    return [_job("start", "noop", {"value": key}), *branches, end]


def _film(key: str) -> list[dict[str, Any]]:
    color = f"#{zlib.crc32(key.encode()) % 0xFFFFFF:06x}"
    output = {"width": 128, "height": 72, "fps": 10, "preset": "ultrafast"}
    film = {"scenes": [{"color": color, "duration": 1}], "output": output}
    still = _job("stills", "preview", {"src": "${film.video}", "count": 2, "width": 64})
    return [_job("film", "render", film), still]


def _file(key: str) -> list[dict[str, Any]]:
    return [_job("file", "write", {"name": f"{key}.bin", "size": 3 * 2**20}), _job("after", "noop", {}, "file")]


def _webhook(key: str) -> list[dict[str, Any]]:
    params = {"modelId": "bytedance/seedance-1-pro", "provider": "replicate", "prompt": key, "waiting": "webhook"}
    return [_job("clip", "generate", params)]


def _polling(key: str) -> list[dict[str, Any]]:
    return [_job("clip", "generate", {"modelId": "luma/ray-3.2", "prompt": key})]


def _comfyui(key: str) -> list[dict[str, Any]]:
    return [_job("draw", "comfyui", {"graph": _GRAPH}), _job("after", "noop", {"value": key}, "draw")]


_PLANS: dict[str, Callable[[str], list[dict[str, Any]]]] = {
    "chain": _chain,
    "fan-out": _fan_out,
    "film": _film,
    "file": _file,
    "webhook": _webhook,
    "polling": _polling,
    "comfyui": _comfyui,
    "upload": _polling,
}
"""The jobs of each kind of plan, for a key. `upload` is sent to `/v1/videos` instead."""
