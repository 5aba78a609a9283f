"""One ComfyUI server as a worker sees it: its load, its recent failures, its warm models."""

import time
from dataclasses import dataclass

import structlog

from callsheet.comfyui.hosts import Host
from callsheet.comfyui.managed_server import ManagedServer

log = structlog.get_logger(__name__)

MANAGED_NAME = "own"
"""Name of the server that the worker starts itself."""
_FAILURE_THRESHOLD = 3
_INITIAL_COOLDOWN = 30.0
_MAX_COOLDOWN = 1800.0


@dataclass(eq=False, slots=True)
class Server:
    """One server of the pool."""

    host: Host
    managed: ManagedServer | None = None
    """Set for the server that the worker starts itself."""
    active_jobs: int = 0
    """Jobs of this worker that hold a slot there."""
    last_workflow: str | None = None
    """The workflow that ran there last. Its models are probably still in memory."""
    _failures: int = 0
    _cooldown_end: float = 0.0

    @property
    def name(self) -> str:
        """The name given in the settings."""
        return self.host.name

    @property
    def has_free_slot(self) -> bool:
        """Whether fewer jobs run there than its capacity."""
        return self.active_jobs < self.host.capacity

    @property
    def cooldown(self) -> float:
        """Seconds until it gets jobs again after repeated failures; 0 when it gets jobs now."""
        return max(0.0, self._cooldown_end - time.monotonic())

    def record_failure(self, reason: str) -> None:
        """Count a failure of the server. From the third in a row on it cools down: 30 s, doubled up to 30 minutes."""
        self._failures += 1
        if self._failures >= _FAILURE_THRESHOLD:
            cooldown = min(_INITIAL_COOLDOWN * 2 ** min(self._failures - _FAILURE_THRESHOLD, 16), _MAX_COOLDOWN)
            self._cooldown_end = time.monotonic() + cooldown
            log.warning("ComfyUI server gets no jobs for a while", server=self.name, seconds=cooldown, reason=reason)

    def record_success(self, workflow: str | None) -> None:
        """Reset the failures, and remember the workflow that ran."""
        self._failures, self._cooldown_end, self.last_workflow = 0, 0.0, workflow
