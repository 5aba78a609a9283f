"""One prompt, from its sending to its end."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from callsheet.comfyui.client import ComfyUI, PromptStatus
from callsheet.comfyui.errors import is_blocked
from callsheet.comfyui.graph import Graph
from callsheet.comfyui.parsing import sanitize_text
from callsheet.comfyui.progress import PromptProgress
from callsheet.domain.errors import PromptLost, ProviderUnreachable, SubmissionUnknown

EXECUTOR_DEAD = "executor_dead"
"""Reason of the error when a server takes prompts and runs none."""

_ENDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})
_SOON = (0.005, 0.02, 0.05, 0.1, 0.25)
"""The end is told a little before it stands in the history."""
_BETWEEN_HINTS = 0.25
_IDLE_LOOKS = 4
_IDLE_SECONDS = 10.0
_LOOKUPS = (0.2, 1.0, 3.0)


@dataclass(frozen=True, slots=True)
class PromptReport:
    """What whoever waits for a prompt is told."""

    progress: Callable[[float, str | None], None]
    """The share done, from 0 to 1, and what works on it."""
    note: Callable[[str], None]
    """Something a person should know."""


@dataclass(slots=True)
class PromptEvents:
    """What a websocket says about one prompt."""

    progress: PromptProgress
    prompt_id: str
    report: PromptReport
    whole: Callable[[], bool] = lambda: True
    """Whether the websocket tells of this prompt; if not, the server's status is the only hint."""
    _awake: asyncio.Event = field(default_factory=asyncio.Event)
    _pauses: list[float] = field(default_factory=list)

    def on_message(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take a message in."""
        if kind == "status" and not self.whole():
            self._wake(_BETWEEN_HINTS)
        if data.get("prompt_id") != self.prompt_id:
            return
        if kind == "execution_error" and is_blocked(data):
            where = f"node {data.get('node_id')} ({data.get('node_type')})"
            self.report.note(f"{where} closed its branch: {sanitize_text(data.get('exception_message'))}")
        elif kind in _ENDS or (kind == "executing" and data.get("node") is None):
            self._wake(*_SOON)
        if self.progress.read(kind, data):
            self.report.progress(self.progress.share, self.progress.label)

    def on_disconnect(self) -> None:
        """The connection broke: look at once, since the server may be gone."""
        self._awake.set()

    def _wake(self, *pauses: float) -> None:
        self._pauses = list(reversed(pauses))
        self._awake.set()

    async def pause(self, longest: float) -> None:
        """Wait until there is reason to look again."""
        self._awake.clear()
        if self._pauses:
            await asyncio.sleep(self._pauses.pop())
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._awake.wait()


async def submit_prompt(comfy: ComfyUI, graph: Graph, prompt_id: str, client_id: str) -> str:
    """Queue a prompt and return the id that it is known by; when its answer is lost, look it up.

    Raises what `ComfyUI.submit` raises, but never SubmissionUnknown: PromptLost when the server does not know it.
    """
    try:
        return await comfy.submit(graph, prompt_id, client_id)
    except SubmissionUnknown as unknown:
        reason = unknown.message
    answered = False
    for pause in _LOOKUPS:
        await asyncio.sleep(pause)
        with suppress(ProviderUnreachable):
            if (await comfy.get_status(prompt_id)).state != "unknown":
                return prompt_id
            answered = True
    found = "The server does not know the prompt." if answered else "The prompt is looked for later."
    raise PromptLost(f"{reason} {found}", prompt_id=prompt_id)


@dataclass(slots=True)
class _ServerMonitor:
    """What has been odd about a server, and since when."""

    patience: float
    away_since: float | None = None
    idle_since: float | None = None
    idle_looks: int = 0

    def away(self, error: ProviderUnreachable) -> None:
        now = time.monotonic()
        self.away_since = self.away_since or now
        if now - self.away_since >= self.patience:
            raise error

    def look_at(self, standing: PromptStatus) -> None:
        self.away_since = None
        if standing.running or not standing.waiting:
            self.idle_since, self.idle_looks = None, 0
            return
        now = time.monotonic()
        self.idle_since = self.idle_since or now
        self.idle_looks += 1
        if self.idle_looks >= _IDLE_LOOKS and now - self.idle_since >= _IDLE_SECONDS:
            raise ProviderUnreachable(
                f"The ComfyUI server takes prompts and runs none: {standing.waiting} wait, and none has begun for "
                f"{_IDLE_SECONDS:g} s. It has to be restarted.",
                reason=EXECUTOR_DEAD,
            )


async def track_prompt(
    comfy: ComfyUI,
    ears: PromptEvents,
    *,
    interval: float,
    patience: float,
    check_alive: Callable[[], None] = lambda: None,
) -> Mapping[str, Any]:
    """Wait for a prompt's end and return its entry in the history.

    The websocket makes it fast; what is believed is the queue, then the history, asked at least every `interval`
    seconds. Raises PromptLost when the server has forgotten the prompt, ProviderUnreachable when it gave no answer for
    `patience` seconds or runs nothing any more, and what `check_alive` raises.
    """
    doubts = _ServerMonitor(patience)
    while True:
        check_alive()
        try:
            standing = await comfy.get_status(ears.prompt_id)
        except ProviderUnreachable as error:
            doubts.away(error)
            await asyncio.sleep(min(interval, 1.0))
            continue
        if standing.entry is not None:
            return standing.entry
        if standing.state == "unknown":
            raise PromptLost(
                f"ComfyUI at {comfy.place} does not know the prompt any more: it was restarted, or somebody "
                "removed it.",
                prompt_id=ears.prompt_id,
            )
        doubts.look_at(standing)
        if standing.state == "queued":
            ears.report.progress(0.0, f"{standing.ahead} ahead of it in ComfyUI's queue")
        await ears.pause(interval)
