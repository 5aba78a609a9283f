"""The operation `demo-still`: one drawn picture, larger than the film."""

import asyncio
from datetime import timedelta
from pathlib import Path

from callsheet.cli.demo.desk import desk
from callsheet.domain.artifacts import Artifact
from callsheet.domain.model import Model
from callsheet.operation.contract import Context, operation


class Params(Model):
    """There is nothing to choose."""


class Result(Model):
    """The finished picture."""

    image: Artifact


@operation("demo-still", timeout=timedelta(minutes=1))
async def demo_still(job: Context, params: Params) -> Result:  # noqa: ARG001 - every operation takes params
    """Draw a call sheet on a desk."""
    output = job.dir / "callsheet.png"
    await asyncio.to_thread(_draw, output)
    return Result(image=await job.keep(output))


def _draw(output: Path) -> None:
    desk().save(output, compress_level=3)
