"""Cost of many jobs that poll a provider while nothing happens."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

from bench.children import Child, running
from bench.machine import busy_share
from bench.report import Finding, Row, Verdict
from bench.sizes import Sizes
from bench.stores import Stores
from bench.waiting import programs
from bench.waiting.resource_monitor import Usage, log_statements, measure
from bench.waiting.waiting_jobs import fill, spread

DEFAULT_INTERVAL = 60.0
"""Default of `provider_poll_max`, in seconds."""
ALLOWED = 1.10
_WARM_UP = 8.0
_FACTOR = 100
"""Factor between the numbers of jobs."""


@dataclass
class Case:
    """A number of jobs, each polled every `interval` seconds."""

    name: str
    jobs: int
    interval: float
    usages: list[Usage] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    """Polls per second, counted by the provider."""

    @property
    def due(self) -> float:
        """Polls per second if all were on time."""
        # Intervals have a jitter of up to 10%.
        return self.jobs / self.interval / 1.05

    def of(self, figure: Callable[[Usage], float]) -> float:
        """Return the median of a figure."""
        return median(map(figure, self.usages))

    @property
    def statements(self) -> float:
        """Statements per second."""
        return self.of(lambda usage: usage.statements / usage.seconds)

    @property
    def memory(self) -> float:
        """Peak memory in MiB."""
        return self.of(lambda usage: usage.memory / 2**20)


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure a worker and the database: every case once in every round."""
    many, few = sizes.provider_waits, sizes.provider_waits // _FACTOR
    none = Case("no waiting jobs", 0, DEFAULT_INTERVAL)
    small = Case(f"{few:,}, polled every {DEFAULT_INTERVAL:g} s", few, DEFAULT_INTERVAL)
    rare = Case(f"{many:,}, polled every {DEFAULT_INTERVAL * _FACTOR:,g} s", many, DEFAULT_INTERVAL * _FACTOR)
    default = Case(f"{many:,}, polled every {DEFAULT_INTERVAL:g} s", many, DEFAULT_INTERVAL)
    finding = Finding(
        "waiting-polling",
        f"One `callsheet worker`, jobs that poll a provider; {sizes.watched_seconds:g} s each, "
        f"median of {sizes.rounds}",
        ["polls due/s", "polls/s", "statements/s", "per poll", "memory, MiB", "CPU", "PostgreSQL CPU"],
    )
    with contextlib.ExitStack() as stack:
        fake = stack.enter_context(running([sys.executable, "-m", "bench.waiting.fakes", "videos"], {}))
        provider = fake.ask("add_tasks", tasks=many)
        filled = {jobs: stack.enter_context(_filled(stores, jobs, provider, progress)) for jobs in (0, few, many)}
        for number in range(sizes.rounds):
            for case in (none, small, rare, default):
                progress(f"round {number + 1}/{sizes.rounds}: {case.name}")
                _measure(case, stores, filled[case.jobs], provider, fake, sizes, finding)
    finding.rows = [_row(case) for case in (none, small, rare, default)]
    finding.verdicts = _verdicts(small, rare, default)
    finding.notes = [
        "Each job is an execution of its own. Memory is the sum of all processes of the worker. Statements include "
        "BEGIN, COMMIT and the resets of pooled connections.",
        f"Of {default.due:,.0f} polls due per second, one worker makes as many as it can; the others are late.",
    ]
    return finding


@contextlib.contextmanager
def _filled(stores: Stores, jobs: int, provider: dict[str, object], progress: Callable[[str], None]) -> Iterator[str]:
    with stores.database() as dsn:
        progress(f"filling a database with {jobs:,} jobs")
        log_statements(stores, dsn)
        fill(
            stores, dsn, jobs, provider="videos", model=str(provider["model"]), status="in_progress", strategy="polling"
        )
        yield dsn


def _measure(
    case: Case, stores: Stores, dsn: str, provider: dict[str, object], fake: Child, sizes: Sizes, finding: Finding
) -> None:
    spread(stores, dsn, case.interval)
    assert isinstance(provider["environment"], dict)
    environment = programs.settings(dsn, stores.folder / "waiting", provider_poll_max=case.interval)
    finding.noise.append(busy_share())
    with programs.worker(stores, dsn, {**provider["environment"], **environment}, "generate") as worker:
        time.sleep(min(_WARM_UP, sizes.watched_seconds))
        before = fake.ask("polls")["polls"]
        usage = measure(stores, worker.pid, sizes.watched_seconds)
        case.polls.append((fake.ask("polls")["polls"] - before) / usage.seconds)
        case.usages.append(usage)


def _row(case: Case) -> Row:
    polls = median(case.polls)
    values = [
        f"{case.due:,.0f}",
        f"{polls:,.1f}",
        f"{case.statements:,.1f}",
        f"{case.statements / polls:.2f}" if polls else "",
        f"{case.memory:.1f}",
        f"{case.of(lambda usage: usage.cpu / usage.seconds):.0%}",
        f"{case.of(lambda usage: usage.database_cpu / usage.seconds):.0%}",
    ]
    return Row(case.name, values, {"pollsPerSecond": case.polls, "usage": [vars(usage) for usage in case.usages]})


def _verdicts(small: Case, rare: Case, default: Case) -> list[Verdict]:
    statements, memory = rare.statements / small.statements, rare.memory / small.memory
    busy = default.memory / small.memory
    return [
        Verdict("same polls per second: at most 10% more statements", f"{statements:.2f}×", statements <= ALLOWED),
        Verdict("same polls per second: at most 10% more memory", f"{memory:.2f}×", memory <= ALLOWED),
        Verdict("at its limit: at most 10% more memory", f"{busy:.2f}×", busy <= ALLOWED),
    ]
