"""One ComfyUI server as a worker sees it: its load, its health, its warm models."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import structlog

from callsheet.comfyui.hosts import Host
from callsheet.comfyui.managed_server import ManagedServer
from callsheet.domain.clock import shared_now

log = structlog.get_logger(__name__)

MANAGED_NAME = "own"
"""Name of the server that the worker starts itself."""
_PROBE_INTERVAL = 5.0
_MAX_PROBE_INTERVAL = 60.0

Fault = Literal["unreachable", "unauthorized", "stuck", "silent"]
"""Why a server gets no prompts: it does not respond, rejects the credentials, accepts prompts and runs none, or its
running prompt shows no sign of life.
"""


_FAULTS = {
    "unreachable": "does not respond",
    "unauthorized": "rejects access",
    "stuck": "runs no prompts",
    "silent": "shows no sign of life",
}


@dataclass(frozen=True, slots=True)
class ServerFault:
    """A fault of a server, which lasts until the server responds to a probe."""

    kind: Fault
    reason: str
    since: datetime
    prompt: str | None = None
    """The prompt that shows no sign of life."""

    def __str__(self) -> str:
        """Describe it for messages."""
        return f"{_FAULTS[self.kind]} since {self.since:%H:%M:%S} UTC ({self.reason})"


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
    fault: ServerFault | None = None
    """None while it works as far as this worker knows. A managed server can only be silent: else a new process is
    started.
    """
    on_change: Callable[["Server"], None] = field(default=lambda _: None, repr=False)
    """Called when a fault begins or ends."""
    _next_probe: float = 0.0
    _failed_uses: int = 0

    @property
    def name(self) -> str:
        """The name given in the settings."""
        return self.host.name

    @property
    def has_free_slot(self) -> bool:
        """Whether fewer jobs run there than its capacity."""
        return self.active_jobs < self.host.capacity

    @property
    def is_probe_due(self) -> bool:
        """Whether it has a fault, and was not asked for some seconds."""
        return self.fault is not None and time.monotonic() >= self._next_probe

    @property
    def silent_prompt(self) -> str | None:
        """The prompt that shows no sign of life."""
        return None if self.fault is None else self.fault.prompt

    def record_fault(self, kind: Fault, reason: str, *, prompt: str | None = None) -> None:
        """Record a fault that a job, or the choice of a server, has met. Others see it at once."""
        if self.managed is not None and kind != "silent":
            return
        if self.fault is None:
            # A server that responds to probes and fails in use is asked less and less often.
            self._failed_uses += 1
        pause = min(_PROBE_INTERVAL * 2 ** min(self._failed_uses - 1, 8), _MAX_PROBE_INTERVAL)
        self._next_probe = time.monotonic() + pause
        known, fault = self.fault, ServerFault(kind, reason, shared_now(), prompt)
        if known is not None and known.kind == kind:
            self.fault = replace(fault, since=known.since)
            return
        self.fault = fault
        log.warning("ComfyUI server gets no jobs", server=self.name, state=kind, reason=reason)
        self.on_change(self)

    def record_answer(self) -> None:
        """Record that it responds."""
        if self.fault is None:
            return
        log.info("ComfyUI server gets jobs again", server=self.name, state=self.fault.kind)
        self.fault = None
        self.on_change(self)

    def record_silence(self, prompt_id: str, reason: str) -> None:
        """Record that a running prompt shows no sign of life."""
        self.record_fault("silent", reason, prompt=prompt_id)

    def record_sign(self, prompt_id: str) -> None:
        """Record that a prompt shows a sign of life, or does not run any more."""
        if self.silent_prompt == prompt_id:
            self.record_answer()

    def record_success(self, workflow: str | None) -> None:
        """Record that a prompt ended there, and remember its workflow."""
        self.record_answer()
        self._failed_uses, self.last_workflow = 0, workflow
