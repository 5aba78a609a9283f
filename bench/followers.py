"""Speed while many executions are followed, and the cost of following them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from bench.machine import busy_share
from bench.report import Finding, Row, Verdict
from bench.sizes import Sizes
from bench.stores import Stores
from bench.systems import CALLSHEET, session


@dataclass
class Load:
    """What is followed, with the measurements of each round."""

    label: str
    waiting: int
    """Followed executions that do not run."""
    active: bool
    """Whether those that run are followed too."""
    rates: list[float] = field(default_factory=list)
    """Jobs per second."""
    queries: list[float] = field(default_factory=list)
    """Queries per second of the follower."""
    events: list[float] = field(default_factory=list)
    """Events per second."""

    def row(self, rate: float) -> Row:
        """Return the row of the report; `rate` is that without followed executions."""
        values = [
            f"{median(self.rates):,.0f}",
            f"{median(self.rates) / rate:.2f}×",
            f"{median(self.queries):.1f}",
            f"{median(self.events):,.0f}",
        ]
        return Row(self.label, values, {"rates": self.rates, "queries": self.queries, "events": self.events})


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure all loads in turns."""
    many = sizes.followed
    loads = [
        Load("none followed", 0, False),
        Load(f"{many // 100:,} waiting executions followed", many // 100, False),
        Load(f"{many:,} waiting executions followed", many, False),
        Load(f"all {sizes.jobs:,} that run followed", 0, True),
    ]
    finding = Finding(
        "followers",
        f"No-op jobs per second while one process follows executions; {sizes.jobs:,} jobs, median of {sizes.rounds}",
        ["jobs/s", "of none", "queries/s", "events/s"],
    )
    for number in range(sizes.rounds):
        for load in loads:
            progress(f"round {number + 1}/{sizes.rounds}: {load.label}")
            _measure(load, stores, sizes, finding)
    none, few, most, _ = loads
    rate = median(none.rates)
    finding.rows = [load.row(rate) for load in loads]
    finding.verdicts = [
        Verdict(
            f"{many:,} followed executions change speed by at most 10 %",
            f"{median(most.rates) / rate:.2f}×",
            median(most.rates) >= 0.9 * rate,
        ),
        Verdict(
            "their number does not multiply the queries",
            f"{median(few.queries):.1f} and {median(most.queries):.1f} per second",
            median(most.queries) <= median(few.queries) + 20,
        ),
    ]
    finding.notes = [
        "The follower is in the process that submits, and shares the cores with PostgreSQL and the worker. "
        "In the last row, a job counts as done when its last event has arrived.",
    ]
    return finding


def _measure(load: Load, stores: Stores, sizes: Sizes, finding: Finding) -> None:
    with session(CALLSHEET, stores, warm_up=sizes.warm_up) as running:
        finding.noise.append(busy_share())
        result = running.client.ask("followed", jobs=sizes.jobs, waiting=load.waiting, active=load.active)
    seconds = result["ended"] - result["began"]
    load.rates.append(sizes.jobs / seconds)
    load.queries.append(result["queries"] / seconds)
    load.events.append(result["events"] / seconds)
