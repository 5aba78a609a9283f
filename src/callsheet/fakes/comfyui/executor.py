"""The stand-in's queue and the running of prompts, one at a time, in the order of the real server's messages."""

import asyncio
import copy
import heapq
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from callsheet.fakes.comfyui.nodes import KINDS, Blocked, Folders, Ui

Send = Callable[[str, Mapping[str, Any], str | None], None]
"""Type, data, and the client id of who gets it; None: everybody."""
Item = tuple[float, str, Any, dict[str, Any], list[str]]
_Made = tuple[tuple[Any, ...], Ui | None]


class Interrupted(Exception):
    """Somebody interrupted the prompt, and a node noticed."""


class Executor:
    """Takes prompts from a heap, runs them, and remembers how they ended until it is made anew."""

    def __init__(self, folders: Folders, send: Send) -> None:
        self.queue: list[Item] = []
        self.running: dict[int, Item] = {}
        self.history: dict[str, dict[str, Any]] = {}
        self.number = 0
        self.dead = False
        """Whether the thread that runs prompts has ended: everything else goes on."""
        self.history_delay = 0.0
        """Seconds between the message of a prompt's end and its entry in the history."""
        self.step_permits = asyncio.Semaphore(0)
        """Steps that nodes of the kind Step may still take."""
        self.release_stuck = asyncio.Event()
        """Lets nodes of the kind Stuck go on."""
        self.reached_nodes: asyncio.Queue[str] = asyncio.Queue()
        """Gets a node's id when it waits for the test for the first time."""
        self.node_runs = 0
        """Nodes that were really run."""
        self.last_node_id: str | None = None
        self.client_id: str | None = None
        self._folders = folders
        self._send = send
        self._cache: dict[str, _Made] = {}
        self._come = asyncio.Event()
        self._interrupt = False
        self._tick = asyncio.Event()

    @property
    def remaining(self) -> int:
        """Prompts that wait or run."""
        return len(self.queue) + len(self.running)

    def put(self, item: Item) -> None:
        """Queue a prompt."""
        heapq.heappush(self.queue, item)
        self.tell_status()
        self._come.set()

    def delete(self, prompt_id: str) -> None:
        """Drop a prompt that waits."""
        self.queue = [item for item in self.queue if item[1] != prompt_id]
        heapq.heapify(self.queue)
        self.tell_status()

    def interrupt(self, prompt_id: str | None) -> None:
        """Interrupt the prompt, if it is the one that runs; without an id whichever runs."""
        if prompt_id is None or any(item[1] == prompt_id for item in self.running.values()):
            self._interrupt = True
            self._tick.set()

    def tell_status(self) -> None:
        """Tell everybody how much there is to do."""
        self._send("status", {"status": {"exec_info": {"queue_remaining": self.remaining}}}, None)

    async def work(self) -> None:
        """Run what comes."""
        while True:
            self._come.clear()
            while self.queue and not self.dead:
                item = heapq.heappop(self.queue)
                self.running[self.number] = item
                self.tell_status()
                await _Run(self, item).run()
                del self.running[next(iter(self.running))]
                self.tell_status()
                self._send("executing", {"node": None, "prompt_id": item[1]}, self.client_id)
                self.client_id = None
            await self._come.wait()


class _Run:
    """One prompt."""

    def __init__(self, executor: Executor, item: Item) -> None:
        self._to = executor
        self._item = item
        self.id = item[1]
        self.prompt = item[2]
        self._client = item[3].get("client_id")
        self._messages: list[list[Any]] = []
        self._outputs: dict[str, Ui] = {}
        self._meta: dict[str, Any] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._executed: list[str] = []
        self._node = ""
        self._kept: dict[str, _Made] = {}

    async def run(self) -> None:
        self._to.client_id, self._to._interrupt = self._client, False
        self._message("execution_start")
        signatures = {node: _signature(self.prompt, node) for node in self._needed()}
        cached = [node for node in signatures if signatures[node] in self._to._cache]
        self._message("execution_cached", nodes=cached)
        status = "success"
        try:
            for node in self._item[4]:
                await self._make(node, signatures)
            self._message("execution_success")
        except Interrupted:
            status = "error"
            self._message("execution_interrupted", **self._where())
        except Exception as error:  # noqa: BLE001 - whatever a node raises is told, as the real one does
            status = "error"
            self._message("execution_error", **self._where(), **_told(error))
        self._to._cache = self._kept
        self._to.last_node_id = None
        await asyncio.sleep(self._to.history_delay)
        self._to.history[self.id] = {
            "prompt": copy.deepcopy(list(self._item)),
            "outputs": self._outputs,
            "status": {"status_str": status, "completed": status == "success", "messages": self._messages},
            "meta": self._meta,
        }

    def _needed(self) -> list[str]:
        found: dict[str, None] = {}
        ahead = list(self._item[4])
        while ahead:
            found[node := ahead.pop()] = None
            ahead += [value[0] for value in self.prompt[node]["inputs"].values() if _is_link(value)]
        return list(found)

    async def _make(self, node: str, signatures: Mapping[str, str]) -> tuple[Any, ...] | None:
        """Return a node's values; None when a branch before it is closed."""
        signature = signatures[node]
        if signature in self._kept:
            return self._kept[signature][0]
        if (made := self._to._cache.get(signature)) is None:
            made = await self._fresh(node, signatures)
            if made is None:
                return None
        elif made[1] is not None:
            self._send("executed", node=node, display_node=node, output=made[1])
            self._state(node, 1.0, 1.0, "finished")
        self._kept[signature] = made
        if made[1] is not None:
            self._outputs[node] = made[1]
            self._meta[node] = {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
        return made[0]

    async def _fresh(self, node: str, signatures: Mapping[str, str]) -> _Made | None:
        about = self.prompt[node]
        values: dict[str, Any] = {}
        for name, value in about["inputs"].items():
            if _is_link(value):
                before = await self._make(value[0], signatures)
                if before is None:
                    return None
                value = before[value[1]]
            values[name] = value
        self._node = node
        if self._to._interrupt:
            raise Interrupted
        self._state(node, 0.0, 1.0, "running")
        self._to.last_node_id = node
        self._send("executing", node=node, display_node=node)
        self._to.node_runs += 1
        try:
            made: _Made = await KINDS[about["class_type"]].run(self, **values)
        except Blocked as block:
            # It says what an error says, without a time, and the run goes on.
            told = _told(block) | {"exception_type": "ExecutionBlocked", "exception_message": str(block)}
            self._send("execution_error", **self._where(), **told)
            return None
        if made[1] is not None:
            self._send("executed", node=node, display_node=node, output=made[1])
        self._state(node, 1.0, 1.0, "finished")
        self._executed.append(node)
        # The real one runs nodes in a thread; here, others come to their turn between them.
        await asyncio.sleep(0)
        return made

    # What nodes are given

    async def step(self, value: int, most: int) -> None:
        if value == 1:
            self._to.reached_nodes.put_nowait(self._node)
        self._to._tick.clear()
        allowed = asyncio.ensure_future(self._to.step_permits.acquire())
        ticked = asyncio.ensure_future(self._to._tick.wait())
        try:
            if not self._to._interrupt:
                await asyncio.wait({allowed, ticked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ticked.cancel()
            allowed.cancel()
        if self._to._interrupt:
            raise Interrupted
        self._send("progress", value=value, max=most, node=self._node)
        self._state(self._node, float(value), float(most), "running")

    async def stuck(self) -> None:
        self._to.reached_nodes.put_nowait(self._node)
        await self._to.release_stuck.wait()

    def save(self, prefix: str, suffix: str, data: bytes, *, temp: bool = False) -> dict[str, str]:
        return self._to._folders.save(prefix, suffix, data, temp=temp)

    def input_file(self, name: str) -> Path:
        return self._to._folders.of("input") / name

    # What is told

    def _message(self, kind: str, **data: Any) -> None:
        told = {**data, "prompt_id": self.id, "timestamp": int(time.time() * 1000)}
        self._messages.append([kind, told])
        self._to._send(kind, told, self._client)

    def _send(self, kind: str, **data: Any) -> None:
        self._to._send(kind, {**data, "prompt_id": self.id}, self._client)

    def _state(self, node: str, value: float, most: float, state: str) -> None:
        ids = dict.fromkeys(("node_id", "display_node_id", "real_node_id"), node)
        shown = {"value": value, "max": most, "state": state, "prompt_id": self.id, "parent_node_id": None, **ids}
        self._states[node] = shown
        self._send("progress_state", nodes=dict(self._states))

    def _where(self) -> dict[str, Any]:
        kind = self.prompt[self._node]["class_type"] if self._node else ""
        return {"node_id": self._node, "node_type": kind, "executed": list(self._executed)}


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _signature(prompt: Any, node: str) -> str:
    about = prompt[node]
    inputs = {
        name: [_signature(prompt, value[0]), value[1]] if _is_link(value) else value
        for name, value in about["inputs"].items()
    }
    return json.dumps([about["class_type"], inputs], sort_keys=True)


def _told(error: Exception) -> dict[str, Any]:
    return {
        "exception_message": str(error),
        "exception_type": "torch.OutOfMemoryError" if isinstance(error, MemoryError) else type(error).__name__,
        "traceback": [f'  File "/srv/ComfyUI/execution.py", line 496, in execute\n{error}\n'],
        "current_inputs": {"strength": [float("nan")]},
        "current_outputs": [],
    }
