"""Candidates of a benchmark, run in turns, with their wall time and CPU time."""

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
class Candidate:
    """One candidate of a benchmark."""

    name: str
    run: Callable[[], Any]
    missing: str | None = None
    """Why it cannot run here; None if it can."""


@dataclass(frozen=True)
class Cost:
    """Wall time and CPU time of one run, in seconds."""

    wall: float
    cpu: float


@dataclass
class Turns:
    """Costs of all runs, and the result of the last run of each candidate."""

    candidates: Sequence[Candidate]
    costs: dict[str, list[Cost]]
    outcomes: dict[str, Any]

    def wall(self, name: str) -> float:
        """Return the median wall time of a candidate. Raises RuntimeError if it was not measured."""
        return median(cost.wall for cost in self._of(name))

    def cpu(self, name: str) -> float:
        """Return the median CPU time of a candidate. Raises RuntimeError if it was not measured."""
        return median(cost.cpu for cost in self._of(name))

    def has(self, name: str) -> bool:
        """Return whether a candidate was measured."""
        return bool(self.costs[name])

    def rows(self, base: str, more: Callable[[str], list[str]] = lambda _: []) -> list[Row]:
        """Return a row for each candidate, with its ratios to `base` and the extra columns of `more`."""
        return [self._row(candidate, base, more) for candidate in self.candidates]

    def _row(self, candidate: Candidate, base: str, more: Callable[[str], list[str]]) -> Row:
        if not self.has(candidate.name):
            return skipped(candidate.name, candidate.missing or "it failed")
        wall, cpu = self.wall(candidate.name), self.cpu(candidate.name)
        values = [f"{cpu:.2f}", ratio(cpu, self.cpu(base)), f"{wall:.2f}", ratio(wall, self.wall(base))]
        facts = {"costs": [vars(cost) for cost in self.costs[candidate.name]]}
        return Row(candidate.name, [*values, *more(candidate.name)], facts)

    def _of(self, name: str) -> list[Cost]:
        if not self.costs[name]:
            raise RuntimeError(f"{name} was not measured")
        return self.costs[name]


COLUMNS = ["CPU s", "CPU ×", "wall s", "wall ×"]
"""Column names of `Turns.rows`."""


def in_turns(
    candidates: Sequence[Candidate], rounds: int, stores: Stores, finding: Finding, progress: Callable[[str], None]
) -> Turns:
    """Run all candidates once in every round. A candidate that fails is reported and left out afterwards."""
    turns = Turns(candidates, {candidate.name: [] for candidate in candidates}, {})
    for number in range(rounds):
        for candidate in candidates:
            if candidate.missing is None and candidate.name not in finding.errors:
                progress(f"round {number + 1}/{rounds}: {candidate.name}")
                finding.noise.append(busy_share())
                with finding.errors_of(candidate.name):
                    turns.outcomes[candidate.name], cost = measured(candidate.run, stores)
                    turns.costs[candidate.name].append(cost)
    return turns


def measured(run: Callable[[], Any], stores: Stores) -> tuple[Any, Cost]:
    """Run a function; return its result and its cost, including child processes and PostgreSQL."""
    before, started = _cpu_used(stores), time.perf_counter()
    result = run()
    wall = time.perf_counter() - started
    return result, Cost(wall, _cpu_used(stores) - before)


def ratio(value: float, of: float) -> str:
    """Format a ratio."""
    return f"{value / of:.3f}×" if value / of < 0.1 else f"{value / of:.2f}×"


def fresh(folder: Path) -> Path:
    """Empty or create a folder, and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _cpu_used(stores: Stores) -> float:
    """Return the CPU time that the benchmark, PostgreSQL and all their children have used so far."""
    return cpu_seconds(os.getpid(), *([stores.server_pid] if stores.server_pid else []))
