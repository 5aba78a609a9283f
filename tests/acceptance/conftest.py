import contextlib
from datetime import timedelta

import pytest
from processes import WorkerProcess

from callsheet.testing.engine import Engine
from callsheet.wiring import open_runtime


@pytest.fixture
def settings(settings):
    """Short timeouts, so that a dead worker is detected soon, but a busy machine does not look dead."""
    return settings.model_copy(
        update={
            "heartbeat_interval": timedelta(seconds=0.4),
            "worker_timeout": timedelta(seconds=2),
            "rescue_interval": timedelta(seconds=0.2),
            "grace_period": timedelta(seconds=1),
        }
    )


@pytest.fixture
def start():
    """Start worker processes: `start(settings, "name")`."""
    with contextlib.ExitStack() as stack:

        def start(settings, name, **more):
            worker = WorkerProcess(settings, name, **more)
            stack.callback(worker.close)
            return worker

        yield start


@pytest.fixture
async def engine(settings, catalog):
    """An engine without a worker, to submit and to follow events."""
    async with open_runtime(settings, catalog) as runtime:
        yield Engine(runtime)
