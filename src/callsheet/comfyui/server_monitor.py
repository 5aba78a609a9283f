"""Detection of a server that stopped responding, or accepts prompts without running them."""

import time
from dataclasses import dataclass

from callsheet.comfyui.client import PromptStatus
from callsheet.domain.errors import ProviderUnreachable

EXECUTOR_DEAD = "executor_dead"
"""Value of the fact `reason` when a server accepts prompts and runs none."""

_IDLE_POLLS = 4
_IDLE_SECONDS = 10.0


@dataclass(slots=True)
class ServerMonitor:
    """Watches the polls of one server for faults that last."""

    _unreachable_since: float | None = None
    _idle_since: float | None = None
    _idle_polls: int = 0

    def on_error(self) -> float:
        """Record a poll without a response. Return for how many seconds there was none."""
        now = time.monotonic()
        self._unreachable_since = self._unreachable_since or now
        return now - self._unreachable_since

    def on_status(self, status: PromptStatus) -> None:
        """Record a response. Raises ProviderUnreachable when prompts are queued and none has been running for 10 s.

        ComfyUI's executor thread can die while its HTTP server continues: prompts are accepted and never run.
        """
        self._unreachable_since = None
        if status.running or not status.pending:
            self._idle_since, self._idle_polls = None, 0
            return
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        self._idle_polls += 1
        if self._idle_polls >= _IDLE_POLLS and now - self._idle_since >= _IDLE_SECONDS:
            raise ProviderUnreachable(
                f"The ComfyUI server accepts prompts and runs none: {status.pending} are queued, and none has started "
                f"for {_IDLE_SECONDS:g} s. It must be restarted.",
                reason=EXECUTOR_DEAD,
            )
