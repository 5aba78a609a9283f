"""ComfyUI servers that are busy with large files, die, and return: how long jobs wait for nothing."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from bench.children import Child, running
from bench.machine import busy_share
from bench.report import Finding, Row, Verdict, milliseconds
from bench.sizes import Sizes
from bench.stores import Stores
from bench.waiting import programs
from bench.waiting.fakes import TICK
from callsheet.db.upgrade import upgrade

_WORK_SECONDS = 1.0
_FILE = {"width": 4096, "height": 4096, "batch_size": 18}
"""A latent of 75 MB."""
_LONG_SECONDS = 1000.0
_MOVED_SECONDS = 30.0
_RETURNED_SECONDS = 10.0
_IDLE_SECONDS = 0.05
_PATIENCE = 120.0


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Measure the idle time between prompts, the move from a dead server, and the start after an outage."""
    finding = Finding(
        "waiting-comfyui-servers",
        f"Fake ComfyUI servers of capacity 1: seconds; {sizes.comfyui_large_jobs} jobs with files of 75 MB, a server "
        f"that is killed, and one that is away for {sizes.server_away_seconds:g} s",
        ["median", "most"],
    )
    finding.noise.append(busy_share())
    progress("jobs with large files")
    gaps = _gaps(stores, sizes.comfyui_large_jobs)
    progress("a server dies, another is idle")
    moved = _move(stores)
    progress("a server returns")
    returned = _return(stores, sizes.server_away_seconds)
    finding.rows = [
        Row("server idle between two prompts", [f"{median(gaps):.3f}", f"{max(gaps):.3f}"], {"seconds": gaps}),
        Row("server killed: until another has the prompt", [f"{moved:.1f}", f"{moved:.1f}"], {"seconds": [moved]}),
        Row("server returns: until it has the prompt", [f"{returned:.1f}", f"{returned:.1f}"], {"seconds": [returned]}),
    ]
    idle = median(gaps)
    finding.verdicts = [
        Verdict("idle between prompts for less than 50 ms", f"{milliseconds(idle)} ms", idle < _IDLE_SECONDS),
        Verdict("moved within 30 s", f"{moved:.1f} s", moved < _MOVED_SECONDS),
        Verdict("runs within 10 s of the return", f"{returned:.1f} s", returned < _RETURNED_SECONDS),
    ]
    finding.notes = [
        "Times between prompts are those of the server: from the end of one to the start of the next. Meanwhile the "
        "files of the one before are downloaded, probed, hashed and stored.",
    ]
    return finding


def _gaps(stores: Stores, jobs: int) -> list[float]:
    """Return the seconds between the end of each prompt and the start of the next."""
    with _worker(stores, "large", ["one"]) as (servers, client):
        graphs = [_graph(number, _WORK_SECONDS, large=True) for number in range(jobs)]
        client.ask("submit", graphs=graphs)
        client.ask("ended")
        times = sorted(tuple(each) for each in servers["one"].child.ask("times")["times"])
    return [later[0] - earlier[1] for earlier, later in pairwise(times)]


def _move(stores: Stores) -> float:
    """Return the seconds from the death of a server to the start of its prompt on another."""
    with _worker(stores, "move", ["one", "two"]) as (servers, client):
        client.ask("submit", graphs=[_graph(1, _LONG_SECONDS)])
        first = _until(lambda: next((name for name, server in servers.items() if server.accepted()), None))
        other = next(server for name, server in servers.items() if name != first)
        _until(lambda: servers[first].is_running() or None)
        killed = time.monotonic()
        servers[first].kill()
        _until(lambda: other.accepted() or None)
        return time.monotonic() - killed


def _return(stores: Stores, away: float) -> float:
    """Return the seconds from the start of the only server to that of a job which waited for it."""
    with _worker(stores, "return", ["one"]) as (servers, client):
        servers["one"].kill()
        client.ask("submit", graphs=[_graph(number, 0.0) for number in range(3)])
        time.sleep(away)
        with servers["one"].again() as server:
            started = time.monotonic()
            _until(lambda: server.accepted() or None)
            return time.monotonic() - started


class _Server:
    """A fake server that can be killed."""

    def __init__(self, folder: Path, port: int, child: Child) -> None:
        self._folder = folder
        self._port = port
        self.child = child

    def accepted(self) -> int:
        """Return the number of prompts."""
        return int(self.child.ask("accepted")["accepted"]) if self.child.runs else 0

    def is_running(self) -> bool:
        """Whether a prompt runs."""
        return bool(self.child.ask("accepted")["running"])

    def kill(self) -> None:
        """End the process as a crash would."""
        os.killpg(self.child.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def again(self) -> Iterator["_Server"]:
        """Start it at the same port."""
        with running(_command(self._folder, self._port), {}) as child:
            yield _Server(self._folder, self._port, child)


@contextlib.contextmanager
def _worker(stores: Stores, folder_name: str, names: list[str]) -> Iterator[tuple[dict[str, _Server], Child]]:
    """Run servers, a worker, and a client."""
    folder = stores.folder / f"comfyui-{folder_name}"
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(stores.database())
        asyncio.run(upgrade(store))
        servers = {}
        for name in names:
            port = _free_port()
            child = stack.enter_context(running(_command(folder / name, port), {}))
            servers[name] = _Server(folder / name, port, child)
        urls = ",".join(f"http://127.0.0.1:{server._port}#name={name}" for name, server in servers.items())
        environment = programs.settings(store, folder / "callsheet", comfyui_api_url=urls)
        stack.enter_context(programs.worker(stores, store, environment, "comfyui"))
        args = [sys.executable, "-m", "bench.waiting.comfyui_jobs"]
        yield servers, stack.enter_context(running(args, {"BENCH_STORE": store}))


def _command(folder: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "bench.waiting.fakes", "comfyui", str(folder), str(port)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _PATIENCE
    while (found := condition()) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {_PATIENCE:g} s for nothing")
        time.sleep(0.02)
    return found


def _graph(number: int, seconds: float, *, large: bool = False) -> dict[str, Any]:
    """Return a workflow that is not cached, takes this long, and saves a small image, or also a large file."""
    size = {"width": 64, "height": 64, "batch_size": 1}
    steps = max(1, round(seconds / TICK))
    graph: dict[str, Any] = {
        "1": {"class_type": "EmptyImage", "inputs": {**size, "color": number + 1}},
        "2": {"class_type": "Step", "inputs": {"image": ["1", 0], "steps": steps}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "small"}},
    }
    if large:
        graph["4"] = {"class_type": "EmptyLatentImage", "inputs": _FILE}
        graph["5"] = {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "large"}}
    return graph
