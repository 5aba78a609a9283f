"""Callsheet's programs, started from the command line."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.children import START_SECONDS, Child, ChildFailed
from bench.stores import Stores, is_ready


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
def server(port: int, environment: Mapping[str, str], *modules: str) -> Iterator[Child]:
    """Run `callsheet serve` with the operations of these modules; it is ready when the block starts."""
    imports = [argument for module in modules for argument in ("--import", module)]
    with _program(["serve", "--port", str(port), *imports], environment, lambda: is_ready(port)) as child:
        yield child


def _program(
    args: list[str], environment: Mapping[str, str], ready: Callable[[], bool]
) -> contextlib.AbstractContextManager[Child]:
    return program([sys.executable, "-m", "callsheet", *args], environment, ready)


@contextlib.contextmanager
def program(arguments: list[str], environment: Mapping[str, str], ready: Callable[[], bool]) -> Iterator[Child]:
    """Run a program; it is ready when the block starts."""
    child = Child(arguments, environment)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > deadline or not child.runs:
                raise ChildFailed(f"{' '.join(arguments[1:4])} did not start: {child.last_words()}")
            time.sleep(0.05)
        yield child
    finally:
        child.end()
