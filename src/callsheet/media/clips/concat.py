"""Concatenate files. Matching videos are joined by stream copy, without gaps between frames or samples.

Only the video is copied. The audio is joined as PCM and encoded once: the encoder delay at the start of each file
would be audible at every joint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

from callsheet.media.clips.pcm_range import pcm_range_args
from callsheet.media.encoding.downmix import downmix_filters, filter_text
from callsheet.media.encoding.pcm import LOSSLESS_ARGS, SAMPLE_RATE, sample_at
from callsheet.media.encoding.stream_copy_rules import channel_layout, default_audio_args
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.source_frames import audio_stream, copy_input, picture_stream
from callsheet.media.probing.frame_index import read_frame_index
from callsheet.media.probing.output_checks import (
    ExpectedAudio,
    audio_presence_problems,
    check_frame_count,
    check_stderr,
    duration_problems,
    frame_count_problems,
    raise_on_problems,
    verify_audio,
)
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.probing.streams import Stream
from callsheet.processes.bounded_gather import gather_limited

STREAM_COPY_CODECS = frozenset({"h264", "hevc", "av1"})
"""Video codecs that can be concatenated by stream copy in an MP4."""

_TIME_SCALE = 90_000
"""Ticks per second. Frames of all usual rates last a whole number of ticks."""
_EXTRACTION_SHARE = 0.9
"""Share of the progress for extracting the streams; the rest is the final mux."""


def reencode_reason(videos: Sequence[MediaInfo]) -> str | None:
    """Return why the video streams must be encoded to be joined, or None if stream copy is possible."""
    first = videos[0]
    if first.probe.video_codec not in STREAM_COPY_CODECS:
        return f"MP4 does not support {first.probe.video_codec} video"
    if odd := next((video for video in videos if video.copy_obstacle), None):
        return f"'{odd.path.name}' {odd.copy_obstacle}"
    if changing := next((video for video in videos if video.video_changes), None):
        return f"'{changing.path.name}' changes its format on the way"
    for video in videos[1:]:
        for name, expected, found in _compared_properties(first, video):
            if expected != found:
                return f"'{video.path.name}' has {name} {found}, '{first.path.name}' has {expected}"
        if video.video_headers != first.video_headers:
            return f"'{video.path.name}' was encoded with other settings than '{first.path.name}'"
    return None


def _compared_properties(first: MediaInfo, video: MediaInfo) -> list[tuple[str, object, object]]:
    one, other = _video_stream(first), _video_stream(video)
    return [
        ("the codec", one.codec, other.codec),
        ("the size", f"{one.width}x{one.height}", f"{other.width}x{other.height}"),
        ("the frame rate", f"{float(first.rate):.5g}", f"{float(video.rate):.5g}"),
        ("the pixel format", one.pixel_format, other.pixel_format),
        ("the color space", _color_space(one), _color_space(other)),
        ("the pixel aspect ratio", one.pixel_aspect_ratio or "1:1", other.pixel_aspect_ratio or "1:1"),
        ("the rotation", first.probe.rotation, video.probe.rotation),
        ("mirroring", first.probe.mirrored, video.probe.mirrored),
    ]


def _video_stream(video: MediaInfo) -> Stream:
    assert video.video is not None  # noqa: S101 - it was probed as a video
    return video.video


def _color_space(stream: Stream) -> tuple[str | None, ...]:
    return stream.color_matrix, stream.color_primaries, stream.color_transfer, stream.color_range


@dataclass(frozen=True, slots=True)
class ConcatOutput:
    """The concatenated video."""

    path: Path
    frames: int
    seconds: float
    notes: tuple[str, ...]


async def concat_files(
    videos: Sequence[MediaInfo], ffmpeg: FFmpeg, folder: Path, on_progress: Callable[[float], None]
) -> ConcatOutput:
    """Join videos by stream copy in a folder, and return the verified MP4.

    A video without audio is silent if others have audio. Raises FFmpegFailed if a source is truncated, or the output
    differs from the plan.
    """
    on_done = _StepProgress(2 * len(videos), on_progress)
    notes: dict[str, None] = {}
    extractions = [
        partial(_extract_video, video, ffmpeg, folder / f"picture{n:05d}.mp4", notes) for n, video in enumerate(videos)
    ]
    extracted = await gather_limited(extractions, limit=ffmpeg.threads, on_done=on_done)
    frames, lengths = sum(count for count, _ in extracted), [length for _, length in extracted]
    layout = common_layout(videos)
    if layout is not None:
        borders = [sample_at(time) for time in accumulate(lengths, initial=Fraction(0))]
        counts = [last - first for first, last in pairwise(borders)]
        decodes = [
            partial(_decode_audio_range, video, ffmpeg, folder / f"sound{n:05d}.w64", count, layout, notes)
            for n, (video, count) in enumerate(zip(videos, counts, strict=True))
        ]
        await gather_limited(decodes, limit=ffmpeg.threads, on_done=on_done)
    path = folder / "joined.mp4"
    report = await ffmpeg.run(_concat_args(lengths, layout, folder, videos[0], path), cwd=folder)
    seconds = float(sum(lengths))
    if notes:
        # The last packets of a file that is cut off may be left out.
        frames, seconds = report.frames or 0, (await probe_details(path)).video_seconds or 0.0
    check_frame_count(report, frames, "the joined video")
    await _verify(path, frames, seconds, layout)
    return ConcatOutput(path, frames, seconds, tuple(notes))


async def concat_audio(
    files: Sequence[MediaInfo], ffmpeg: FFmpeg, folder: Path, on_progress: Callable[[float], None]
) -> tuple[Path, float, tuple[str, ...]]:
    """Join the audio of files, encode it once, and return the verified M4A with its duration in seconds and notes."""
    layout = common_layout(files) or "stereo"
    notes: dict[str, None] = {}
    decodes = [
        partial(_decode_audio, file, ffmpeg, folder / f"sound{n:05d}.w64", layout, notes)
        for n, file in enumerate(files)
    ]
    on_done = _StepProgress(len(files), on_progress)
    seconds = sum(await gather_limited(decodes, limit=ffmpeg.threads, on_done=on_done))
    path = folder / "joined.m4a"
    args = [*_list_input(folder, "sound", "w64", len(files)), "-map", "0:a:0", *default_audio_args("mp4", layout)]
    await ffmpeg.run(
        [*args, "-map_metadata", "-1", "-movflags", "+faststart", "-f", "ipod", file_url(path)], cwd=folder
    )
    await verify_audio(path, ExpectedAudio(seconds))
    return path, seconds, tuple(notes)


async def _decode_audio(file: MediaInfo, ffmpeg: FFmpeg, output: Path, layout: str, notes: dict[str, None]) -> float:
    """Write the audio of a file as PCM, and return its duration in seconds."""
    filters = f"aresample={SAMPLE_RATE}:async=1:first_pts=0,{filter_text(downmix_filters(file.audio_layout))}"
    filters += f"aformat=channel_layouts={layout}"
    end = file.audio_end(file.audio)
    filters += "" if end is None else f",atrim=end_sample={sample_at(Fraction(end))}"
    args = [*media_input(file.path), "-map", audio_stream(file), "-af", filters, *LOSSLESS_ARGS]
    report = await ffmpeg.run([*args, file_url(output)])
    notes |= dict.fromkeys(check_stderr(report.stderr, f"'{file.path.name}'", strict=file.strict))
    return (await probe_details(output)).probe.duration or 0.0


def common_layout(files: Sequence[MediaInfo]) -> str | None:
    """Return the channel layout for joining: the shared one, else stereo. None if no file has audio."""
    layouts = {channel_layout(file.audio) for file in files if file.has_audio}
    return None if not layouts else layouts.pop() if len(layouts) == 1 else "stereo"


async def _extract_video(
    video: MediaInfo, ffmpeg: FFmpeg, output: Path, notes: dict[str, None]
) -> tuple[int, Fraction]:
    """Copy the video stream of a file, and return its number of frames and its duration."""
    index = await read_frame_index(ffmpeg, video)
    args = [*copy_input(video), "-map", picture_stream(video), "-c", "copy", "-an"]
    args += ["-map_metadata", "-1", "-map_chapters", "-1", "-video_track_timescale", str(_TIME_SCALE), "-f", "mp4"]
    report = await ffmpeg.run([*args, file_url(output)])
    notes |= dict.fromkeys(check_stderr(report.stderr, f"'{video.path.name}'", strict=video.strict))
    check_frame_count(report, len(index), f"'{video.path.name}'")
    # Some containers round timestamps to milliseconds; the rounding errors of many files would add up.
    nominal = len(index) / video.rate
    return len(index), nominal if abs(nominal - index.length) < 1 / (2 * video.rate) else index.length


async def _decode_audio_range(
    video: MediaInfo, ffmpeg: FFmpeg, output: Path, count: int, layout: str, notes: dict[str, None]
) -> None:
    """Write the audio that plays during the video stream as PCM."""
    report = await ffmpeg.run(pcm_range_args(video, output, count=count, start=video.video_delay, layout=layout))
    notes |= dict.fromkeys(check_stderr(report.stderr, f"'{video.path.name}'", strict=video.strict))


def _concat_args(
    lengths: list[Fraction], layout: str | None, folder: Path, first: MediaInfo, output: Path
) -> list[str]:
    """Write the concat lists, and return the arguments that join the video and encode the audio."""
    args = _list_input(folder, "picture", "mp4", len(lengths), lengths)
    args += [] if layout is None else _list_input(folder, "sound", "w64", len(lengths))
    args += ["-map", "0:v:0", "-c:v", "copy"]
    args += [] if layout is None else ["-map", "1:a:0", *default_audio_args("mp4", layout)]
    tags = ["-tag:v", "hvc1"] if first.probe.video_codec == "hevc" else []
    tags += ["-map_metadata", "-1", "-video_track_timescale", str(_TIME_SCALE), "-movflags", "+faststart", "-f", "mp4"]
    return [*args, *tags, file_url(output)]


def _list_input(folder: Path, stem: str, suffix: str, count: int, lengths: Sequence[Fraction] = ()) -> list[str]:
    """Write a list for FFmpeg's concat demuxer, and return the arguments that read it.

    Without `lengths`, the demuxer uses the durations that the files state.
    """
    index = folder / f"{stem}s.txt"
    lines = ["ffconcat version 1.0"]
    for number in range(count):
        lines.append(f"file {stem}{number:05d}.{suffix}")
        lines += [f"duration {float(lengths[number]):.6f}"] if lengths else []
    index.write_text("\n".join(lines) + "\n", "utf-8")
    return ["-f", "concat", "-safe", "1", "-i", file_url(index)]


async def _verify(path: Path, frames: int, seconds: float, layout: str | None) -> None:
    found = await probe_details(path)
    problems = [
        *frame_count_problems(found.probe.frames or 0, frames),
        *duration_problems(found.video_seconds, seconds, 1.5 / float(found.rate)),
        *audio_presence_problems(found.has_audio, expected=layout is not None),
    ]
    raise_on_problems("the joined video", problems)


class _StepProgress:
    """Reports the share of completed steps. Call it after each step."""

    def __init__(self, steps: int, on_progress: Callable[[float], None]) -> None:
        self._steps = steps
        self._on_progress = on_progress
        self._done = 0

    def __call__(self) -> None:
        self._done += 1
        self._on_progress(_EXTRACTION_SHARE * self._done / self._steps)
