"""Small frames of a video or a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.source_frames import picture_input, picture_stream, source_frames
from callsheet.media.probing.probe import MediaInfo

SIDE = 32
"""Width and height of a sampled frame, in pixels. It is squeezed to a square."""
RATE = 4
"""Sampled frames per second."""
_SECONDS = 60.0
"""Length that is sampled, from the start."""
_FRAME_BYTES = SIDE * SIDE * 3


@dataclass(frozen=True, slots=True)
class Samples:
    """What is measured: small frames, and what the file says about itself."""

    frames: Sequence[Image.Image]
    """RGB, in the order of the video, `RATE` per second; of a picture, one."""
    width: int
    height: int
    seconds: float | None
    """Length; None for a picture."""


def sampling_args(media: MediaInfo) -> list[str]:
    """Return the arguments of the command that writes the frames to stdout."""
    graph = FilterGraph()
    frames = source_frames(graph, picture_stream(media), media)
    frames = frames if media.still else graph.add("fps", frames, fps=RATE)
    frames = graph.chain(frames, ("scale", {"w": SIDE, "h": SIDE, "flags": "area"}), ("format", {"pix_fmts": "rgb24"}))
    source = picture_input(media, length=None if media.still else _SECONDS)
    one = ["-frames:v", "1"] if media.still else []
    return [*source, "-filter_complex", str(graph), "-map", f"[{frames}]", *one, "-f", "rawvideo", "-"]


async def sample(ffmpeg: FFmpeg, media: MediaInfo) -> Samples:
    """Return small frames of the first minute of a video, or a small picture. Raises FFmpegFailed."""
    limit = (int(_SECONDS * RATE) + 2 * RATE) * _FRAME_BYTES
    output = (await ffmpeg.capture(sampling_args(media), timeout=300, max_bytes=limit)).stdout
    starts = range(0, len(output) - _FRAME_BYTES + 1, _FRAME_BYTES)
    frames = [Image.frombytes("RGB", (SIDE, SIDE), output[start : start + _FRAME_BYTES]) for start in starts]
    seconds = None if media.still else media.video_seconds or media.probe.duration
    return Samples(frames, media.probe.width or 0, media.probe.height or 0, seconds)
