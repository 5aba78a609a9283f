"""Fakes of all providers, side by side.

async with all_fakes(pace=1) as fakes:
    environment = environment_of(fakes)
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from callsheet.fakes.providers.fake_server import FakeServer
from callsheet.fakes.providers.fal import FakeFal
from callsheet.fakes.providers.google import FakeGoogle
from callsheet.fakes.providers.kling import FakeKling
from callsheet.fakes.providers.luma import FakeLuma
from callsheet.fakes.providers.openai_videos import FakeOpenAIVideos
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.runpod import FakeRunPod
from callsheet.fakes.providers.runway import FakeRunway
from callsheet.fakes.providers.vertex import FakeVertex

FAKES: tuple[type[FakeServer], ...] = (
    FakeReplicate,
    FakeFal,
    FakeGoogle,
    FakeKling,
    FakeLuma,
    FakeRunPod,
    FakeRunway,
    FakeVertex,
    FakeOpenAIVideos,
)


@asynccontextmanager
async def all_fakes(*, pace: float | None = 1.0, first_port: int = 0) -> AsyncIterator[list[FakeServer]]:
    """Start a fake of every provider, at consecutive ports from `first_port`, or at free ports for 0."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(kind(pace=pace, port=first_port + index if first_port else 0))
            for index, kind in enumerate(FAKES)
        ]


def environment_of(fakes: Iterable[FakeServer]) -> dict[str, str]:
    """Return the environment variables that connect Callsheet to these fakes."""
    return {name: value for fake in fakes for name, value in fake.environment().items()}
