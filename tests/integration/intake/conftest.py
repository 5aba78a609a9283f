import asyncio

import pytest
from tests.support.redis_server import RedisServer

from callsheet.intake.runner import IntakeRunner
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL


@pytest.fixture
def redis_server(tmp_path):
    """A Redis server of this test alone, which it may kill."""
    server = RedisServer(tmp_path / "redis")
    yield server
    server.close()


@pytest.fixture
async def engine(settings):
    """An engine with one worker with the operations of `callsheet.testing`."""
    async with running_engine(ALL, settings=settings) as engine:
        yield engine


@pytest.fixture
async def start_intake(engine):
    """Start intakes in this process: `await start_intake(BullMQIntake)`. They are stopped at the end of the test."""
    running = []

    async def start(kind):
        runner = IntakeRunner(kind, engine.runtime)
        task = asyncio.create_task(runner.run())
        running.append((runner, task))
        return runner, task

    yield start
    for runner, task in running:
        runner.stop()
        await asyncio.wait({task}, timeout=20)
        if not task.cancelled():
            task.result()


@pytest.fixture
async def ask():
    """Ask a Node program without blocking the event loop, which also runs the worker."""

    async def ask(program, do, **request):
        return await asyncio.to_thread(program.ask, do, **request)

    return ask
