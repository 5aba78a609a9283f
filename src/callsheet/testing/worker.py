"""A worker as a process of its own, to be stopped, starved and killed.

    python -m callsheet.testing.worker [MODULE ...]

It runs the operations of `callsheet.testing.operations` and of the named modules, with settings from the environment.
A line `ready <worker id>` on stdout tells that it works. SIGTERM stops it gracefully.
`CALLSHEET_TESTING_FILE_LIMIT` is the size in bytes beyond which the system lets it write no file,
`CALLSHEET_TESTING_TOY` the folder of a toy provider that it knows, and asks ten times a second.
"""

import asyncio
import os
import resource
import signal
import sys
from datetime import timedelta
from pathlib import Path

from callsheet.operation.catalog import Catalog, discover
from callsheet.providers.contract import PollPolicy, Provider
from callsheet.settings import Settings
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.operations import ALL
from callsheet.wiring import open_runtime


async def main(modules: list[str]) -> None:
    """Work until SIGTERM."""
    await work(Catalog({*ALL, *(discover(modules).operations() if modules else ())}))


async def work(catalog: Catalog) -> None:
    """Run these operations until SIGTERM."""
    async with open_runtime(Settings(), catalog, follow_events=False, extra_providers=fake_providers()) as runtime:
        worker = runtime.worker()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        working = asyncio.create_task(worker.run())
        print(f"ready {worker.id}", flush=True)  # noqa: T201
        await working


def fake_providers() -> list[Provider]:
    """Return the toy provider that the environment names."""
    folder, often = os.environ.get("CALLSHEET_TESTING_TOY"), timedelta(seconds=0.1)
    return [FakeProvider(Path(folder), poll_policy=PollPolicy(initial=often, max_interval=often))] if folder else []


def limit_files() -> None:
    """Keep this process from writing files beyond the size in the environment."""
    if limit := os.environ.get("CALLSHEET_TESTING_FILE_LIMIT"):
        # The signal would end the process; without it the write fails.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))


if __name__ == "__main__":
    limit_files()
    asyncio.run(main(sys.argv[1:]))
