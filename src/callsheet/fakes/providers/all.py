"""The stand-ins of all providers, side by side.

async with everyone(pace=1) as stand_ins:
    environment = environment_of(stand_ins)
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from callsheet.fakes.providers.fake_server import StandIn
from callsheet.fakes.providers.fal import FalStandIn
from callsheet.fakes.providers.google import GoogleStandIn
from callsheet.fakes.providers.kling import KlingStandIn
from callsheet.fakes.providers.luma import LumaStandIn
from callsheet.fakes.providers.openai_videos import VideosStandIn
from callsheet.fakes.providers.replicate import ReplicateStandIn
from callsheet.fakes.providers.runpod import RunPodStandIn
from callsheet.fakes.providers.runway import RunwayStandIn
from callsheet.fakes.providers.vertex import VertexStandIn

STAND_INS: tuple[type[StandIn], ...] = (
    ReplicateStandIn,
    FalStandIn,
    GoogleStandIn,
    KlingStandIn,
    LumaStandIn,
    RunPodStandIn,
    RunwayStandIn,
    VertexStandIn,
    VideosStandIn,
)


@asynccontextmanager
async def everyone(*, pace: float | None = 1.0, first_port: int = 0) -> AsyncIterator[list[StandIn]]:
    """Open all of them until the block ends, at ports from `first_port` on; 0: at free ones."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(kind(pace=pace, port=first_port + at if first_port else 0))
            for at, kind in enumerate(STAND_INS)
        ]


def environment_of(stand_ins: Iterable[StandIn]) -> dict[str, str]:
    """Return the environment variables that lead to them."""
    return {name: value for stand_in in stand_ins for name, value in stand_in.environment().items()}
