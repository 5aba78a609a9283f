"""Many jobs that wait for a provider that has to be asked: what they take while nothing happens."""

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
from bench.waiting.rows import fill, spread
from bench.waiting.watching import Watched, log_statements, watch

USUAL = 60.0
"""Seconds between two looks at a job that has waited for a while, as the settings come."""
ALLOWED = 1.10
_WARM_UP = 8.0
_SHARE = 100
"""Times as many jobs."""


@dataclass
class Case:
    """So many jobs, each of which is due every `pause` seconds."""

    name: str
    jobs: int
    pause: float
    found: list[Watched] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    """In a second, as the provider counts them."""

    @property
    def due(self) -> float:
        """Looks in a second that would be in time."""
        # Each pause is up to a tenth longer.
        return self.jobs / self.pause / 1.05

    def of(self, figure: Callable[[Watched], float]) -> float:
        """Return the median of a figure."""
        return median(map(figure, self.found))

    @property
    def statements(self) -> float:
        """In a second."""
        return self.of(lambda seen: seen.statements / seen.seconds)

    @property
    def memory(self) -> float:
        """In MiB."""
        return self.of(lambda seen: seen.memory / 2**20)


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Watch a worker and the database, in every case once in every round."""
    many, few = sizes.provider_waits, sizes.provider_waits // _SHARE
    none = Case("no job waits", 0, USUAL)
    small = Case(f"{few:,}, each every {USUAL:g} s", few, USUAL)
    seldom = Case(f"{many:,}, each every {USUAL * _SHARE:,g} s", many, USUAL * _SHARE)
    usual = Case(f"{many:,}, each every {USUAL:g} s", many, USUAL)
    finding = Finding(
        "waiting-polling",
        f"One `callsheet worker`, jobs that wait for a provider without webhooks; {sizes.watched_seconds:g} s each, "
        f"median of {sizes.rounds}",
        ["looks due/s", "looks/s", "statements/s", "a look", "memory, MiB", "CPU", "PostgreSQL CPU"],
    )
    with contextlib.ExitStack() as stack:
        stand_in = stack.enter_context(running([sys.executable, "-m", "bench.waiting.stand_ins", "videos"], {}))
        known = stand_in.ask("know", tasks=many)
        filled = {jobs: stack.enter_context(_filled(stores, jobs, known, progress)) for jobs in (0, few, many)}
        for number in range(sizes.rounds):
            for case in (none, small, seldom, usual):
                progress(f"round {number + 1}/{sizes.rounds}: {case.name}")
                _measure(case, stores, filled[case.jobs], known, stand_in, sizes, finding)
    finding.rows = [_row(case) for case in (none, small, seldom, usual)]
    finding.verdicts = _verdicts(small, seldom, usual)
    finding.notes = [
        "Each job is an execution of its own, in the middle of its waiting. Memory is that of all processes of the "
        "worker together. Statements are those that PostgreSQL ran, BEGIN, COMMIT and the pool's resets among them.",
        f"Of {usual.due:,.0f} looks due in a second, one worker makes as many as it can; the others are late.",
    ]
    return finding


@contextlib.contextmanager
def _filled(stores: Stores, jobs: int, known: dict[str, object], progress: Callable[[str], None]) -> Iterator[str]:
    with stores.database() as dsn:
        progress(f"filling a database with {jobs:,} jobs")
        log_statements(stores, dsn)
        fill(stores, dsn, jobs, provider="videos", model=str(known["model"]), status="in_progress", strategy="polling")
        yield dsn


def _measure(
    case: Case, stores: Stores, dsn: str, known: dict[str, object], stand_in: Child, sizes: Sizes, finding: Finding
) -> None:
    spread(stores, dsn, case.pause)
    assert isinstance(known["environment"], dict)
    environment = programs.settings(dsn, stores.folder / "waiting", provider_poll_max=case.pause)
    finding.noise.append(busy_share())
    with programs.worker(stores, dsn, {**known["environment"], **environment}, "generate") as worker:
        time.sleep(min(_WARM_UP, sizes.watched_seconds))
        before = stand_in.ask("looks")["looks"]
        seen = watch(stores, worker.pid, sizes.watched_seconds)
        case.looks.append((stand_in.ask("looks")["looks"] - before) / seen.seconds)
        case.found.append(seen)


def _row(case: Case) -> Row:
    looks = median(case.looks)
    values = [
        f"{case.due:,.0f}",
        f"{looks:,.1f}",
        f"{case.statements:,.1f}",
        f"{case.statements / looks:.2f}" if looks else "",
        f"{case.memory:.1f}",
        f"{case.of(lambda seen: seen.cpu / seen.seconds):.0%}",
        f"{case.of(lambda seen: seen.database_cpu / seen.seconds):.0%}",
    ]
    return Row(case.name, values, {"looksPerSecond": case.looks, "watched": [vars(seen) for seen in case.found]})


def _verdicts(small: Case, seldom: Case, usual: Case) -> list[Verdict]:
    statements, memory = seldom.statements / small.statements, seldom.memory / small.memory
    busy = usual.memory / small.memory
    return [
        Verdict("as many looks: at most a tenth more statements", f"{statements:.2f}×", statements <= ALLOWED),
        Verdict("as many looks: at most a tenth more memory", f"{memory:.2f}×", memory <= ALLOWED),
        Verdict("as many as it can: at most a tenth more memory", f"{busy:.2f}×", busy <= ALLOWED),
    ]
