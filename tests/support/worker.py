"""A worker in a separate process, for tests that stop, starve or kill it.

    PYTHONPATH=tests python -m support.worker [MODULE ...]

It runs the operations of `callsheet.testing.operations` and of the named modules, with settings from the environment.
It prints `ready <worker id>` once it works. SIGTERM stops it gracefully.

Environment variables: `CALLSHEET_TESTING_FILE_LIMIT` is the maximum size in bytes of a file that the process can write,
`CALLSHEET_TESTING_FAKE_PROVIDER` the folder of a fake provider, polled ten times a second.
"""

import asyncio
import os
import resource
import signal
import sys
from datetime import timedelta
from pathlib import Path

from callsheet.logs import configure_logging
from callsheet.operation_api.catalog import Catalog, discover
from callsheet.providers.contract import PollPolicy, Provider
from callsheet.settings import Settings
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.operations import ALL
from callsheet.wiring import open_runtime

FILE_LIMIT = "CALLSHEET_TESTING_FILE_LIMIT"
FAKE_PROVIDER = "CALLSHEET_TESTING_FAKE_PROVIDER"


async def main(modules: list[str]) -> None:
    """Run a worker with the test operations until SIGTERM."""
    await run_worker(Catalog({*ALL, *(discover(modules).operations() if modules else ())}))


async def run_worker(catalog: Catalog) -> None:
    """Run a worker with these operations until SIGTERM."""
    # To stderr: the parent reads stdout up to the first line only, and a full pipe would stop the worker.
    configure_logging()
    async with open_runtime(Settings(), catalog, follow_events=False, extra_providers=fake_providers()) as runtime:
        worker = runtime.worker()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        running = asyncio.create_task(worker.run())
        print(f"ready {worker.id}", flush=True)
        await running


def fake_providers() -> list[Provider]:
    """Return the fake provider of the environment, if there is one."""
    folder, interval = os.environ.get(FAKE_PROVIDER), timedelta(seconds=0.1)
    if folder is None:
        return []
    return [FakeProvider(Path(folder), poll_policy=PollPolicy(initial=interval, max_interval=interval))]


def limit_file_size() -> None:
    """Limit the size of files that this process can write to the value in the environment."""
    if limit := os.environ.get(FILE_LIMIT):
        # By default the signal ends the process. Ignored, the write fails instead.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))


if __name__ == "__main__":
    limit_file_size()
    asyncio.run(main(sys.argv[1:]))
