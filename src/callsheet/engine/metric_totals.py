"""The stored totals of metrics: what processes add, what is counted from the events, and their sums."""

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
import structlog

from callsheet.db.commit_once import commit_once
from callsheet.db.database import Connection, Database
from callsheet.db.outages import TRANSIENT_ERRORS
from callsheet.db.statements import sql
from callsheet.domain.events import WORKER_LOST
from callsheet.engine.queue_minutes import add_queue_minutes
from callsheet.metrics import catalog
from callsheet.metrics.catalog import SECONDS, Metric
from callsheet.metrics.changes import Change, take_changes

log = structlog.get_logger(__name__)

_INTERVAL = 5.0
"""Seconds between two writes of a process."""
_CLOSE_TIMEOUT = 2.0
_WINDOW = timedelta(minutes=1)
"""Time of which one statement counts the events."""
_LARGE_WINDOW = timedelta(minutes=10)
"""The same after a time in which no process has counted: there are hardly any events in it."""
_LONG_AGO = timedelta(hours=1)


class MetricWriter:
    """Adds what this process counts to the stored totals, and counts the new events of all processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._closing = asyncio.Event()

    async def run(self) -> None:
        """Write every few seconds. After `close`, write once more and return."""
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL):
                    await self._closing.wait()
            try:
                await store_changes(self._database, take_changes())
                if not self._closing.is_set():
                    await count_new_events(self._database)
            except TRANSIENT_ERRORS as error:
                self._database.outage.failed("count metrics", error)
            except asyncpg.PostgresError as error:
                log.error("could not count metrics, will retry", exc_info=error)

    async def close(self, task: "asyncio.Task[None]") -> None:
        """Let `run`, which is `task`, end; without the database, what it has not stored is lost."""
        self._closing.set()
        await asyncio.wait({task}, timeout=_CLOSE_TIMEOUT)
        task.cancel()
        # A transaction that is rolled back waits for a silent database; the end of its connection ends it.
        await asyncio.wait({task}, timeout=_CLOSE_TIMEOUT)


async def store_changes(database: Database, changes: Iterable[Change]) -> None:
    """Add to the stored totals, exactly once."""
    columns = list(zip(*changes, strict=True))
    if columns:
        await commit_once(database, lambda connection: _add(connection, *columns))


async def _add(connection: Connection, names: Any, labels: Iterable[tuple[str, ...]], bounds: Any, values: Any) -> None:
    texts = [orjson.dumps(each).decode() for each in labels]
    await sql.add_metric_totals(connection, names=names, labels=texts, bounds=bounds, values=values)


async def count_new_events(database: Database) -> None:
    """Count the events since the last count of any process, unless another process does it now."""
    while True:
        async with database.transaction() as connection:
            cursor = await sql.lock_event_count(connection)
            if cursor is None or not await _count_part(connection, cursor["counted_until"], cursor["countable_until"]):
                return


async def _count_part(connection: Connection, since: datetime, countable: datetime) -> bool:
    """Count the events of one window. Return whether there are more."""
    if countable <= since:
        return False
    window = _LARGE_WINDOW if countable - since > _LONG_AGO else _WINDOW
    until = min(countable, since + window)
    rows = await sql.count_events(connection, since=since, until=until, bounds=SECONDS, worker_lost=WORKER_LOST)
    changes = merged(change for row in rows for change in _changes_of(row))
    if changes:
        await _add(connection, *zip(*changes, strict=True))
    await add_queue_minutes(connection, rows, until)
    await sql.move_event_count(connection, until=until)
    return until < countable


def _changes_of(row: Any) -> Iterator[Change]:
    subject, _, status = row["kind"].partition(".")
    if subject == "execution":
        submitted = status == "queued"
        yield _counted(catalog.EXECUTIONS, row, "submitted" if submitted else status)
        if not submitted:
            yield from _observed(catalog.EXECUTION_DURATION, row, status)
    elif status == "running":
        yield from _observed(catalog.JOB_WAIT, row, row["queue"])
    elif status in ("retried", "rescued"):
        metric = catalog.JOB_RETRIES if status == "retried" else catalog.JOB_RESCUES
        yield _counted(metric, row, row["operation"], row["queue"])
    else:
        yield _counted(catalog.JOBS, row, row["operation"], row["queue"], status)
        yield from _observed(catalog.JOB_DURATION, row, row["operation"], row["queue"], status)


def _counted(metric: Metric, row: Any, *labels: str | None) -> Change:
    return Change(metric.name, _texts(labels), math.inf, float(row["events"]))


def _observed(metric: Metric, row: Any, *labels: str | None) -> Iterator[Change]:
    place = row["bucket"]
    if place is None:
        return
    bound = SECONDS[place] if place < len(SECONDS) else math.inf
    yield Change(metric.name, _texts(labels), bound, float(row["events"]))
    yield Change(f"{metric.name}_sum", _texts(labels), math.inf, row["seconds"])


def _texts(labels: Iterable[str | None]) -> tuple[str, ...]:
    # The row of a job is deleted with its execution: its events may still be there for a moment.
    return tuple(label or "unknown" for label in labels)


def merged(changes: Iterable[Change]) -> list[Change]:
    """Return changes with one entry for each number."""
    sums: dict[tuple[str, tuple[str, ...], float], float] = defaultdict(float)
    for name, labels, bound, value in changes:
        sums[name, labels, bound] += value
    return [Change(*key, value) for key, value in sums.items()]


@dataclass(slots=True)
class Durations:
    """A histogram of one set of labels."""

    seconds: float = 0.0
    """Sum of all durations."""
    counts: list[float] = field(default_factory=lambda: [0.0] * (len(SECONDS) + 1))
    """Durations in each bucket."""

    def add(self, other: "Durations") -> None:
        """Add another histogram."""
        self.seconds += other.seconds
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]


@dataclass(slots=True)
class Totals:
    """The stored totals by metric and labels."""

    numbers: dict[str, dict[tuple[str, ...], float]] = field(default_factory=lambda: defaultdict(dict))
    durations: dict[str, dict[tuple[str, ...], Durations]] = field(default_factory=lambda: defaultdict(dict))

    def of(self, metric: Metric) -> dict[tuple[str, ...], float]:
        """Return the values of a counter by labels."""
        return self.numbers.get(metric.name, {})

    def durations_of(self, metric: Metric) -> dict[tuple[str, ...], Durations]:
        """Return the histograms of a metric by labels."""
        return self.durations.get(metric.name, {})


async def read_totals(connection: Connection) -> Totals:
    """Return the stored totals. A bucket with a bound of another version is added to the next larger one."""
    totals = Totals()
    histograms = {name for name, metric in catalog.INSTALLATION.items() if metric.kind == "histogram"}
    for row in await sql.metric_totals(connection):
        name, labels, value = row["name"], tuple(row["labels"]), row["value"]
        base = name.removesuffix("_sum")
        if base not in histograms:
            totals.numbers[name][labels] = value
            continue
        durations = totals.durations[base].setdefault(labels, Durations())
        if name != base:
            durations.seconds += value
        else:
            durations.counts[_place(row["bound"])] += value
    return totals


def _place(bound: float) -> int:
    return next((place for place, largest in enumerate(SECONDS) if bound <= largest), len(SECONDS))
