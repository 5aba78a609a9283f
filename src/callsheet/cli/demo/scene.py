"""The operation `demo-scene`: a few seconds of an animated paper landscape."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from callsheet.cli.demo.paper import HEIGHT, WIDTH, Layer
from callsheet.cli.demo.pictures import PICTURES
from callsheet.domain.artifacts import Artifact
from callsheet.domain.model import Model
from callsheet.operation_api.contract import Context, operation

_RATE = 30


class Params(Model):
    """The landscape and its duration."""

    picture: Literal["dawn", "mountains", "city"]
    duration: float = Field(4.0, ge=0.1, le=30, description="Seconds")


class Result(Model):
    """The finished video."""

    video: Artifact


@operation("demo-scene", needs={"ffmpeg"}, timeout=timedelta(minutes=2))
async def demo_scene(job: Context, params: Params) -> Result:
    """Draw the layers of a paper landscape, and animate them."""
    layers = await asyncio.to_thread(_draw, params, job.dir)
    job.progress(0.15, f"{len(layers)} layers drawn")
    output = job.dir / f"{params.picture}.mp4"
    await job.ffmpeg.run(
        build_args(layers, params.duration, output),
        duration=params.duration,
        on_progress=lambda fraction: job.progress(0.15 + 0.85 * fraction),
    )
    return Result(video=await job.keep(output))


def _draw(params: Params, folder: Path) -> list[tuple[Layer, Path]]:
    layers = PICTURES[params.picture](params.duration)
    files = [folder / f"layer-{index}.tif" for index in range(len(layers))]
    for layer, file in zip(layers, files, strict=True):
        layer.image.save(file)
    return list(zip(layers, files, strict=True))


def build_args(layers: list[tuple[Layer, Path]], seconds: float, output: Path) -> list[str]:
    """Return the FFmpeg arguments that overlay the layers, each moved from frame to frame."""
    frames = round(seconds * _RATE)
    # Each layer is read once: the overlay filter repeats the last frame of an input that has ended.
    graph = [f"[0:v]format=gbrp,loop=loop=-1:size=1,fps={_RATE},trim=end_frame={frames}[v0]"]
    for index, (layer, _) in enumerate(layers[1:], 1):
        # Planar RGB can move by single pixels; with subsampled chroma, color and brightness would separate.
        enable = f":enable='{layer.visible}'" if layer.visible else ""
        graph.append(f"[v{index - 1}][{index}:v]overlay=x='{layer.x}':y='{layer.y}':format=gbrp{enable}[v{index}]")
    last = f"[v{len(layers) - 1}]"
    graph.append(f"{last}scale={WIDTH}:{HEIGHT}:out_color_matrix=bt709:out_range=tv,format=yuv420p[v]")
    colors = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    inputs = [arg for _, file in layers for arg in ("-i", f"file:{file}")]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "14", *colors]
    return [*inputs, "-filter_complex", ";".join(graph), "-map", "[v]", *codec, f"file:{output}"]
