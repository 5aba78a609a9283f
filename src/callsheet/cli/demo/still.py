"""The operation `demo-still`: draws one image, larger than the frames of the film."""

import asyncio
from datetime import timedelta
from pathlib import Path

from callsheet.cli.demo.desk import desk
from callsheet.domain.artifacts import Artifact
from callsheet.domain.model import Model
from callsheet.operation_api.contract import Context, operation


class Params(Model):
    """No parameters."""


class Result(Model):
    """The finished image."""

    image: Artifact


@operation("demo-still", timeout=timedelta(minutes=1))
async def demo_still(job: Context, params: Params) -> Result:  # noqa: ARG001 - every operation takes params
    """Draw a call sheet on a desk."""
    output = job.dir / "callsheet.png"
    await asyncio.to_thread(_draw, output)
    return Result(image=await job.keep(output))


def _draw(output: Path) -> None:
    desk().save(output, compress_level=3)
