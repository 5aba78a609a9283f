"""Follows an execution for an agent, and reports its progress."""

import asyncio
from contextlib import aclosing
from typing import Protocol
from uuid import UUID

from callsheet.agents.texts import outside_text
from callsheet.client.client import Client
from callsheet.client.errors import WaitTimeout
from callsheet.domain.events import Event, JobProgress
from callsheet.domain.records import Execution
from callsheet.domain.statuses import ENDED

_PAUSE = 1.0
"""Seconds between two reports of progress inside a job. A change of status is reported at once."""
_MAX_MESSAGE = 200
_NOT_REPORTED = ("job.log", "job.output")


class Report(Protocol):
    """Receives progress: the number of finished jobs with the fractions of running ones, and the number of jobs."""

    async def __call__(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Take a report. `progress` never decreases."""


async def wait_until_ended(client: Client, execution_id: UUID, seconds: float, report: Report) -> Execution:
    """Follow an execution until it has ended or `seconds` are over, and return it as it is then. Raises NotFound."""
    execution = await client.status(execution_id)
    progress = _Progress(execution)
    try:
        async with aclosing(client.watch(execution_id, after=execution.last_event, timeout=seconds)) as events:
            async for event in events:
                if progress.read(event):
                    await report(progress.done, progress.total, progress.message)
    except WaitTimeout:
        pass
    return await client.status(execution_id)


class _Progress:
    """Progress of an execution, from its events."""

    def __init__(self, execution: Execution) -> None:
        self._fractions = {job.job_id: 1.0 if job.status in ENDED else job.progress for job in execution.jobs}
        self.total = len(self._fractions)
        self._current = self.done = sum(self._fractions.values())
        self.message: str | None = None
        self._reported_at = 0.0

    def read(self, event: Event) -> bool:
        """Take an event; return whether it is to be reported."""
        kind = event.type.value
        if kind.startswith("execution."):
            self.message = kind
            return True
        if isinstance(event, JobProgress):
            return self._advance(str(event.job_id), event.data["progress"], event.data.get("message"))
        if kind in _NOT_REPORTED:
            return False
        if kind.partition(".")[2] in ENDED:
            self._set(str(event.job_id), 1.0)
        self.message = f"{event.job_id}: {kind}"
        return True

    def _advance(self, job_id: str, fraction: float, text: str | None) -> bool:
        self._set(job_id, fraction)
        now = asyncio.get_running_loop().time()
        if now - self._reported_at < _PAUSE:
            return False
        self._reported_at = now
        self.message = outside_text(f"{job_id}: {text or f'{fraction:.0%}'}", limit=_MAX_MESSAGE)
        return True

    def _set(self, job_id: str, fraction: float) -> None:
        # Child jobs belong to the progress of their parent.
        if job_id in self._fractions:
            self._current += fraction - self._fractions[job_id]
            self._fractions[job_id] = fraction
        self.done = max(self.done, self._current)
