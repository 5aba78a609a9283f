"""The benchmarked processes, each started once and kept warm."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.children import Child, running
from bench.media.ffmpeg import BINARY
from bench.stores import Stores
from bench.systems import PEERS_PYTHON

TIMEOUT = 3600.0
"""Timeout of a request to a process, in seconds."""


@contextlib.contextmanager
def callsheet(
    stores: Stores, sources: Path, *, worker: Path | None = None, binary: Path = BINARY, **settings: str
) -> Iterator[Child]:
    """Run Callsheet with files from `sources` allowed, and with these settings, by the names of their variables.

    With `worker`, a data folder, it also runs a worker.
    """
    with stores.database() as store:
        environment = {"BENCH_STORE": store, "BENCH_SOURCES": str(sources), "FFMPEG_PATH": str(binary)}
        environment |= settings
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
    """Run MoviePy."""
    with running([str(PEERS_PYTHON), "-m", "bench.peers.moviepy"], {"FFMPEG_BINARY": str(BINARY)}) as child:
        yield child


def why_no_moviepy() -> str | None:
    """Return why MoviePy is not available; None if it is."""
    installed = (PEERS_PYTHON.parent.parent / "lib").glob("python*/site-packages/moviepy")
    return None if any(installed) else "MoviePy is not installed in bench/.venv; run `make bench`"
