"""Tracking of one prompt until it ends: websocket messages for speed, HTTP polls for the truth."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.errors import is_blocked
from callsheet.comfyui.graph import Graph
from callsheet.comfyui.parsing import sanitize_text
from callsheet.comfyui.progress import PromptProgress
from callsheet.comfyui.server_monitor import ServerMonitor
from callsheet.comfyui.websocket import WebsocketListener
from callsheet.domain.errors import PromptLost, ProviderUnreachable

_END_MESSAGES = frozenset({"execution_success", "execution_error", "execution_interrupted"})
_POLLS_AFTER_END = (0.005, 0.02, 0.05, 0.1, 0.25)
"""Seconds between polls after a message of the end. The history entry is written a little after the message."""
_POLL_AFTER_STATUS = (0.25,)


@dataclass(frozen=True, slots=True)
class PromptCallbacks:
    """Called while a prompt runs."""

    on_progress: Callable[[float, str | None], None]
    """Gets the fraction done, from 0 to 1, and a label of the current step."""
    on_note: Callable[[str], object]
    """Gets a message for the job's log."""


class PromptTracker:
    """Waits for the end of one prompt.

    async with tracker.connected():
        tracker.prompt_id = await submit_prompt(client, graph, prompt_id, tracker.client_id)
        entry = await tracker.wait(poll_interval=5.0, timeout=120.0)
    """

    def __init__(
        self,
        client: ComfyUIClient,
        graph: Graph,
        prompt_id: str,
        *,
        client_name: str,
        callbacks: PromptCallbacks,
        resumed: bool = False,
    ) -> None:
        """`resumed`: the prompt was submitted with another client id, so its messages are not received."""
        self._client = client
        self._resumed = resumed
        self._callbacks = callbacks
        self._progress = PromptProgress(graph, prompt_id)
        self._websocket = WebsocketListener(client.url, client_name, self._on_message, self._poll_now)
        self._poll_requested = asyncio.Event()
        self._pauses: list[float] = []

    @property
    def client_id(self) -> str:
        """The client id to submit the prompt with."""
        return self._websocket.client_id

    @property
    def prompt_id(self) -> str:
        """The id of the tracked prompt. Set it to the id that the server returns."""
        return self._progress.prompt_id

    @prompt_id.setter
    def prompt_id(self, prompt_id: str) -> None:
        self._progress.prompt_id = prompt_id

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Receive websocket messages during the block; enter it before the prompt is submitted."""
        return self._websocket.connected()

    async def wait(
        self, *, poll_interval: float, timeout: float, check_alive: Callable[[], None] = lambda: None
    ) -> Mapping[str, Any]:
        """Wait until the prompt ends, and return its history entry.

        The status is polled at least every `poll_interval` seconds, and at once after a message of the end. Raises
        PromptLost when the server has lost the prompt, ProviderUnreachable when it does not respond for `timeout`
        seconds or its executor is dead, and the errors of `check_alive`.
        """
        monitor = ServerMonitor(timeout)
        while True:
            check_alive()
            try:
                status = await self._client.get_status(self.prompt_id)
            except ProviderUnreachable as error:
                monitor.on_error(error)
                await asyncio.sleep(min(poll_interval, 1.0))
                continue
            if status.entry is not None:
                return status.entry
            if status.state == "unknown":
                raise PromptLost(
                    f"ComfyUI at {self._client.display_url} does not know the prompt any more: the server was "
                    "restarted, or the prompt was deleted.",
                    prompt_id=self.prompt_id,
                )
            monitor.on_status(status)
            if status.state == "queued":
                self._callbacks.on_progress(0.0, f"{status.ahead} prompts ahead in ComfyUI's queue")
            await self._pause(poll_interval)

    async def _pause(self, poll_interval: float) -> None:
        self._poll_requested.clear()
        if self._pauses:
            await asyncio.sleep(self._pauses.pop(0))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(poll_interval):
                await self._poll_requested.wait()

    def _on_message(self, kind: str, data: Mapping[str, Any]) -> None:
        # After a resume or a reconnect, messages of the prompt are missed. Then `status`, sent to all, is a hint.
        if kind == "status" and (self._resumed or not self._websocket.is_complete):
            self._poll_now(_POLL_AFTER_STATUS)
        if data.get("prompt_id") != self.prompt_id:
            return
        if kind == "execution_error" and is_blocked(data):
            node = f"node {data.get('node_id')} ({data.get('node_type')})"
            self._callbacks.on_note(f"{node} blocked its branch: {sanitize_text(data.get('exception_message'))}")
        elif kind in _END_MESSAGES or (kind == "executing" and data.get("node") is None):
            self._poll_now(_POLLS_AFTER_END)
        if self._progress.update(kind, data):
            self._callbacks.on_progress(self._progress.fraction, self._progress.label)

    def _poll_now(self, pauses: tuple[float, ...] | None = None) -> None:
        """Poll at once, then after each of `pauses` in seconds. After a disconnect: the server may be gone."""
        if pauses is not None:
            self._pauses = list(pauses)
        self._poll_requested.set()
