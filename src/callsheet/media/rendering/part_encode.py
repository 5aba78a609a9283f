"""Join videos of different formats, or pieces of one video, with an encode: operations then read them as one video."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding.encoders import EncodeSettings, select_encoder
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.edit_lists import Piece
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.render_plan import ContainerSettings, RenderedVideo, RenderPlan
from callsheet.media.rendering.renderer import Renderer
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import build_schedule
from callsheet.media.timeline.scene import Scene
from callsheet.media.values import even

_ENCODE = EncodeSettings(crf=12, preset="veryfast")
"""Nearly lossless: the result is an input that is encoded again."""


async def encode_parts(ffmpeg: FFmpeg, parts: Sequence[MediaInfo], folder: Path) -> RenderedVideo:
    """Join videos in a folder, and return the file: all in the size and at the frame rate of the first one.

    Parts of another shape get bars, and those without audio are silent. Raises FFmpegFailed if a part cannot be read.

    Example: `await encode_parts(job.ffmpeg, [portrait, landscape], job.dir)`.
    """
    scenes = [Scene.model_validate({"src": part.path.name}) for part in parts]
    return await _encode(ffmpeg, scenes, parts, folder)


async def encode_pieces(ffmpeg: FFmpeg, video: MediaInfo, pieces: Sequence[Piece], folder: Path) -> RenderedVideo:
    """Write the pieces of a video one behind the other in a folder, without audio, and return the file.

    The video is black in a pause. Raises FFmpegFailed if it cannot be read, or has none of the pieces.

    Example: `await encode_pieces(job.ffmpeg, film, [Piece(0.0, 2.0), Piece(5.0, 1.5)], job.dir)`.
    """
    scenes = [*_scenes(video, pieces)]
    if not scenes:
        raise FFmpegFailed(f"'{video.path.name}' has none of the frames that its edit list plays")
    files = [video if scene.src is not None else None for scene in scenes]
    return await _encode(ffmpeg, scenes, files, folder, first=video, mute=True)


def _scenes(video: MediaInfo, pieces: Sequence[Piece]) -> Iterator[Scene]:
    """Yield a scene for each piece that lasts a frame or longer. Errors of rounding do not add up."""
    rate, time, frame = video.constant_rate, 0.0, 0
    for piece in pieces:
        time += piece.seconds
        end = round(time * rate)
        if end > frame:
            source = {"color": "black"} if piece.start is None else {"src": video.path.name, "trim_start": piece.start}
            yield Scene.model_validate({**source, "duration": float((end - frame) / rate)})
        frame = end


async def _encode(
    ffmpeg: FFmpeg,
    scenes: Sequence[Scene],
    files: Sequence[MediaInfo | None],
    folder: Path,
    *,
    first: MediaInfo | None = None,
    mute: bool = False,
) -> RenderedVideo:
    model = first or files[0]
    assert model is not None  # noqa: S101 - parts are files
    rate = model.constant_rate
    width, height = (even(side or 2, odd_down=True) for side in (model.probe.width, model.probe.height))
    plan = RenderPlan(
        build_schedule(scenes, files, rate),
        Canvas(width, height, rate, "contain"),
        container=ContainerSettings("mkv", "flac", None),
        mute=mute,
    )
    encoder = await select_encoder(ffmpeg, _ENCODE)
    return await Renderer(plan, encoder, ffmpeg, folder, lambda _: None).render()
