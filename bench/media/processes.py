"""The processes that work on media, each started once and warm."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.children import Child, running
from bench.media.ffmpeg import BINARY
from bench.stores import Stores
from bench.systems import PEERS_PYTHON

LONGEST = 3600.0
"""Seconds that a process may take for one answer."""


@contextlib.contextmanager
def callsheet(stores: Stores, sources: Path, *, worker: Path | None = None, binary: Path = BINARY) -> Iterator[Child]:
    """Run Callsheet, with files from `sources` allowed; with a `worker` if a folder is given for its data."""
    with stores.database() as store:
        environment = {"BENCH_STORE": store, "BENCH_SOURCES": str(sources), "FFMPEG_PATH": str(binary)}
        environment |= {} if worker is None else {"BENCH_WORKER": str(worker)}
        with running([sys.executable, "-m", "bench.peers.callsheet_media"], environment) as child:
            yield child


@contextlib.contextmanager
def pyav() -> Iterator[Child]:
    """Run PyAV."""
    with running([sys.executable, "-m", "bench.peers.pyav"], {}) as child:
        yield child


@contextlib.contextmanager
def moviepy() -> Iterator[Child]:
    """Run MoviePy, where it is installed."""
    with running([str(PEERS_PYTHON), "-m", "bench.peers.moviepy"], {"FFMPEG_BINARY": str(BINARY)}) as child:
        yield child


def no_moviepy() -> str | None:
    """Return why there is no MoviePy; None: there is one."""
    installed = (PEERS_PYTHON.parent.parent / "lib").glob("python*/site-packages/moviepy")
    return None if any(installed) else "no MoviePy in bench/.venv; `make bench` makes it"
