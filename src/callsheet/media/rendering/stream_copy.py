"""Stream copy of scenes: a source file that already matches the output is not encoded again."""

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding.codecs import codec_from_probe
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.sdr import sdr_filters
from callsheet.media.filters.source_frames import picture_stream
from callsheet.media.probing.frame_index import read_frame_index
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.rendering.layers import Layer, is_visible
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import Schedule, Shot
from callsheet.media.rendering.segment_commands import timescale
from callsheet.media.values import parse_rate
from callsheet.processes.bounded_gather import gather_limited

_TIME_TOLERANCE = Fraction(1, 1000)
"""Seconds. Files that were remuxed from Matroska have timestamps in whole milliseconds."""


async def copyable_shots(
    schedule: Schedule, canvas: Canvas, layers: Sequence[Layer], encoder: Encoder, ffmpeg: FFmpeg, folder: Path
) -> frozenset[int]:
    """Return the indexes in the schedule of the shots that can be stream-copied.

    Copied and encoded segments end up in one stream, so all of them need the same codec headers.
    """
    settings = encoder.settings
    limits = (settings.quality, settings.crf, settings.bitrate, settings.max_bitrate)
    if encoder.is_hardware or any(limit is not None for limit in limits):
        return frozenset()
    shots = {
        number: shot
        for number, shot in enumerate(schedule.shots)
        if matches_output(shot, canvas, encoder) and _has_no_layers(shot, layers, canvas.rate)
    }
    files = list({shot.footage.path: shot.footage for shot in shots.values() if shot.footage}.values())
    checks = [partial(_has_constant_rate, file, canvas, ffmpeg) for file in files]
    results = await gather_limited(checks, limit=ffmpeg.threads)
    paths = {file.path for file, is_constant in zip(files, results, strict=True) if is_constant}
    footage = {n: shot.footage for n, shot in shots.items() if shot.footage and shot.footage.path in paths}
    if not footage:
        return frozenset()
    headers = {media.video_headers for media in footage.values()}
    if len(footage) < len(schedule.shots) or len(headers) > 1:
        headers = {await _encoder_headers(canvas, encoder, ffmpeg, folder)}
    return frozenset(number for number, media in footage.items() if media.video_headers in headers)


def matches_output(shot: Shot, canvas: Canvas, encoder: Encoder) -> bool:
    """Return whether a scene shows a whole file without changes, and the file matches the output.

    Only containers that record the frame count qualify. Matroska and transport streams do not: Matroska rounds
    timestamps to milliseconds, so each copy would be slightly too short or too long, and over many copies audio and
    video would drift apart.
    """
    scene, footage = shot.scene, shot.footage
    if footage is None or footage.still or footage.interlaced or footage.video is None or sdr_filters(footage):
        return False
    if footage.copy_obstacle or footage.video_changes:  # a copy would show them, or have several formats
        return False
    unchanged = (
        *(scene.trim_start == 0, scene.trim_end is None, scene.speed == 1, scene.crop is None, not scene.filters),
        *(scene.fade_in == 0, scene.fade_out == 0, shot.blend_in == 0, shot.blend_out == 0),
    )
    return all(unchanged) and _has_output_format(footage, shot.frames, canvas, encoder)


def _has_output_format(footage: MediaInfo, frames: int, canvas: Canvas, encoder: Encoder) -> bool:
    stream, media = footage.video, footage.probe
    assert stream is not None  # noqa: S101 - the caller checks it
    return (
        codec_from_probe(stream.codec) == encoder.codec
        and stream.pixel_format == encoder.pixel_format
        and (stream.width, stream.height) == (canvas.width, canvas.height)
        and not media.turned
        and stream.pixel_aspect_ratio in (None, "1:1")
        and stream.color_range in (None, "tv")
        and (stream.color_matrix or footage.assumed_matrix) == "bt709"
        and media.frames == frames
        and media.fps is not None
        and parse_rate(media.fps) == canvas.rate
        and abs(stream.start) < float(1 / canvas.rate) / 2
    )


def _has_no_layers(shot: Shot, layers: Sequence[Layer], rate: Fraction) -> bool:
    return not any(is_visible(layer, shot.start, shot.end, rate) for layer in layers)


async def _has_constant_rate(footage: MediaInfo, canvas: Canvas, ffmpeg: FFmpeg) -> bool:
    """Return whether all frames have equal distances. The container header gives only their average."""
    try:
        times = (await read_frame_index(ffmpeg, footage)).times
    except FFmpegFailed:
        return False
    return all(abs(time - number / canvas.rate) <= _TIME_TOLERANCE for number, time in enumerate(times))


async def _encoder_headers(canvas: Canvas, encoder: Encoder, ffmpeg: FFmpeg, folder: Path) -> str | None:
    """Return the codec headers of encoded segments, read from an encode of one frame."""
    path = folder / "headers.mp4"
    size = f"{canvas.width}x{canvas.height}"
    args = ["-f", "lavfi", "-i", f"color=size={size}:rate={canvas.rate}", "-frames:v", "1", "-vf", "format=yuv420p"]
    args += encoder.args(rate=canvas.rate, threads=1, stitchable=True)
    await ffmpeg.run([*args, "-video_track_timescale", str(timescale(canvas.rate)), file_url(path)])
    return (await probe_details(path)).video_headers


def stream_copy_args(shot: Shot, canvas: Canvas, stem: str) -> list[str]:
    """Return the FFmpeg args that copy a scene's video stream to the MP4 file `<stem>.mp4`."""
    assert shot.footage is not None  # noqa: S101 - only files are copied
    return [
        *(*media_input(shot.footage.path), "-map", picture_stream(shot.footage), "-c:v", "copy", "-an", "-sn", "-dn"),
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-video_track_timescale", str(timescale(canvas.rate))),
        *("-f", "mp4", file_url(Path(f"{stem}.mp4"))),
    ]
