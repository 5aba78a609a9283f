"""Several ways to the same end, run in turns, with the time and the processor time that each takes."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.machine import busy_share, cpu_seconds
from bench.report import Finding, Row, skipped
from bench.stores import Stores

ROUNDS = 3


@dataclass(frozen=True)
class Way:
    """One way to the end."""

    name: str
    run: Callable[[], Any]
    missing: str | None = None
    """Why it cannot be gone here; None: it can."""


@dataclass(frozen=True)
class Cost:
    """What one run took, in seconds."""

    wall: float
    cpu: float


@dataclass
class Turns:
    """What every run of every way took, and what the last one of each returned."""

    ways: Sequence[Way]
    costs: dict[str, list[Cost]]
    outcomes: dict[str, Any]

    def wall(self, name: str) -> float:
        """Return the median time of a way; raises RuntimeError when it was not measured."""
        return median(cost.wall for cost in self._of(name))

    def cpu(self, name: str) -> float:
        """Return the median processor time of a way; raises RuntimeError when it was not measured."""
        return median(cost.cpu for cost in self._of(name))

    def has(self, name: str) -> bool:
        """Tell whether a way was measured."""
        return bool(self.costs[name])

    def rows(self, base: str, more: Callable[[str], list[str]] = lambda _: []) -> list[Row]:
        """Return a row for each way, with its ratios to `base` and what `more` adds."""
        return [self._row(way, base, more) for way in self.ways]

    def _row(self, way: Way, base: str, more: Callable[[str], list[str]]) -> Row:
        if not self.has(way.name):
            return skipped(way.name, way.missing or "it failed")
        wall, cpu = self.wall(way.name), self.cpu(way.name)
        values = [f"{cpu:.2f}", ratio(cpu, self.cpu(base)), f"{wall:.2f}", ratio(wall, self.wall(base))]
        facts = {"costs": [vars(cost) for cost in self.costs[way.name]]}
        return Row(way.name, [*values, *more(way.name)], facts)

    def _of(self, name: str) -> list[Cost]:
        if not self.costs[name]:
            raise RuntimeError(f"{name} was not measured")
        return self.costs[name]


COLUMNS = ["CPU s", "CPU ×", "wall s", "wall ×"]
"""Those of `Turns.rows`."""


def in_turns(
    ways: Sequence[Way], rounds: int, stores: Stores, finding: Finding, progress: Callable[[str], None]
) -> Turns:
    """Run all ways, one after the other in every round; a way that fails is told, and left out from then on."""
    turns = Turns(ways, {way.name: [] for way in ways}, {})
    for number in range(rounds):
        for way in ways:
            if way.missing is None and way.name not in finding.errors:
                progress(f"round {number + 1}/{rounds}: {way.name}")
                finding.noise.append(busy_share())
                with finding.errors_of(way.name):
                    turns.outcomes[way.name], cost = measured(way.run, stores)
                    turns.costs[way.name].append(cost)
    return turns


def measured(run: Callable[[], Any], stores: Stores) -> tuple[Any, Cost]:
    """Run something, and return what it returns with what it took of our children's and of PostgreSQL's time."""
    before, began = _spent(stores), time.perf_counter()
    outcome = run()
    wall = time.perf_counter() - began
    return outcome, Cost(wall, _spent(stores) - before)


def ratio(value: float, of: float) -> str:
    """Write a ratio."""
    return f"{value / of:.3f}×" if value / of < 0.1 else f"{value / of:.2f}×"


def fresh(folder: Path) -> Path:
    """Empty a folder, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _spent(stores: Stores) -> float:
    """Return the processor time that the bench, PostgreSQL and all their children have used so far."""
    return cpu_seconds(os.getpid(), *([stores.server_pid] if stores.server_pid else []))
