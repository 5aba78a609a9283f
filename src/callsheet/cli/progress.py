"""Progress display of an execution: a bar per job on a terminal, lines elsewhere."""

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from callsheet.cli.printing import say, use_color
from callsheet.domain.plain_text import plain_text

_MAX_BARS = 18
_ENDED = {"succeeded", "failed", "cancelled", "skipped"}
_STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "skipped": "yellow", "running": "cyan"}


class ProgressDisplay(Protocol):
    """A display of events; a context manager."""

    def __enter__(self) -> "ProgressDisplay":
        """Start the display."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the display; its last state stays visible."""

    def show(self, event_type: str, job: str | None, data: Mapping[str, Any]) -> None:
        """Show an event: its type, the id of its job in the plan, and its data."""


def open_display(jobs: Mapping[str, str]) -> ProgressDisplay:
    """Return the display for stderr. `jobs` maps job ids to operation names."""
    return BarDisplay(jobs) if sys.stderr.isatty() and use_color(sys.stderr) else LineDisplay()


class LineDisplay:
    """Prints a line per change of status, and progress in quarters."""

    def __init__(self) -> None:
        self._quarters: dict[str, int] = {}

    def __enter__(self) -> "LineDisplay":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, event_type: str, job: str | None, data: Mapping[str, Any]) -> None:
        """Print a line, unless the event is unimportant."""
        noun, _, verb = event_type.partition(".")
        if verb == "progress" and job is not None:
            quarter = int(data["progress"] * 4)
            if not 0 < quarter < 4 or quarter == self._quarters.get(job):
                return
            self._quarters[job] = quarter
        if verb != "output":
            say(f"{job or noun}: {event_text(verb, data)}")


class BarDisplay:
    """Shows a bar per job, or one bar for a plan with too many jobs.

    `jobs` are the jobs of the plan. Child jobs have a bar while they run.
    """

    def __init__(self, jobs: Mapping[str, str], console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.fields[job]}"),
            TextColumn("[dim]{task.fields[operation]}"),
            _Bar(bar_width=28, complete_style="cyan", finished_style="green"),
            TextColumn("{task.percentage:>3.0f}%"),
            _StatusColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._operations = dict(jobs)
        self._crowded = len(jobs) > _MAX_BARS
        self._bars: dict[str, TaskID] = {}
        self._ended: set[str] = set()
        self._all = self._add("all jobs", "", len(jobs), text="") if self._crowded else None
        for job in () if self._crowded else jobs:
            self._bar(job)

    def __enter__(self) -> "BarDisplay":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, event_type: str, job: str | None, data: Mapping[str, Any]) -> None:
        """Update the bar of the job."""
        noun, _, verb = event_type.partition(".")
        if noun != "job" or job is None or verb == "output":
            return
        if verb in ("log", "blocked"):
            self._progress.print(Text(f"{job}: {event_text(verb, data)}", style="dim"))
        elif verb == "progress":
            self._progress.update(
                self._bar(job), completed=data["progress"], text=plain_text(data.get("message") or "running")
            )
        elif verb == "provider_status":
            if job in self._bars:
                self._progress.update(self._bars[job], text=event_text(verb, data))
        else:
            self._show_status(job, verb, data)

    def _show_status(self, job: str, status: str, data: Mapping[str, Any]) -> None:
        if (self._crowded or job not in self._operations) and status in ("pending", "queued") and job not in self._bars:
            return
        bar = self._bar(job)
        text = event_text(status, data)
        self._progress.update(bar, status=status, text=text)
        if status == "running":
            self._progress.reset(bar, start=True)
        if status in _ENDED:
            self._end(job, bar, text, succeeded=status == "succeeded")

    def _end(self, job: str, bar: TaskID, text: str, *, succeeded: bool) -> None:
        if succeeded:
            self._progress.update(bar, completed=1)
        self._progress.stop_task(bar)
        planned = job in self._operations
        if planned and self._all is None:
            return
        self._progress.update(bar, visible=False)
        if not succeeded:
            self._progress.print(Text(f"{job}: {text}", style="red"))
        if planned and self._all is not None:
            self._ended.add(job)
            self._progress.update(self._all, completed=len(self._ended))

    def _bar(self, job: str) -> TaskID:
        if job not in self._bars:
            self._bars[job] = self._add(job, self._operations.get(job, ""), 1)
        return self._bars[job]

    def _add(self, job: str, operation: str, total: float, text: str = "pending") -> TaskID:
        is_child = job not in self._operations
        return self._progress.add_task(
            "", total=total, start=is_child, job=job, operation=operation, text=text, status="pending"
        )


class _Bar(BarColumn):
    """A bar without animation while its job waits."""

    def render(self, task: Any) -> ProgressBar:
        bar = super().render(task)
        bar.pulse = False
        return bar


class _StatusColumn(TextColumn):
    """The status of a job as text, cut to the rest of the line."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Any) -> Text:
        lines = str(task.fields["text"]).splitlines() or [""]
        text = Text(lines[0], style=_STYLES.get(task.fields["status"], "dim"))
        text.truncate(46, overflow="ellipsis")
        return text


def event_text(verb: str, data: Mapping[str, Any]) -> str:
    """Return an event as text: the message of a log, the progress, the status with its error."""
    return plain_text(_event_text(verb, data))


def _event_text(verb: str, data: Mapping[str, Any]) -> str:
    if verb == "log":
        return str(data.get("message", ""))
    if verb == "progress":
        return " ".join(filter(None, [f"{data['progress']:.0%}", data.get("message")]))
    if verb == "provider_status":
        return f"{data['provider']}: {data['status']}"
    if verb == "blocked":
        return f"waits: {data['message']}"
    if error := data.get("error"):
        retry = f" (retry in {data['delay']:.1f} s)" if "delay" in data else ""
        return f"{verb}: {error['message']}{retry}"
    return f"{verb}, {data['reason']}" if data.get("reason") else verb
