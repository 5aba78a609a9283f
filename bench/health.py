"""How soon `/health` responds while the largest plans are submitted: whether one client can stall a server."""

import json
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

from bench.children import Child, running
from bench.machine import busy_share
from bench.report import Finding, Row, Verdict, milliseconds, percentile
from bench.sizes import Sizes
from bench.stores import Stores, free_port
from bench.systems import CALLSHEET, session
from bench.waiting import programs

UPSTREAM = 5
"""Jobs that each job of the plan waits for: 50,000 edges with 10,000 jobs, the most that a plan may have."""
PROMISED_SECONDS = 0.1
TIMEOUT = 120.0


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Submit each plan in every round, and ask for `/health` every 20 ms meanwhile."""
    jobs = sizes.plan_jobs
    finding = Finding(
        "health",
        f"/health every 20 ms while a plan of {jobs:,} jobs and {UPSTREAM * jobs:,} edges is submitted, in ms",
        ["median", "99 %", "most", "requests", "the plan, s"],
    )
    plans = {"nothing submitted": (None, 0), "a valid plan": (plan(jobs), 202), "a wrong plan": (wrong(jobs), 422)}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in plans}
    with (
        running([sys.executable, "-m", "bench.peers.health_client"], {}) as client,
        session(CALLSHEET, stores) as measured,
    ):
        for worker in measured.workers:
            worker.end()
        port = free_port()
        environment = programs.settings(measured.store, stores.folder / "health")
        with programs.server(port, environment, "bench.peers.callsheet"):
            for number in range(sizes.rounds):
                for name, (text, status) in plans.items():
                    progress(f"round {number + 1}/{sizes.rounds}: {name}")
                    finding.noise.append(busy_share())
                    found[name].append(_ask(client, port, text, status))
    finding.rows = [_row(name, results) for name, results in found.items()]
    slowest = max(max(result["waits"]) for results in found.values() for result in results)
    finding.verdicts = [
        Verdict("every response within 100 ms", f"{slowest * 1000:.0f} ms at most", slowest < PROMISED_SECONDS)
    ]
    finding.notes = ["The time of a request counts from the moment at which it was due, so a stall counts in full."]
    return finding


def plan(jobs: int) -> str:
    """Return a plan in which each job waits for those before it."""
    return json.dumps({"jobs": [_job(number, "held") for number in range(jobs)]})


def wrong(jobs: int) -> str:
    """Return the same plan with an unknown operation in each job."""
    return json.dumps({"jobs": [_job(number, "no-such-operation") for number in range(jobs)]})


def _job(number: int, operation: str) -> dict[str, Any]:
    upstream = [f"j{before}" for before in range(max(0, number - UPSTREAM), number)]
    return {"id": f"j{number}", "operation": operation, "params": {"n": number}, "dependsOn": upstream}


def _ask(client: Child, port: int, text: str | None, status: int) -> dict[str, Any]:
    result = client.ask("probe", TIMEOUT, port=port, text=text)
    if text is not None and result["status"] != status:
        raise RuntimeError(f"the plan was answered with {result['status']} instead of {status}")
    return result


def _row(name: str, results: list[dict[str, Any]]) -> Row:
    waits = [wait for result in results for wait in result["waits"]]
    values = [
        milliseconds(median(waits)),
        milliseconds(percentile(waits, 0.99)),
        milliseconds(max(waits)),
        f"{len(waits):,}",
        f"{median(result['seconds'] for result in results):.2f}",
    ]
    return Row(name, values, {"waits": waits, "seconds": [result["seconds"] for result in results]})
