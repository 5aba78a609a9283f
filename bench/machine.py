"""The machine of the measurement, and its other load."""

import os
import platform
import shutil
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench.media.ffmpeg import version as ffmpeg_version
from bench.stores import DISK, Stores, valkey_binary
from bench.systems import BULLMQ, PEERS_PYTHON

BUSY = 0.10
"""Share of the machine that others may use before figures count as noisy."""


def describe(stores: Stores) -> dict[str, Any]:
    """Return processor, memory, disk and all versions."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memoryGiB": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "diskSyncMs": round(_disk_sync_ms(), 3),
        "loadAverage": [round(load, 2) for load in os.getloadavg()],
        "versions": _versions(stores),
    }


def busy_share(seconds: float = 0.5) -> float:
    """Return the share of the processors in use now, while nothing of ours has work."""
    return float(psutil.cpu_percent(seconds)) / 100


def cpu_seconds(*roots: int) -> float:
    """Return the processor time that processes and all their children have used so far."""
    while True:
        try:
            trees = [psutil.Process(pid) for pid in roots]
            living = [*trees, *(child for tree in trees for child in tree.children(recursive=True))]
            # What has ended is counted by its parent.
            return float(sum(sum(process.cpu_times()[:4]) for process in living))
        except psutil.NoSuchProcess:  # it ended just now: count again
            continue


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _disk_sync_ms() -> float:
    """Return how long a small write takes to reach the disk: the floor under every durable commit."""
    times = []
    with tempfile.TemporaryFile(dir=DISK) as file:
        for _ in range(50):
            os.pwrite(file.fileno(), b"x" * 8192, 0)
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return median(times) * 1000


def _versions(stores: Stores) -> dict[str, str]:
    found = {
        "callsheet": version("callsheet"),
        "python": platform.python_version(),
        "postgresql": str(stores.value("SHOW server_version")),
        "ffmpeg": ffmpeg_version(),
    }
    if PEERS_PYTHON.exists():
        found |= _peer_versions()
    if (binary := valkey_binary()) is not None:
        found["valkey"] = _output([binary, "--version"]).split("v=")[-1].split(" ")[0]
    if shutil.which("node"):
        found["node"] = _output(["node", "--version"]).strip().lstrip("v")
        found["bullmq"] = _output(
            ["node", "-p", f"JSON.parse(fs.readFileSync('{BULLMQ}/node_modules/bullmq/package.json')).version"]
        ).strip()
    return found


def _peer_versions() -> dict[str, str]:
    names = ("pgqueuer", "procrastinate", "celery", "moviepy")
    lines = _output(
        [str(PEERS_PYTHON), "-c", f"import importlib.metadata as m\nfor n in {names}: print(m.version(n))"]
    ).split()
    return dict(zip(names, lines, strict=False))


def _output(arguments: list[str]) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else "unknown"
