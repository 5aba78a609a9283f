"""Time of a plan of 10,000 jobs from JSON text to stored rows, on the code path of the API."""

import json
from collections.abc import Callable
from itertools import pairwise
from math import isqrt
from statistics import median
from typing import Any

from bench.machine import busy_share
from bench.report import Finding, Row, Verdict
from bench.sizes import Sizes
from bench.stores import Stores
from bench.systems import CALLSHEET, session

PROMISED_SECONDS = 3.0


def wide(jobs: int) -> dict[str, list[str]]:
    """Jobs that wait for nothing."""
    return {f"j{n}": [] for n in range(jobs)}


def deep(jobs: int) -> dict[str, list[str]]:
    """Layers, as many as each has jobs; each job waits for two of the layer before."""
    size = isqrt(jobs)
    graph: dict[str, list[str]] = {f"l0-{n}": [] for n in range(size)}
    for above, layer in pairwise(range(size)):
        graph |= {f"l{layer}-{n}": [f"l{above}-{n}", f"l{above}-{(n + 1) % size}"] for n in range(size)}
    return graph


def diamond(jobs: int) -> dict[str, list[str]]:
    """One job, then all the others at once, then one that waits for them all."""
    middle = [f"m{n}" for n in range(jobs - 2)]
    return {"first": [], **{name: ["first"] for name in middle}, "last": middle}


SHAPES = {"wide": wide, "deep": deep, "diamond": diamond}


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Submit every shape in every round, with no worker about."""
    finding = Finding(
        "plan",
        f"A plan of {sizes.plan_jobs:,} jobs, JSON text to stored, in seconds; median of {sizes.rounds}",
        ["all", "most", "read", "parsed", "checked and stored", "edges", "text"],
    )
    texts = {name: text_of(shape(sizes.plan_jobs)) for name, shape in SHAPES.items()}
    steps: dict[str, list[dict[str, Any]]] = {name: [] for name in SHAPES}
    for number in range(sizes.rounds):
        with session(CALLSHEET, stores) as running:
            for worker in running.workers:
                worker.end()
            for name, text in texts.items():
                progress(f"round {number + 1}/{sizes.rounds}: {name}")
                finding.noise.append(busy_share())
                steps[name].append(running.client.ask("text", text=text))
    for name, shape in SHAPES.items():
        graph = shape(sizes.plan_jobs)
        if any(step["rows"] != len(graph) for step in steps[name]):
            raise RuntimeError(f"{name}: not every job was stored")
        finding.rows.append(_row(name, steps[name], sum(map(len, graph.values())), len(texts[name])))
    slowest = max(median(row.facts["seconds"]) for row in finding.rows)
    finding.verdicts = [Verdict("every shape under 3 s", f"{slowest:.2f} s", slowest < PROMISED_SECONDS)]
    return finding


def text_of(graph: dict[str, list[str]]) -> str:
    """Return the submission's JSON text."""
    jobs = [
        {"id": name, "operation": "noop", "params": {"n": number}, **({"dependsOn": upstream} if upstream else {})}
        for number, (name, upstream) in enumerate(graph.items())
    ]
    return json.dumps({"executionPlan": {"jobs": jobs}})


def _row(name: str, steps: list[dict[str, Any]], edges: int, size: int) -> Row:
    totals = [step["read"] + step["parsed"] + step["stored"] for step in steps]
    parts = [f"{median(step[part] for step in steps):.2f}" for part in ("read", "parsed", "stored")]
    values = [f"{median(totals):.2f}", f"{max(totals):.2f}", *parts, f"{edges:,}", f"{size / 1e6:.1f} MB"]
    return Row(name, values, {"seconds": totals, "steps": steps})
