"""Overhead of one job on an idle system: from claim to result, and from submission to the event."""

from collections.abc import Callable
from statistics import median

from bench.machine import busy_share
from bench.report import Finding, Row, milliseconds, percentile
from bench.sizes import Sizes
from bench.stores import Stores
from bench.systems import CALLSHEET, session

WARM_UPS = 20


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Submit one job after the other to an idle worker."""
    finding = Finding(
        "overhead",
        f"One job at a time, in ms; {sizes.pickups} jobs",
        ["median", "95 %", "99 %", "most"],
    )
    progress("one job at a time")
    with session(CALLSHEET, stores) as running:
        finding.noise.append(busy_share())
        found = running.client.ask(
            "recorded", numbers=list(range(WARM_UPS + sizes.pickups)), pause=sizes.pause, seconds=300
        )
    finding.rows = [
        _row("claimed → result written", found["run"][WARM_UPS:]),
        _row("submission begun → success seen by a watcher", found["seen"][WARM_UPS:]),
    ]
    return finding


def _row(name: str, seconds: list[float]) -> Row:
    shares = [percentile(seconds, share) for share in (0.95, 0.99, 1)]
    return Row(name, [milliseconds(value) for value in (median(seconds), *shares)], {"seconds": seconds})
