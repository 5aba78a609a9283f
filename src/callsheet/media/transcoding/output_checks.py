"""Checking that FFmpeg wrote what was planned: it often reports success with a wrong file."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding import codecs
from callsheet.media.ffmpeg.runner import FFmpeg, FFmpegReport
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
from callsheet.media.transcoding.color_pipeline import is_deep
from callsheet.media.transcoding.hls import Playlist
from callsheet.media.transcoding.plan import AudioEncoding, TranscodePlan, hides_frames
from callsheet.media.transcoding.renditions import VideoRendition

_SLACK = 0.25
"""Seconds by which a container may tell another duration; sound has frames of its own."""


async def check_file(path: Path, plan: TranscodePlan, picture: VideoRendition) -> None:
    """Raise FFmpegFailed, with everything that is wrong, unless a file is what was planned."""
    found = await probe_details(path)
    wrong = [*_in_picture(found, plan, picture), *_in_sound(found, plan), *_in_length(found, plan)]
    if plan.format in ("mp4", "mov") and not await asyncio.to_thread(is_fast_start, path):
        wrong.append("its index is at the end")
    raise_on_problems(f"'{picture.name}'", wrong)


def check_frames(report: FFmpegReport, plan: TranscodePlan) -> None:
    """Raise FFmpegFailed unless a run encoded all frames of its first picture."""
    planned = _planned_frames(plan)
    if planned:
        check_frame_count(report, planned, f"'{plan.source.path.name}'", tolerance=1)


async def check_playlists(ffmpeg: FFmpeg, folder: Path, plan: TranscodePlan, playlists: Sequence[Playlist]) -> None:
    """Raise FFmpegFailed unless every playlist plays as planned, and players can change between the renditions."""
    first, *others = playlists[: len(plan.renditions)]
    if any(other.lengths != first.lengths for other in others):
        raise FFmpegFailed("FFmpeg reported success, but the segments of the renditions do not begin together")
    frames = {await _frames(ffmpeg, folder, playlist) for playlist in (first, *others)}
    planned = _planned_frames(plan)
    if len(frames) > 1 or (planned is not None and abs(frames.pop() - planned) > 1):
        raise FFmpegFailed(f"FFmpeg reported success, but a rendition does not have all of its {planned} frames")
    for playlist, picture in zip(playlists, plan.renditions, strict=False):
        found = await probe_details(await asyncio.to_thread(_sample, folder, playlist))
        wrong = [*_in_picture(found, plan, picture)]
        wrong += duration_problems(sum(playlist.lengths), plan.source.video_seconds or plan.seconds, _SLACK)
        raise_on_problems(f"'{picture.name}'", wrong)


def _in_picture(found: MediaInfo, plan: TranscodePlan, picture: VideoRendition) -> Iterator[str]:
    facts = found.probe
    if codecs.codec_from_probe(facts.video_codec) != picture.settings.codec:
        yield f"{facts.video_codec} instead of {picture.settings.codec}"
    yield from frame_size_problems(facts, picture.width, picture.height)
    if is_deep(found) != (plan.tones.depth == 10):
        yield f"{facts.pixel_format} instead of {plan.tones.depth} bits"
    if found.hdr != (plan.source.hdr and not plan.tones.maps_to_sdr):
        yield "HDR where none was planned" if found.hdr else "no HDR"


def _in_sound(found: MediaInfo, plan: TranscodePlan) -> Iterator[str]:
    if found.has_audio != (plan.sound is not None):
        yield from audio_presence_problems(found.has_audio, expected=plan.sound is not None)
    elif isinstance(plan.sound, AudioEncoding) and found.probe.audio_channels != plan.sound.count:
        yield f"{found.probe.audio_channels} channels of sound instead of {plan.sound.channels}"


def _in_length(found: MediaInfo, plan: TranscodePlan) -> Iterator[str]:
    length, planned = found.probe.duration, plan.seconds
    if planned and length:
        yield from duration_problems(length, planned, max(_SLACK, 1 / (found.probe.fps or 30)))
    frames = _planned_frames(plan)
    if frames and found.probe.frames:
        yield from frame_count_problems(found.probe.frames, frames, tolerance=1)


def _planned_frames(plan: TranscodePlan) -> int | None:
    """Return how many frames are due; None where the source does not tell."""
    if plan.rate is None:
        return None if hides_frames(plan.source) else plan.source.probe.frames
    seconds = plan.source.video_seconds
    return round(seconds * plan.rate) if seconds else None


async def _frames(ffmpeg: FFmpeg, folder: Path, playlist: Playlist) -> int:
    """Count the frames that a player gets, by reading the playlist as one does."""
    # Safe without the guards of media inputs: FFmpeg wrote it in our own folder.
    words = ["-protocol_whitelist", "file", "-f", "hls", "-i", f"{playlist.name}.m3u8"]
    report = await ffmpeg.run([*words, "-map", "0:v:0", "-c", "copy", "-f", "null", "-"], cwd=folder)
    return report.frames or 0


def _sample(folder: Path, playlist: Playlist) -> Path:
    """Write the beginning of a rendition as a file that can be probed."""
    sample = folder / f"{playlist.name}_sample.probe"
    sample.write_bytes((folder / playlist.header).read_bytes() + (folder / playlist.segments[0]).read_bytes())
    return sample
