"""How soon events reach many streams of one server process, and what these streams cost."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import psutil

from bench.children import running
from bench.machine import busy_share
from bench.report import Finding, Row, Verdict, milliseconds, percentile
from bench.sizes import Sizes
from bench.stores import Stores, free_port
from bench.systems import CALLSHEET, session
from bench.waiting import programs

PROMISED_SECONDS = 0.3
PROMISED_GROWTH = 10 * 2**20
"""Bytes by which the memory of the server may grow while events flow."""
TIMEOUT = 300.0


@dataclass
class Load:
    """Streams, and what was measured with them."""

    label: str
    executions: int
    rate: float
    """Events per second of each execution."""
    waits: list[float] = field(default_factory=list)
    lost: int = 0
    growth: list[int] = field(default_factory=list)
    """Bytes of the server, from one round to the next."""

    def row(self) -> Row:
        """Return the row of the report."""
        values = [
            milliseconds(median(self.waits)),
            milliseconds(percentile(self.waits, 0.99)),
            f"{len(self.waits):,}",
            f"{self.lost:,}",
            f"{max(self.growth, default=0) / 2**20:.1f}",
        ]
        return Row(self.label, values, {"waits": self.waits[:10_000], "growth": self.growth})


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure both loads in turns, on one server."""
    many = sizes.watchers
    loads = [Load(f"{many} streams of one execution", 1, 5.0), Load(f"{many} streams of as many executions", many, 0.5)]
    finding = Finding(
        "watchers",
        f"Time from an event to each of {many} streams of one server process",
        ["median, ms", "99 %, ms", "events received", "lost", "growth of memory, MiB"],
    )
    with (
        running([sys.executable, "-m", "bench.peers.watch_client"], {}) as client,
        session(CALLSHEET, stores) as measured,
    ):
        for worker in measured.workers:
            worker.end()
        port = free_port()
        environment = programs.settings(measured.store, stores.folder / "watchers")
        with programs.server(port, environment, "bench.peers.callsheet") as server:
            process = psutil.Process(server.pid)
            for number in range(sizes.rounds + 1):
                for load in loads:
                    progress(f"round {number}/{sizes.rounds}: {load.label}")
                    finding.noise.append(busy_share())
                    before = process.memory_info().rss
                    result = client.ask(
                        "watch",
                        TIMEOUT,
                        port=port,
                        store=measured.store,
                        executions=load.executions,
                        watchers=many,
                        length=sizes.watched_seconds,
                        rate=load.rate,
                    )
                    load.lost += result["lost"]
                    if number:  # the first round fills caches
                        load.waits += result["waits"]
                        load.growth.append(process.memory_info().rss - before)
    finding.rows = [load.row() for load in loads]
    slowest = max(median(load.waits) for load in loads)
    growth = max(median(load.growth) for load in loads)
    finding.verdicts = [
        Verdict("median within 300 ms", f"{slowest * 1000:.0f} ms", slowest < PROMISED_SECONDS),
        Verdict("no event is lost", f"{sum(load.lost for load in loads)} lost", not any(load.lost for load in loads)),
        Verdict("memory stays flat", f"{growth / 2**20:.1f} MiB per round", growth < PROMISED_GROWTH),
    ]
    finding.notes = [
        "The client that receives all streams, and writes the events, shares the cores with the server. Every tenth "
        "stream is cut once, and resumed with Last-Event-ID.",
    ]
    return finding
