"""Callsheet's programs, started from the command line."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.children import START_SECONDS, Child, ChildFailed
from bench.stores import Stores, takes_connections


def settings(store: str, data: Path, **others: object) -> dict[str, str]:
    """Return the environment of programs that share a database and a folder."""
    given = {"database_url": store, "data_dir": data, **others}
    return {f"CALLSHEET_{name.upper()}": str(value) for name, value in given.items()}


@contextlib.contextmanager
def worker(stores: Stores, store: str, environment: Mapping[str, str], *queues: str) -> Iterator[Child]:
    """Run `callsheet worker` for these queues; it is registered when the block starts."""
    before = stores.value("SELECT count(*) FROM workers", store)

    def is_registered() -> bool:
        return stores.value("SELECT count(*) FROM workers", store) != before

    with _program(["worker", "--queues", ",".join(queues)], environment, is_registered) as child:
        yield child


@contextlib.contextmanager
def server(port: int, environment: Mapping[str, str]) -> Iterator[Child]:
    """Run `callsheet serve`; it accepts connections when the block starts."""
    with _program(["serve", "--port", str(port)], environment, lambda: takes_connections(port)) as child:
        yield child


@contextlib.contextmanager
def _program(args: list[str], environment: Mapping[str, str], ready: Callable[[], bool]) -> Iterator[Child]:
    child = Child([sys.executable, "-m", "callsheet", *args], environment)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > deadline or not child.runs:
                raise ChildFailed(f"callsheet {args[0]} did not start: {child.last_args()}")
            time.sleep(0.05)
        yield child
    finally:
        child.end()
