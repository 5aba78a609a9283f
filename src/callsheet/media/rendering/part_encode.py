"""Join videos of different formats with an encode: the parts of one file, which operations then read as one video."""

from collections.abc import Sequence
from pathlib import Path

from callsheet.media.encoding.encoders import EncodeSettings, select_encoder
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.render_plan import ContainerSettings, RenderPlan
from callsheet.media.rendering.renderer import Renderer
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import build_schedule
from callsheet.media.timeline.scene import Scene
from callsheet.media.values import even

_ENCODE = EncodeSettings(crf=12, preset="veryfast")
"""Nearly lossless: the result is an input that is encoded again."""


async def encode_parts(ffmpeg: FFmpeg, parts: Sequence[MediaInfo], folder: Path) -> Path:
    """Join videos in a folder, and return the file: all in the size and at the frame rate of the first one.

    Parts of another shape get bars, and those without audio are silent. Raises FFmpegFailed if a part cannot be read.

    Example: `await encode_parts(job.ffmpeg, [portrait, landscape], job.dir)`.
    """
    first = parts[0]
    rate = first.constant_rate
    width, height = (even(side or 2, odd_down=True) for side in (first.probe.width, first.probe.height))
    scenes = [Scene.model_validate({"src": part.path.name}) for part in parts]
    plan = RenderPlan(
        build_schedule(scenes, parts, rate),
        Canvas(width, height, rate, "contain"),
        container=ContainerSettings("mkv", "flac", None),
    )
    encoder = await select_encoder(ffmpeg, _ENCODE)
    return (await Renderer(plan, encoder, ffmpeg, folder, lambda _: None).render()).path
