import contextlib
from datetime import timedelta

import pytest
from processes import WorkerProcess

from callsheet.testing.engine import Engine
from callsheet.wiring import open_runtime


@pytest.fixture
def settings(settings):
    """Short patience, so that a dead worker is found out soon; not so short that a busy machine looks dead."""
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
    """What submits and watches, without a worker of its own."""
    async with open_runtime(settings, catalog) as runtime:
        yield Engine(runtime)
