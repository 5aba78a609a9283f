import pytest

from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"grace_period": settings.heartbeat_interval / 10})


@pytest.fixture
async def engine(settings):
    """An engine with one worker with the operations of `callsheet.testing`."""
    async with running_engine(ALL, settings=settings) as engine:
        yield engine


@pytest.fixture
async def idle_engine(settings):
    """An engine without a worker; tests start their own."""
    async with running_engine(ALL, settings=settings, workers=0) as engine:
        yield engine
