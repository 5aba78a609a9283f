"""The stand-ins of all providers, side by side.

async with everyone(pace=1) as stand_ins:
    environment = environment_of(stand_ins)
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
    """Open all of them until the block ends, at ports from `first_port` on; 0: at free ones."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(kind(pace=pace, port=first_port + at if first_port else 0))
            for at, kind in enumerate(FAKES)
        ]


def environment_of(stand_ins: Iterable[FakeServer]) -> dict[str, str]:
    """Return the environment variables that lead to them."""
    return {name: value for stand_in in stand_ins for name, value in stand_in.environment().items()}
