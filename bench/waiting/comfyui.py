"""Latency of workflows on a ComfyUI server: Callsheet, a minimal client, and a client that polls every 5 s."""

import asyncio
import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from statistics import median
from typing import Any

from bench.children import Child, running
from bench.machine import busy_share
from bench.report import Finding, Row, Verdict, milliseconds, percentile
from bench.sizes import Sizes
from bench.stores import Stores
from bench.waiting import programs
from bench.waiting.fakes import TICK
from callsheet.db.upgrade import upgrade

MAX_WORK = 5.0
_WARM_UPS = 3


@dataclass
class Client:
    """A client, with its measured latencies in seconds."""

    name: str
    command: str
    every: int
    """It runs one of this many jobs; fewer for the slow client."""
    tiny: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    run: list[float] = field(default_factory=list)


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Run tiny and long workflows, alternating between the clients."""
    callsheet = Client("Callsheet", "callsheet", 1)
    bare = Client("minimal client, websocket and HTTP kept open", "bare", 1)
    polling = Client("polls /history every 5 s", "polling", 5)
    clients = (callsheet, bare, polling)
    finding = Finding(
        "waiting-comfyui",
        f"Fake ComfyUI server, one job at a time: ms from submission to file of {sizes.comfyui_jobs} tiny jobs, and "
        f"from the end of the work to the file of {_few(sizes)} that take up to {MAX_WORK:g} s; "
        f"rounds: {sizes.rounds}",
        ["tiny, median", "95 %", "after work, median", "95 %"],
    )
    colors = count(1)
    with _environment(stores) as child:
        for client in clients[:2]:
            for _ in range(_WARM_UPS):
                child.ask(client.command, graph=_graph(next(colors)))
        for number in range(sizes.rounds):
            progress(f"round {number + 1}/{sizes.rounds}: tiny workflows")
            finding.noise.append(busy_share())
            for job in range(sizes.comfyui_jobs):
                for client in clients:
                    if job % client.every == 0:
                        result = child.ask(client.command, graph=_graph(next(colors)))
                        client.tiny.append(result["seconds"])
                        client.run.append(result.get("run", 0.0))
            progress(f"round {number + 1}/{sizes.rounds}: long workflows")
            for duration in _durations(_few(sizes)):
                for client in clients:
                    result = child.ask(client.command, graph=_graph(next(colors), duration))
                    client.late.append(result["downloaded"] - result["ended"])
    finding.rows = [_row(client) for client in clients]
    overhead, speedup = median(callsheet.tiny) - median(bare.tiny), median(polling.late) / median(callsheet.late)
    finding.verdicts = [
        Verdict("faster than polling every 5 s, for work of up to 5 s", f"{speedup:.0f} times", speedup > 1),
    ]
    finding.notes = [
        f"Overhead over the minimal client: {milliseconds(overhead)} ms. From claim to recorded result: "
        f"{milliseconds(median(callsheet.run))} ms.",
        "A Callsheet job is submitted, claimed and tracked, and its file downloaded, probed, hashed and stored. The "
        "minimal client only writes the file to disk. The polling client polls at once, which often finds a tiny "
        "workflow done; otherwise it waits 5 s.",
    ]
    return finding


def _few(sizes: Sizes) -> int:
    return max(1, sizes.comfyui_jobs // 8)


def _durations(number: int) -> list[float]:
    """Return evenly spread durations in random order."""
    durations = [(index + random.random()) / number * MAX_WORK for index in range(number)]
    return random.sample(durations, number)


@contextlib.contextmanager
def _environment(stores: Stores) -> Iterator[Child]:
    """Run the server, a worker, and the clients."""
    folder = stores.folder / "comfyui"
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(stores.database())
        asyncio.run(upgrade(store))
        fake = [sys.executable, "-m", "bench.waiting.fakes", "comfyui", str(folder / "server")]
        url = stack.enter_context(running(fake, {})).ask("url")["url"]
        environment = programs.settings(store, folder / "callsheet", comfyui_api_url=url)
        stack.enter_context(programs.worker(stores, store, environment, "comfyui"))
        args = [sys.executable, "-m", "bench.waiting.comfyui_clients", url, str(folder / "files")]
        yield stack.enter_context(running(args, {"BENCH_STORE": store}))


def _graph(color: int, seconds: float = 0.0) -> dict[str, Any]:
    """Return a workflow that is not cached, and takes this long."""
    size = {"width": 64, "height": 64, "batch_size": 1}
    graph: dict[str, Any] = {"1": {"class_type": "EmptyImage", "inputs": {**size, "color": color}}}
    if seconds:
        steps = max(1, round(seconds / TICK))
        graph["2"] = {"class_type": "Step", "inputs": {"image": ["1", 0], "steps": steps}}
    images = ["2" if seconds else "1", 0]
    graph["3"] = {"class_type": "SaveImage", "inputs": {"images": images, "filename_prefix": f"image-{color}"}}
    return graph


def _row(client: Client) -> Row:
    values = [milliseconds(value) for found in (client.tiny, client.late) for value in _percentiles(found)]
    return Row(client.name, values, {"tiny": client.tiny, "late": client.late, "run": client.run})


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    return median(seconds), percentile(seconds, 0.95)
