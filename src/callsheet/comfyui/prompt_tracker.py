"""Tracking of one prompt until it ends: websocket messages for speed, HTTP polls for the truth."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
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
_MINUTES = 120.0
"""Seconds from which a time is shown in minutes."""


@dataclass(frozen=True, slots=True)
class PromptCallbacks:
    """Called while a prompt runs."""

    on_progress: Callable[[float, str | None], None]
    """Gets the fraction done, from 0 to 1, and a label of the current step."""
    on_note: Callable[[str], object]
    """Gets a message for the job's log."""
    on_away: Callable[[ProviderUnreachable | None, float], Awaitable[bool]]
    """Gets the error of a poll without a response, and for how many seconds there was none; None after the next
    response. Returns whether to give up."""
    on_silence: Callable[[float | None], None]
    """Gets for how many seconds a running prompt has shown no sign of life; None after the next sign."""
    on_started: Callable[[], None]
    """Called when the prompt has left the server's queue; possibly several times."""


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
        progress: float = 0.0,
    ) -> None:
        """`resumed`: the prompt was submitted with another client id, so its messages are not received. `progress` is
        the fraction that was done by then.
        """
        self._client = client
        self._resumed = resumed
        self._callbacks = callbacks
        self._progress = PromptProgress(graph, prompt_id, fraction=progress)
        self._websocket = WebsocketListener(client.url, client_name, self._on_message, self._poll_now)
        self._poll_requested = asyncio.Event()
        self._pauses: list[float] = []
        self._reported_reason: str | None = None
        self._last_sign = time.monotonic()
        self._is_silent = False

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
        self,
        *,
        poll_interval: float,
        poll_timeout: float,
        silence_limit: float,
        check_alive: Callable[[], None] = lambda: None,
    ) -> Mapping[str, Any]:
        """Wait until the prompt ends, and return its history entry.

        The status is polled at least every `poll_interval` seconds, and at once after a message of the end. Raises
        PromptLost when the server has lost the prompt, ProviderUnreachable when it does not respond and `on_away` gives
        up, or when its executor is dead, and the errors of `check_alive`.
        """
        monitor = ServerMonitor()
        is_away = False
        while True:
            check_alive()
            try:
                status = await self._client.get_status(self.prompt_id, timeout=poll_timeout)
            except ProviderUnreachable as error:
                is_away = True
                if await self._callbacks.on_away(error, monitor.on_error()):
                    raise
                await asyncio.sleep(min(poll_interval, 1.0))
                continue
            if is_away:
                await self._callbacks.on_away(None, 0.0)
                is_away = False
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
                self._last_sign = time.monotonic()
                self._callbacks.on_progress(0.0, f"{status.ahead} prompts ahead in ComfyUI's queue")
            elif status.state == "running":
                self._on_running(silence_limit)
            await self._pause(poll_interval)

    def _on_running(self, silence_limit: float) -> None:
        self._callbacks.on_started()
        if (missed := self._why_unknown()) is not None:
            if missed != self._reported_reason:
                self._reported_reason = missed
                self._callbacks.on_note(f"The prompt runs; {missed}.")
            self._callbacks.on_progress(self._progress.fraction, f"{self._progress.label or 'runs'}; {missed}")
            return
        silent = time.monotonic() - self._last_sign
        if silent >= silence_limit:
            self._is_silent = True
            self._callbacks.on_silence(silent)
            words = f"no sign of life for {f'{silent:.0f} s' if silent < _MINUTES else f'{silent / 60:.0f} min'}"
            self._callbacks.on_progress(self._progress.fraction, f"{self._progress.label or 'runs'}; {words}")

    def _on_sign(self) -> None:
        self._last_sign = time.monotonic()
        if self._is_silent:
            self._is_silent = False
            self._callbacks.on_silence(None)

    def _why_unknown(self) -> str | None:
        """Return why the progress of the prompt is not known; None if it is."""
        if self._resumed:
            return "an earlier run started it, so its progress is not known"
        if self._websocket.is_complete:
            return None
        if self._websocket.refusal is not None:
            return f"its progress is not known: the websocket cannot be reached ({self._websocket.refusal})"
        return "its progress is not known: the websocket was interrupted"

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
        self._on_sign()
        if kind == "execution_error" and is_blocked(data):
            node = f"node {data.get('node_id')} ({data.get('node_type')})"
            self._callbacks.on_note(f"{node} blocked its branch: {sanitize_text(data.get('exception_message'))}")
        elif kind in _END_MESSAGES or (kind == "executing" and data.get("node") is None):
            self._poll_now(_POLLS_AFTER_END)
        self._callbacks.on_started()
        if self._progress.update(kind, data):
            self._callbacks.on_progress(self._progress.fraction, self._progress.label)

    def _poll_now(self, pauses: tuple[float, ...] | None = None) -> None:
        """Poll at once, then after each of `pauses` in seconds. After a disconnect: the server may be gone."""
        if pauses is not None:
            self._pauses = list(pauses)
        self._poll_requested.set()
