"""Checks of a transcode output against its plan. FFmpeg often reports success although the file is wrong."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding import codecs
from callsheet.media.ffmpeg.runner import FFmpegReport
from callsheet.media.probing.mp4_boxes import is_fast_start
from callsheet.media.probing.output_checks import (
    audio_presence_problems,
    check_frame_count,
    duration_problems,
    frame_count_problems,
    frame_size_problems,
    raise_on_problems,
)
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.transcoding.color_pipeline import is_high_bit_depth
from callsheet.media.transcoding.hls import Playlist
from callsheet.media.transcoding.plan import AudioEncoding, TranscodePlan
from callsheet.media.transcoding.renditions import VideoRendition

_DURATION_TOLERANCE = 0.25
"""Seconds by which a container duration may differ from the plan. Audio frames do not align with video frames."""


async def check_file(path: Path, plan: TranscodePlan, rendition: VideoRendition) -> None:
    """Raise FFmpegFailed with all differences unless a file matches the plan."""
    found = await probe_details(path)
    problems = [
        *_video_problems(found, plan, rendition),
        *_audio_problems(found, plan),
        *_duration_problems(found, plan),
    ]
    if plan.format in ("mp4", "mov") and not await asyncio.to_thread(is_fast_start, path):
        problems.append("its index is at the end")
    raise_on_problems(f"'{rendition.name}'", problems)


def check_frames(report: FFmpegReport, plan: TranscodePlan) -> None:
    """Raise FFmpegFailed unless FFmpeg encoded all frames of the first rendition."""
    planned = plan.frame_count
    if planned:
        check_frame_count(report, planned, f"'{plan.source.path.name}'", tolerance=1)


async def check_playlists(
    folder: Path, plan: TranscodePlan, playlists: Sequence[Playlist], counts: Collection[int]
) -> None:
    """Raise FFmpegFailed unless every playlist matches the plan and players can switch between the renditions.

    `counts` are the numbers of frames of the renditions.
    """
    first, *others = playlists[: len(plan.renditions)]
    if any(other.durations != first.durations for other in others):
        raise FFmpegFailed("FFmpeg reported success, but the segments of the renditions are not aligned")
    frames = set(counts)
    planned = plan.frame_count
    if len(frames) > 1 or (planned is not None and abs(frames.pop() - planned) > 1):
        raise FFmpegFailed(f"FFmpeg reported success, but a rendition does not have all of its {planned} frames")
    for playlist, rendition in zip(playlists, plan.renditions, strict=False):
        found = await probe_details(await asyncio.to_thread(_write_sample, folder, playlist))
        problems = [*_video_problems(found, plan, rendition)]
        expected = plan.video_seconds or plan.duration
        problems += duration_problems(sum(playlist.durations), expected, _DURATION_TOLERANCE)
        raise_on_problems(f"'{rendition.name}'", problems)


def _video_problems(found: MediaInfo, plan: TranscodePlan, rendition: VideoRendition) -> Iterator[str]:
    probe = found.probe
    if codecs.codec_from_probe(probe.video_codec) != rendition.settings.codec:
        yield f"{probe.video_codec} instead of {rendition.settings.codec}"
    yield from frame_size_problems(probe, rendition.width, rendition.height)
    if is_high_bit_depth(found) != (plan.color.depth == 10):
        yield f"{probe.pixel_format} instead of {plan.color.depth} bits"
    if found.hdr != (plan.source.hdr and not plan.color.converts):
        yield "unexpected HDR" if found.hdr else "no HDR"


def _audio_problems(found: MediaInfo, plan: TranscodePlan) -> Iterator[str]:
    if found.has_audio != (plan.audio is not None):
        yield from audio_presence_problems(found.has_audio, expected=plan.audio is not None)
    elif isinstance(plan.audio, AudioEncoding) and found.probe.audio_channels != plan.audio.channel_count:
        yield f"{found.probe.audio_channels} audio channels instead of {plan.audio.channels}"


def _duration_problems(found: MediaInfo, plan: TranscodePlan) -> Iterator[str]:
    actual, planned = found.probe.duration, plan.duration
    if planned and actual and not plan.source.damaged:
        yield from duration_problems(actual, planned, max(_DURATION_TOLERANCE, 1 / (found.probe.fps or 30)))
    frames = plan.frame_count
    if frames and found.probe.frames:
        yield from frame_count_problems(found.probe.frames, frames, tolerance=1)


def _write_sample(folder: Path, playlist: Playlist) -> Path:
    """Write the header and the first segment of a rendition as one file that can be probed."""
    sample = folder / f"{playlist.name}_sample.probe"
    sample.write_bytes((folder / playlist.header).read_bytes() + (folder / playlist.segments[0]).read_bytes())
    return sample
