"""A tiny workflow on a ComfyUI server: by Callsheet, by a bare client, and by one that asks every five seconds."""

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
from bench.waiting.stand_ins import TICK
from callsheet.db.upgrade import upgrade

LONGEST_WORK = 5.0
_WARM_UPS = 3


@dataclass
class Client:
    """A way to a picture, with the seconds that pictures took."""

    name: str
    do: str
    every: int
    """One in so many jobs is run so: one that sleeps through five seconds is not run as often."""
    tiny: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    run: list[float] = field(default_factory=list)


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Run tiny workflows and such that take a while, the clients in turns."""
    callsheet = Client("Callsheet", "callsheet", 1)
    bare = Client("bare client, websocket and HTTP kept open", "bare", 1)
    asking = Client("asks /history every 5 s", "asking", 5)
    clients = (callsheet, bare, asking)
    finding = Finding(
        "waiting-comfyui",
        f"ComfyUI's stand-in, one job at a time: ms from submission to file of {sizes.comfyui_jobs} tiny jobs, and "
        f"from the end of the work to the file of {_few(sizes)} that take up to {LONGEST_WORK:g} s; "
        f"rounds: {sizes.rounds}",
        ["tiny, median", "95 %", "after work, median", "95 %"],
    )
    colours = count(1)
    with _site(stores) as child:
        for client in clients[:2]:
            for _ in range(_WARM_UPS):
                child.ask(client.do, graph=_graph(next(colours)))
        for number in range(sizes.rounds):
            progress(f"round {number + 1}/{sizes.rounds}: tiny workflows")
            finding.noise.append(busy_share())
            for job in range(sizes.comfyui_jobs):
                for client in clients:
                    if job % client.every == 0:
                        told = child.ask(client.do, graph=_graph(next(colours)))
                        client.tiny.append(told["seconds"])
                        client.run.append(told.get("run", 0.0))
            progress(f"round {number + 1}/{sizes.rounds}: workflows that take a while")
            for length in _lengths(_few(sizes)):
                for client in clients:
                    told = child.ask(client.do, graph=_graph(next(colours), length))
                    client.late.append(told["had"] - told["ended"])
    finding.rows = [_row(client) for client in clients]
    beyond, saved = median(callsheet.tiny) - median(bare.tiny), median(asking.late) / median(callsheet.late)
    finding.verdicts = [
        Verdict("sooner than asking every 5 s, after work of up to 5 s", f"{saved:.0f} times", saved > 1),
    ]
    finding.notes = [
        f"Beyond the bare client: {milliseconds(beyond)} ms. From claim to recorded result: "
        f"{milliseconds(median(callsheet.run))} ms.",
        "A Callsheet job is submitted, claimed, sent, followed, and its file fetched, probed, stored with its digest "
        "and recorded; the bare client has the file on the disk, and forgets all else. Who asks at once often finds a "
        "tiny workflow done, and waits 5 s where not.",
    ]
    return finding


def _few(sizes: Sizes) -> int:
    return max(1, sizes.comfyui_jobs // 8)


def _lengths(number: int) -> list[float]:
    """Return lengths of work that are spread evenly, in any order."""
    drawn = [(place + random.random()) / number * LONGEST_WORK for place in range(number)]
    return random.sample(drawn, number)


@contextlib.contextmanager
def _site(stores: Stores) -> Iterator[Child]:
    """Have a server, a worker, and the clients."""
    folder = stores.folder / "comfyui"
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(stores.database())
        asyncio.run(upgrade(store))
        stand_in = [sys.executable, "-m", "bench.waiting.stand_ins", "comfyui", str(folder / "server")]
        url = stack.enter_context(running(stand_in, {})).ask("where")["url"]
        environment = programs.settings(store, folder / "callsheet", comfyui_api_url=url)
        stack.enter_context(programs.worker(stores, store, environment, "comfyui"))
        words = [sys.executable, "-m", "bench.waiting.comfyui_clients", url, str(folder / "files")]
        yield stack.enter_context(running(words, {"BENCH_STORE": store}))


def _graph(colour: int, seconds: float = 0.0) -> dict[str, Any]:
    """Return a workflow that nobody has run before, and that takes so long."""
    size = {"width": 64, "height": 64, "batch_size": 1}
    graph: dict[str, Any] = {"1": {"class_type": "EmptyImage", "inputs": {**size, "color": colour}}}
    if seconds:
        steps = max(1, round(seconds / TICK))
        graph["2"] = {"class_type": "Step", "inputs": {"image": ["1", 0], "steps": steps}}
    images = ["2" if seconds else "1", 0]
    graph["3"] = {"class_type": "SaveImage", "inputs": {"images": images, "filename_prefix": f"picture-{colour}"}}
    return graph


def _row(client: Client) -> Row:
    values = [milliseconds(value) for found in (client.tiny, client.late) for value in _shares(found)]
    return Row(client.name, values, {"tiny": client.tiny, "late": client.late, "run": client.run})


def _shares(seconds: list[float]) -> tuple[float, float]:
    return median(seconds), percentile(seconds, 0.95)
