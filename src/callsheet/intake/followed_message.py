"""The state of one open message: what has happened to its execution, and what was reported."""

import asyncio

from callsheet.domain.event_types import EventType
from callsheet.domain.events import Event
from callsheet.domain.records import Execution
from callsheet.engine.intake_messages import OpenMessage
from callsheet.intake.contract import Update

_ENDS = {EventType.EXECUTION_SUCCEEDED, EventType.EXECUTION_FAILED, EventType.EXECUTION_CANCELLED}
_JOB_ENDS = {EventType.JOB_SUCCEEDED, EventType.JOB_FAILED, EventType.JOB_CANCELLED, EventType.JOB_SKIPPED}


class FollowedMessage:
    """An open message and the events of its execution that were not reported yet."""

    def __init__(self, message: OpenMessage) -> None:
        self.message = message
        self.reported = message.reported_event
        """Number of the newest reported event."""
        self.ended = asyncio.Event()
        """The execution has ended; its end was perhaps not reported yet."""
        self.started = False
        self.start_pushed = False
        """The API of the product has received, or will receive, that it has started."""
        self.closing = False
        """The end is being reported."""
        self.report_timer: asyncio.TimerHandle | None = None
        """Starts the report of news that are no end."""
        self._pending: list[Event] = []
        self.jobs = 1
        """Number of jobs of the plan."""
        self._progress: dict[str, float] = {}
        self._text: str | None = None

    @property
    def has_news(self) -> bool:
        """Whether there is something to report."""
        return bool(self._pending) or (self.ended.is_set() and not self.closing)

    def cancel_timer(self) -> None:
        """Do not start the report that was to start later."""
        if self.report_timer is not None:
            self.report_timer.cancel()
            self.report_timer = None

    @property
    def progress(self) -> float:
        """Progress over all jobs, 0 to 1. Child jobs count as a part of their parent."""
        return min(1.0, sum(self._progress.values()) / self.jobs)

    def add(self, event: Event) -> None:
        """Note an event of the execution. Events that were reported before a restart only restore the state."""
        if event.type == EventType.EXECUTION_QUEUED:
            self.jobs = max(1, int(event.data.get("jobs", 1)))
        elif event.type == EventType.EXECUTION_RUNNING:
            self.started = True
        elif event.type in _ENDS:
            self.ended.set()
        elif event.job_id is not None and "/" not in event.job_id:
            self._add_job_event(event, event.job_id)
        if event.number > self.reported:
            self._pending.append(event)

    def _add_job_event(self, event: Event, job_id: str) -> None:
        if event.type in _JOB_ENDS:
            self._progress[job_id] = 1.0
        elif event.type == EventType.JOB_PROGRESS:
            self._progress[job_id] = float(event.data.get("progress", 0.0))
            self._text = event.data.get("message") or self._text

    def take_update(self, execution: Execution | None) -> tuple[Update, int]:
        """Return what is to be reported, and the number of its newest event. `execution` is given if it has ended."""
        events, self._pending = self._pending, []
        newest = events[-1].number if events else self.reported
        return Update(events, self.progress, self._text, self.started, execution), newest
