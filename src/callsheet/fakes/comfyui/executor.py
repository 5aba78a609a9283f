"""Queue and execution of prompts, one at a time, with the messages of the real server in the same order."""

import asyncio
import copy
import heapq
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from callsheet.fakes.comfyui.all_nodes import KINDS
from callsheet.fakes.comfyui.folders import Folders
from callsheet.fakes.comfyui.nodes import Blocked, Ui

Send = Callable[[str, Mapping[str, Any], str | None], None]
"""Gets the message type, its data, and the client id of the recipient; None: all clients."""
Item = tuple[float, str, Any, dict[str, Any], list[str]]
_NodeOutput = tuple[tuple[Any, ...], Ui | None]


class Interrupted(Exception):
    """The prompt was interrupted while a node ran."""


class Executor:
    """Runs queued prompts, and keeps their history in memory."""

    def __init__(self, folders: Folders, send: Send) -> None:
        self.queue: list[Item] = []
        self.running: dict[int, Item] = {}
        self.history: dict[str, dict[str, Any]] = {}
        self.number = 0
        self.dead = False
        """Fault: the thread that runs prompts has died, while the HTTP server continues."""
        self.history_delay = 0.0
        """Fault: seconds between the message of a prompt's end and its history entry."""
        self.step_permits = asyncio.Semaphore(0)
        """Permits for the steps of `Step` nodes. The test releases them."""
        self.release_stuck = asyncio.Event()
        """Ends `Stuck` nodes. The test sets it."""
        self.reached_nodes: asyncio.Queue[str] = asyncio.Queue()
        """Gets the id of each node that starts to wait for the test."""
        self.node_runs = 0
        """Nodes that ran and were not cached."""
        self.last_node_id: str | None = None
        self.client_id: str | None = None
        self._folders = folders
        self._send = send
        self._cache: dict[str, _NodeOutput] = {}
        self._queued = asyncio.Event()
        self._interrupted = False
        self._changed = asyncio.Event()

    @property
    def remaining(self) -> int:
        """Number of queued and running prompts."""
        return len(self.queue) + len(self.running)

    def put(self, item: Item) -> None:
        """Queue a prompt."""
        heapq.heappush(self.queue, item)
        self.send_status()
        self._queued.set()

    def delete(self, prompt_id: str) -> None:
        """Remove a queued prompt."""
        self.queue = [item for item in self.queue if item[1] != prompt_id]
        heapq.heapify(self.queue)
        self.send_status()

    def interrupt(self, prompt_id: str | None) -> None:
        """Interrupt the prompt if it is running; without an id, whichever is running."""
        if prompt_id is None or any(item[1] == prompt_id for item in self.running.values()):
            self._interrupted = True
            self._changed.set()

    def send_status(self) -> None:
        """Send the number of remaining prompts to all clients."""
        self._send("status", {"status": {"exec_info": {"queue_remaining": self.remaining}}}, None)

    async def work(self) -> None:
        """Run queued prompts until cancelled."""
        while True:
            self._queued.clear()
            while self.queue and not self.dead:
                item = heapq.heappop(self.queue)
                self.running[self.number] = item
                self.send_status()
                await _PromptExecution(self, item).run()
                del self.running[next(iter(self.running))]
                self.send_status()
                self._send("executing", {"node": None, "prompt_id": item[1]}, self.client_id)
                self.client_id = None
            await self._queued.wait()


class _PromptExecution:
    """Execution of one prompt."""

    def __init__(self, executor: Executor, item: Item) -> None:
        self._executor = executor
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
        self._node_outputs: dict[str, _NodeOutput] = {}

    async def run(self) -> None:
        self._executor.client_id, self._executor._interrupted = self._client, False
        self._message("execution_start")
        signatures = {node: _signature(self.prompt, node) for node in self._needed()}
        cached = [node for node in signatures if signatures[node] in self._executor._cache]
        self._message("execution_cached", nodes=cached)
        status = "success"
        try:
            for node in self._item[4]:
                await self._output_of(node, signatures)
            self._message("execution_success")
        except Interrupted:
            status = "error"
            self._message("execution_interrupted", **self._location())
        except Exception as error:  # noqa: BLE001 - any exception of a node is reported, as by the real server
            status = "error"
            self._message("execution_error", **self._location(), **_error_fields(error))
        self._executor._cache = self._node_outputs
        self._executor.last_node_id = None
        await asyncio.sleep(self._executor.history_delay)
        self._executor.history[self.id] = {
            "prompt": copy.deepcopy(list(self._item)),
            "outputs": self._outputs,
            "status": {"status_str": status, "completed": status == "success", "messages": self._messages},
            "meta": self._meta,
        }

    def _needed(self) -> list[str]:
        found: dict[str, None] = {}
        stack = list(self._item[4])
        while stack:
            found[node := stack.pop()] = None
            stack += [value[0] for value in self.prompt[node]["inputs"].values() if _is_link(value)]
        return list(found)

    async def _output_of(self, node: str, signatures: Mapping[str, str]) -> tuple[Any, ...] | None:
        """Return the values of a node; None when its branch is blocked."""
        signature = signatures[node]
        if signature in self._node_outputs:
            return self._node_outputs[signature][0]
        if (output := self._executor._cache.get(signature)) is None:
            output = await self._run_node(node, signatures)
            if output is None:
                return None
        elif output[1] is not None:
            self._send("executed", node=node, display_node=node, output=output[1])
            self._state(node, 1.0, 1.0, "finished")
        self._node_outputs[signature] = output
        if output[1] is not None:
            self._outputs[node] = output[1]
            self._meta[node] = {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
        return output[0]

    async def _run_node(self, node: str, signatures: Mapping[str, str]) -> _NodeOutput | None:
        fields = self.prompt[node]
        values: dict[str, Any] = {}
        for name, value in fields["inputs"].items():
            if _is_link(value):
                before = await self._output_of(value[0], signatures)
                if before is None:
                    return None
                value = before[value[1]]
            values[name] = value
        self._node = node
        if self._executor._interrupted:
            raise Interrupted
        self._state(node, 0.0, 1.0, "running")
        self._executor.last_node_id = node
        self._send("executing", node=node, display_node=node)
        self._executor.node_runs += 1
        try:
            output: _NodeOutput = await KINDS[fields["class_type"]].run(self, **values)
        except Blocked as block:
            # The real server sends an execution_error without a timestamp, and continues.
            error = _error_fields(block) | {"exception_type": "ExecutionBlocked", "exception_message": str(block)}
            self._send("execution_error", **self._location(), **error)
            return None
        if output[1] is not None:
            self._send("executed", node=node, display_node=node, output=output[1])
        self._state(node, 1.0, 1.0, "finished")
        self._executed.append(node)
        # The real server runs nodes in a thread; here other tasks run between the nodes.
        await asyncio.sleep(0)
        return output

    # Called by nodes (NodeContext)

    async def step(self, value: int, total: int) -> None:
        if value == 1:
            self._executor.reached_nodes.put_nowait(self._node)
        self._executor._changed.clear()
        permit = asyncio.ensure_future(self._executor.step_permits.acquire())
        changed = asyncio.ensure_future(self._executor._changed.wait())
        try:
            if not self._executor._interrupted:
                await asyncio.wait({permit, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            permit.cancel()
        if self._executor._interrupted:
            raise Interrupted
        self._send("progress", value=value, max=total, node=self._node)
        self._state(self._node, float(value), float(total), "running")

    async def stuck(self) -> None:
        self._executor.reached_nodes.put_nowait(self._node)
        await self._executor.release_stuck.wait()

    def save(self, prefix: str, suffix: str, data: bytes, *, temp: bool = False) -> dict[str, str]:
        return self._executor._folders.save(prefix, suffix, data, temp=temp)

    def input_file(self, name: str) -> Path:
        return self._executor._folders.of("input") / name

    def output_folder(self) -> Path:
        return self._executor._folders.of("output")

    # Messages

    def _message(self, kind: str, **data: Any) -> None:
        message = {**data, "prompt_id": self.id, "timestamp": int(time.time() * 1000)}
        self._messages.append([kind, message])
        self._executor._send(kind, message, self._client)

    def _send(self, kind: str, **data: Any) -> None:
        self._executor._send(kind, {**data, "prompt_id": self.id}, self._client)

    def _state(self, node: str, value: float, total: float, state: str) -> None:
        ids = dict.fromkeys(("node_id", "display_node_id", "real_node_id"), node)
        state_fields = {
            "value": value,
            "max": total,
            "state": state,
            "prompt_id": self.id,
            "parent_node_id": None,
            **ids,
        }
        self._states[node] = state_fields
        self._send("progress_state", nodes=dict(self._states))

    def _location(self) -> dict[str, Any]:
        kind = self.prompt[self._node]["class_type"] if self._node else ""
        return {"node_id": self._node, "node_type": kind, "executed": list(self._executed)}


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _signature(prompt: Any, node: str) -> str:
    fields = prompt[node]
    inputs = {
        name: [_signature(prompt, value[0]), value[1]] if _is_link(value) else value
        for name, value in fields["inputs"].items()
    }
    return json.dumps([fields["class_type"], inputs], sort_keys=True)


def _error_fields(error: Exception) -> dict[str, Any]:
    return {
        "exception_message": str(error),
        "exception_type": "torch.OutOfMemoryError" if isinstance(error, MemoryError) else type(error).__name__,
        "traceback": [f'  File "/srv/ComfyUI/execution.py", line 496, in execute\n{error}\n'],
        "current_inputs": {"strength": [float("nan")]},
        "current_outputs": [],
    }
