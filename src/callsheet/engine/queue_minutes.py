"""What happened in each queue in the last minutes: rates of starts and ends, and durations of runs.

It is counted from the events, together with the totals of metrics, so that no claim and no read scans jobs.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.metrics.catalog import SECONDS

RATE_MINUTES = 5
"""Whole minutes of a rate; the one that has begun counts in addition."""
_KEPT = timedelta(hours=1)
"""Time of which durations are shown."""
_STARTED = "job.running"
_RAN = ("job.succeeded", "job.failed")
_ENDED = (*_RAN, "job.cancelled")


@dataclass(slots=True)
class _Minute:
    started: int = 0
    ended: int = 0
    durations: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))

    def add(self, row: Mapping[str, Any]) -> None:
        kind, events = row["kind"], row["events"]
        self.started += events if kind == _STARTED else 0
        self.ended += events if kind in _ENDED else 0
        if kind in _RAN and row["bucket"] is not None:
            self.durations[row["bucket"]] += events


@dataclass(frozen=True, slots=True)
class QueueRates:
    """Rates and durations of one queue."""

    started_per_minute: float = 0.0
    ended_per_minute: float = 0.0
    p50: float | None = None
    """Median of the seconds that runs took; None: none has ended in the last hour."""
    p95: float | None = None


async def add_queue_minutes(connection: Connection, rows: Iterable[Mapping[str, Any]], at: datetime) -> None:
    """Add counted events, which are rows of `count_events`, to the minute of `at`."""
    minutes: dict[str, _Minute] = defaultdict(_Minute)
    for row in rows:
        if row["queue"] is not None and row["kind"] in (_STARTED, *_ENDED):
            minutes[row["queue"]].add(row)
    queues = sorted(minutes)
    await sql.add_queue_minutes(
        connection,
        queues=queues,
        started=[minutes[queue].started for queue in queues],
        ended=[minutes[queue].ended for queue in queues],
        durations=[orjson.dumps(minutes[queue].durations).decode() for queue in queues],
        at=at,
        oldest=at - _KEPT,
    )


async def read_queue_rates(connection: Connection, now: datetime) -> dict[str, QueueRates]:
    """Return the rates of each queue in which something has happened in the last hour."""
    rates_since = now.replace(second=0, microsecond=0) - timedelta(minutes=RATE_MINUTES)
    minutes = (now - rates_since) / timedelta(minutes=1)
    rows = await sql.queue_minutes(connection, since=now - _KEPT, rates_since=rates_since)
    return {
        row["queue"]: QueueRates(
            row["started"] / minutes,
            row["ended"] / minutes,
            percentile(row["durations"], 0.5),
            percentile(row["durations"], 0.95),
        )
        for row in rows
    }


def percentile(counts: Sequence[int], part: float) -> float | None:
    """Return the duration in seconds that a part of the runs, such as 0.95, does not exceed; None without runs.

    `counts` are the runs in each bucket of `SECONDS`, and those beyond. Inside of a bucket the runs are taken as spread
    evenly. Beyond the last bound, that bound is returned.
    """
    rest = part * sum(counts)
    if rest == 0:
        return None
    low = 0.0
    for bound, runs in zip(SECONDS, counts, strict=False):
        if rest <= runs:
            return low + (bound - low) * rest / runs
        rest, low = rest - runs, bound
    return SECONDS[-1]
