"""Scenes whose file already is what the film needs, and whose picture is taken over without encoding it again."""

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding.codecs import codec_from_probe
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.frame_index import read_frame_index
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.rendering.overlays import Above, is_seen
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import Schedule, Shot
from callsheet.media.rendering.segment_commands import time_scale
from callsheet.media.values import parse_rate
from callsheet.processes.bounded_gather import gather_limited

_ROUNDED = Fraction(1, 1000)
"""Seconds; what came out of Matroska has its times in whole milliseconds."""


async def copyable(
    plan: Schedule, canvas: Canvas, above: Sequence[Above], encoder: Encoder, ffmpeg: FFmpeg, folder: Path
) -> frozenset[int]:
    """Return which shots (by their place in the schedule) can be copied.

    Copied and encoded pictures follow each other in one stream, so a decoder must be set up for all of them alike.
    """
    wish = encoder.settings
    if encoder.is_hardware or any(w is not None for w in (wish.quality, wish.crf, wish.bitrate, wish.max_bitrate)):
        return frozenset()
    found = {n: s for n, s in enumerate(plan.shots) if fits(s, canvas, encoder) and _bare(s, above, canvas.rate)}
    files = list({shot.footage.path: shot.footage for shot in found.values() if shot.footage}.values())
    verdicts = await gather_limited([partial(_even, file, canvas, ffmpeg) for file in files], limit=ffmpeg.threads)
    evenly = {file.path for file, is_even in zip(files, verdicts, strict=True) if is_even}
    even = {n: shot.footage for n, shot in found.items() if shot.footage and shot.footage.path in evenly}
    if not even:
        return frozenset()
    headers = {footage.video_headers for footage in even.values()}
    if len(even) < len(plan.shots) or len(headers) > 1:
        headers = {await _headers(canvas, encoder, ffmpeg, folder)}
    return frozenset(number for number, footage in even.items() if footage.video_headers in headers)


def fits(shot: Shot, canvas: Canvas, encoder: Encoder) -> bool:
    """Tell whether a scene shows the whole of a file as it is, and the file looks as the film is to.

    Only files that tell how many frames they hold do, which Matroska and transport streams do not: Matroska rounds
    times to milliseconds, so each copy would be a little too short or too long, and the sound would run away from
    the picture over many of them.
    """
    scene, footage = shot.scene, shot.footage
    if footage is None or footage.still or footage.hdr or footage.interlaced or footage.video is None:
        return False
    untouched = (
        *(scene.trim_start == 0, scene.trim_end is None, scene.speed == 1, scene.crop is None, not scene.filters),
        *(scene.fade_in == 0, scene.fade_out == 0, shot.blend_in == 0, shot.blend_out == 0),
    )
    return all(untouched) and _alike(footage, shot.frames, canvas, encoder)


def _alike(footage: MediaInfo, frames: int, canvas: Canvas, encoder: Encoder) -> bool:
    picture, facts = footage.video, footage.probe
    assert picture is not None  # noqa: S101 - told by the caller
    return (
        codec_from_probe(picture.codec) == encoder.codec
        and picture.pixel_format == encoder.pixel_format
        and (picture.width, picture.height) == (canvas.width, canvas.height)
        and facts.rotation == 0
        and picture.pixel_aspect_ratio in (None, "1:1")
        and picture.color_range in (None, "tv")
        and (picture.color_matrix or footage.assumed_matrix) == "bt709"
        and facts.frames == frames
        and facts.fps is not None
        and parse_rate(facts.fps) == canvas.rate
        and abs(picture.start) < float(1 / canvas.rate) / 2
    )


def _bare(shot: Shot, above: Sequence[Above], rate: Fraction) -> bool:
    """Tell whether nothing lies over a scene."""
    return not any(is_seen(thing, shot.start, shot.end, rate) for thing in above)


async def _even(footage: MediaInfo, canvas: Canvas, ffmpeg: FFmpeg) -> bool:
    """Tell whether the frames follow each other at equal distances; the head of a file tells but their average."""
    try:
        times = (await read_frame_index(ffmpeg, footage)).times
    except FFmpegFailed:
        return False
    return all(abs(time - number / canvas.rate) <= _ROUNDED for number, time in enumerate(times))


async def _headers(canvas: Canvas, encoder: Encoder, ffmpeg: FFmpeg, folder: Path) -> str | None:
    """Return what a decoder is set up by for pictures that are encoded."""
    path = folder / "headers.mp4"
    size = f"{canvas.width}x{canvas.height}"
    words = ["-f", "lavfi", "-i", f"color=size={size}:rate={canvas.rate}", "-frames:v", "1", "-vf", "format=yuv420p"]
    words += encoder.args(rate=canvas.rate, threads=1, stitchable=True)
    await ffmpeg.run([*words, "-video_track_timescale", str(time_scale(canvas.rate)), file_url(path)])
    return (await probe_details(path)).video_headers


def stream_copy_args(shot: Shot, canvas: Canvas, stem: str) -> list[str]:
    """Return the words that copy a scene's picture into the MP4 `<stem>.mp4`."""
    assert shot.footage is not None  # noqa: S101 - only files are copied
    return [
        *(*media_input(shot.footage.path), "-map", "0:v:0", "-c:v", "copy", "-an", "-sn", "-dn"),
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-video_track_timescale", str(time_scale(canvas.rate))),
        *("-f", "mp4", file_url(Path(f"{stem}.mp4"))),
    ]
