"""The result of a run, as a table or as JSON."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.chaos.audit import Findings

_MAX_EXAMPLES = 12
"""Faults of one kind that the table shows."""


@dataclass(frozen=True, slots=True)
class Report:
    """A run: its parameters, the injected faults and the findings."""

    seed: int
    seconds: float
    disk_full: str
    """How the disk was filled, or why not."""
    injected: Mapping[str, int]
    findings: Findings
    failover_seconds: float | None
    """Seconds from the promotion of the standby to the next end of a job; None if there was no failover."""
    folder: str
    """Logs and data of the run."""

    def as_json(self) -> str:
        """Return one JSON object."""
        return json.dumps(
            {
                "seed": self.seed,
                "seconds": round(self.seconds, 1),
                "cpus": os.cpu_count(),
                "diskFull": self.disk_full,
                "failoverSeconds": self.failover_seconds,
                "injected": dict(self.injected),
                "counts": self.findings.counts,
                "jobs": dict(self.findings.statuses),
                "faults": self.findings.faults,
                "passed": self.findings.passed,
            }
        )

    def as_table(self) -> str:
        """Return the table."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"chaos: seed {self.seed}, {self.seconds:.0f} s, {os.cpu_count()} CPUs; disk full: {self.disk_full}"
        if self.failover_seconds is not None:
            yield f"failover: {self.failover_seconds:.1f} s from the promotion of the standby to the next end of a job"
        yield from _section("Faults injected", {**dict(sorted(self.injected.items())), "total": self._total})
        yield from _section("Load", self.findings.counts)
        yield from _section("Jobs by their end", dict(self.findings.statuses.most_common()))
        yield from _section("Faults found", {kind: len(found) for kind, found in self.findings.faults.items()})
        for kind, found in self.findings.faults.items():
            yield from (f"  {kind}: {text[:600]}" for text in found[:_MAX_EXAMPLES])
        if self.findings.passed:
            yield "PASSED"
        else:
            yield f"FAILED. Repeat with --seed {self.seed}. Logs are in {self.folder}"

    @property
    def _total(self) -> int:
        return sum(self.injected.values())


def _section(title: str, rows: Mapping[str, int]) -> Iterator[str]:
    yield ""
    yield title
    yield from (f"  {name:<45} {count:>6}" for name, count in rows.items())
    yield ""
