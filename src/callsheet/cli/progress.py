"""What is seen of an execution while it runs: a bar per job on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from callsheet.cli.printing import in_colour, say

_MOST_BARS = 18
_ENDED = {"succeeded", "failed", "cancelled", "skipped"}
_STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "skipped": "yellow", "running": "cyan"}


class Screen(Protocol):
    """Shows events as they come, while it is entered."""

    def __enter__(self) -> "Screen":
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, leaving what was shown in place."""

    def show(self, kind: str, job: str | None, data: Mapping[str, Any]) -> None:
        """Show one event: its type, the plan's id of its job, and what came with it."""


def screen_for(jobs: Mapping[str, str]) -> Screen:
    """Return the screen that fits where stderr goes; `jobs` are ids with the names of their operations."""
    return Bars(jobs) if sys.stderr.isatty() and in_colour(sys.stderr) else Lines()


class Lines:
    """One line for each change; progress in quarters."""

    def __init__(self) -> None:
        self._quarters: dict[str, int] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, kind: str, job: str | None, data: Mapping[str, Any]) -> None:
        """Print a line for what is worth one."""
        noun, _, verb = kind.partition(".")
        if verb == "progress" and job is not None:
            quarter = int(data["progress"] * 4)
            if not 0 < quarter < 4 or quarter == self._quarters.get(job):
                return
            self._quarters[job] = quarter
        if verb != "data":
            say(f"{job or noun}: {_words(verb, data)}")


class Bars:
    """A bar for each job, as far as they fit the screen, and one for the whole when they do not.

    `jobs` are those of the plan. Jobs that one of them wants to run first have a bar while they run.
    """

    def __init__(self, jobs: Mapping[str, str], console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.fields[job]}"),
            TextColumn("[dim]{task.fields[operation]}"),
            _Bar(bar_width=28, complete_style="cyan", finished_style="green"),
            TextColumn("{task.percentage:>3.0f}%"),
            _Words(),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._operations = dict(jobs)
        self._crowded = len(jobs) > _MOST_BARS
        self._bars: dict[str, TaskID] = {}
        self._ended: set[str] = set()
        self._all = self._add("all jobs", "", len(jobs), words="") if self._crowded else None
        for job in () if self._crowded else jobs:
            self._bar(job)

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, kind: str, job: str | None, data: Mapping[str, Any]) -> None:
        """Move the bar that an event is about."""
        noun, _, verb = kind.partition(".")
        if noun != "job" or job is None or verb == "data":
            return
        if verb == "log":
            self._progress.print(Text(f"{job}: {_words(verb, data)}", style="dim"))
        elif verb == "progress":
            self._progress.update(self._bar(job), completed=data["progress"], words=data.get("message") or "running")
        else:
            self._enter_status(job, verb, data)

    def _enter_status(self, job: str, status: str, data: Mapping[str, Any]) -> None:
        if (self._crowded or job not in self._operations) and status in ("pending", "queued") and job not in self._bars:
            return
        bar = self._bar(job)
        words = _words(status, data)
        self._progress.update(bar, status=status, words=words)
        if status == "running":
            self._progress.reset(bar, start=True)
        if status in _ENDED:
            self._end(job, bar, words, well=status == "succeeded")

    def _end(self, job: str, bar: TaskID, words: str, *, well: bool) -> None:
        if well:
            self._progress.update(bar, completed=1)
        self._progress.stop_task(bar)
        planned = job in self._operations
        if planned and self._all is None:
            return
        self._progress.update(bar, visible=False)
        if not well:
            self._progress.print(Text(f"{job}: {words}", style="red"))
        if planned and self._all is not None:
            self._ended.add(job)
            self._progress.update(self._all, completed=len(self._ended))

    def _bar(self, job: str) -> TaskID:
        if job not in self._bars:
            self._bars[job] = self._add(job, self._operations.get(job, ""), 1)
        return self._bars[job]

    def _add(self, job: str, operation: str, total: float, words: str = "waits") -> TaskID:
        start = job not in self._operations
        return self._progress.add_task(
            "", total=total, start=start, job=job, operation=operation, words=words, status="pending"
        )


class _Bar(BarColumn):
    """Lies still while its job waits."""

    def render(self, task: Any) -> ProgressBar:
        bar = super().render(task)
        bar.pulse = False
        return bar


class _Words(TextColumn):
    """Where a job stands, in words that fit into the rest of the line."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Any) -> Text:
        words: Iterable[str] = str(task.fields["words"]).splitlines() or [""]
        text = Text(next(iter(words)), style=_STYLES.get(task.fields["status"], "dim"))
        text.truncate(46, overflow="ellipsis")
        return text


def _words(verb: str, data: Mapping[str, Any]) -> str:
    if verb == "log":
        return str(data.get("message", ""))
    if verb == "progress":
        return " ".join(filter(None, [f"{data['progress']:.0%}", data.get("message")]))
    if error := data.get("error"):
        again = f" (again in {data['delay']:.1f} s)" if "delay" in data else ""
        return f"{verb}: {error['message']}{again}"
    return f"{verb}, {data['reason']}" if data.get("reason") else verb
