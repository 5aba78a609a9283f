"""Joining videos without encoding their pictures again: seamless to the frame and to the sample.

The pictures are passed on. The sound is joined as samples and encoded once, since what encoders put before each
file's sound would be heard at every joint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.clips.pcm_range import RATE, pcm_range_args, samples
from callsheet.media.encoding.loudness import LOSSLESS_ARGS
from callsheet.media.encoding.stream_copy_rules import channel_layout, default_audio_args
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.frame_index import read_frame_index
from callsheet.media.probing.output_checks import ExpectedAudio, check_frame_count, check_stderr, verify_audio
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.processes.bounded_gather import gather_limited

COPIED = frozenset({"h264", "hevc", "av1"})
"""Codecs whose pictures can be joined as they are in an MP4."""

_TICKS = 90_000
"""Per second; frames of all usual rates last a whole number of them."""
_SHARE_OF_PIECES = 0.9


def reencode_reason(videos: Sequence[MediaInfo]) -> str | None:
    """Return why the pictures of videos must be encoded to be joined; None when they can be passed on."""
    first = videos[0]
    if first.probe.video_codec not in COPIED:
        return f"MP4 does not hold {first.probe.video_codec} pictures"
    for video in videos[1:]:
        for what, one, other in _facts(first, video):
            if one != other:
                return f"'{video.path.name}' has {what} {other}, '{first.path.name}' has {one}"
        if video.video_headers != first.video_headers:
            return f"'{video.path.name}' was encoded with other settings than '{first.path.name}'"
    return None


def _facts(first: MediaInfo, video: MediaInfo) -> list[tuple[str, object, object]]:
    one, other = first.video, video.video
    assert one is not None and other is not None  # noqa: S101 - both were read as videos
    return [
        ("the codec", one.codec, other.codec),
        ("the size", f"{one.width}x{one.height}", f"{other.width}x{other.height}"),
        ("the frame rate", f"{float(first.rate):.5g}", f"{float(video.rate):.5g}"),
        ("the pixel format", one.pixel_format, other.pixel_format),
        ("the colours", _colours(first), _colours(video)),
        ("the shape of pixels", one.pixel_aspect_ratio or "1:1", other.pixel_aspect_ratio or "1:1"),
        ("the rotation", first.probe.rotation, video.probe.rotation),
    ]


def _colours(video: MediaInfo) -> tuple[str | None, ...]:
    picture = video.video
    assert picture is not None  # noqa: S101 - it was read as a video
    return picture.color_matrix, picture.color_primaries, picture.color_transfer, picture.color_range


@dataclass(frozen=True, slots=True)
class ConcatOutput:
    """Videos in one file."""

    path: Path
    frames: int
    seconds: float


async def concat_files(
    videos: Sequence[MediaInfo], ffmpeg: FFmpeg, folder: Path, tell: Callable[[float], None]
) -> ConcatOutput:
    """Join videos whose pictures can be passed on, in a folder, and return the checked outcome as an MP4.

    A video without sound is silent where others have some. Raises FFmpegFailed when a source breaks off, or the
    outcome is not what was planned.
    """
    done = _Steps(2 * len(videos), tell)
    works = [partial(_picture, video, ffmpeg, folder / f"picture{n:05d}.mp4") for n, video in enumerate(videos)]
    pictures = await gather_limited(works, limit=ffmpeg.threads, on_done=done)
    frames, lengths = sum(count for count, _ in pictures), [length for _, length in pictures]
    layout = common_layout(videos)
    if layout is not None:
        borders = [samples(time) for time in accumulate(lengths, initial=Fraction(0))]
        counts = [last - first for first, last in pairwise(borders)]
        pieces = enumerate(zip(videos, counts, strict=True))
        sounds = [partial(_sound, v, ffmpeg, folder / f"sound{n:05d}.w64", count, layout) for n, (v, count) in pieces]
        await gather_limited(sounds, limit=ffmpeg.threads, on_done=done)
    path = folder / "joined.mp4"
    report = await ffmpeg.run(_joining(lengths, layout, folder, videos[0], path), cwd=folder)
    check_frame_count(report, frames, "the joined film")
    seconds = float(sum(lengths))
    await _check(path, frames, seconds, layout)
    return ConcatOutput(path, frames, seconds)


async def concat_audio(
    files: Sequence[MediaInfo], ffmpeg: FFmpeg, folder: Path, tell: Callable[[float], None]
) -> tuple[Path, float]:
    """Join the sound of files, encoded once, and return the checked outcome as M4A with its length in seconds."""
    layout = common_layout(files) or "stereo"
    works = [partial(_samples, file, ffmpeg, folder / f"sound{n:05d}.w64", layout) for n, file in enumerate(files)]
    seconds = sum(await gather_limited(works, limit=ffmpeg.threads, on_done=_Steps(len(files), tell)))
    path = folder / "joined.m4a"
    words = [*_list(folder, "sound", "w64", len(files)), "-map", "0:a:0", *default_audio_args("mp4", layout)]
    await ffmpeg.run(
        [*words, "-map_metadata", "-1", "-movflags", "+faststart", "-f", "ipod", file_url(path)], cwd=folder
    )
    await verify_audio(path, ExpectedAudio(seconds))
    return path, seconds


async def _samples(file: MediaInfo, ffmpeg: FFmpeg, output: Path, layout: str) -> float:
    """Write the sound of a file as samples, and return how many seconds there are."""
    filters = f"aresample={RATE}:async=1:first_pts=0,aformat=channel_layouts={layout}"
    words = [*media_input(file.path), "-map", f"0:{file.audio_streams[0].index}", "-af", filters, *LOSSLESS_ARGS]
    report = await ffmpeg.run([*words, file_url(output)])
    check_stderr(report.stderr, f"'{file.path.name}'")
    return (await probe_details(output)).probe.duration or 0.0


def common_layout(found: Sequence[MediaInfo]) -> str | None:
    """Return the layout that sounds are joined in: their own where all have the same, else stereo; None without any."""
    layouts = {channel_layout(each.audio_streams[0]) for each in found if each.has_audio}
    return None if not layouts else layouts.pop() if len(layouts) == 1 else "stereo"


async def _picture(video: MediaInfo, ffmpeg: FFmpeg, output: Path) -> tuple[int, Fraction]:
    """Write the picture of a video by itself; return the number of its frames, and how long they last."""
    listed = await read_frame_index(ffmpeg, video)
    words = [*media_input(video.path), "-map", f"0:{video.video_index}", "-c", "copy", "-an"]
    words += ["-map_metadata", "-1", "-map_chapters", "-1", "-video_track_timescale", str(_TICKS), "-f", "mp4"]
    report = await ffmpeg.run([*words, file_url(output)])
    check_stderr(report.stderr, f"'{video.path.name}'")
    check_frame_count(report, len(listed), f"'{video.path.name}'")
    # Some containers round times to milliseconds, which would add up.
    even = len(listed) / video.rate
    return len(listed), even if abs(even - listed.length) < 1 / (2 * video.rate) else listed.length


async def _sound(video: MediaInfo, ffmpeg: FFmpeg, output: Path, count: int, layout: str) -> None:
    """Write the sound that belongs to the picture of a video as samples."""
    report = await ffmpeg.run(pcm_range_args(video, output, count=count, start=video.video_delay, layout=layout))
    check_stderr(report.stderr, f"'{video.path.name}'")


def _joining(lengths: list[Fraction], layout: str | None, folder: Path, first: MediaInfo, output: Path) -> list[str]:
    """Write the lists of pieces, and return the words that join them and encode the sound."""
    words = _list(folder, "picture", "mp4", len(lengths), lengths)
    words += [] if layout is None else _list(folder, "sound", "w64", len(lengths))
    words += ["-map", "0:v:0", "-c:v", "copy"]
    words += [] if layout is None else ["-map", "1:a:0", *default_audio_args("mp4", layout)]
    tags = ["-tag:v", "hvc1"] if first.probe.video_codec == "hevc" else []
    tags += ["-map_metadata", "-1", "-video_track_timescale", str(_TICKS), "-movflags", "+faststart", "-f", "mp4"]
    return [*words, *tags, file_url(output)]


def _list(folder: Path, stem: str, suffix: str, count: int, lengths: Sequence[Fraction] = ()) -> list[str]:
    """Write a list of pieces, and return the words that read them one behind the other.

    Without `lengths`, a piece is as long as it tells itself.
    """
    index = folder / f"{stem}s.txt"
    lines = ["ffconcat version 1.0"]
    for number in range(count):
        lines.append(f"file {stem}{number:05d}.{suffix}")
        lines += [f"duration {float(lengths[number]):.6f}"] if lengths else []
    index.write_text("\n".join(lines) + "\n")
    return ["-f", "concat", "-safe", "1", "-i", file_url(index)]


async def _check(path: Path, frames: int, seconds: float, layout: str | None) -> None:
    found = await probe_details(path)
    wrong: list[str] = []
    if found.probe.frames != frames:
        wrong.append(f"{found.probe.frames} frames instead of {frames}")
    if abs((found.video_seconds or 0) - seconds) > 1.5 / float(found.rate):
        wrong.append(f"{found.video_seconds or 0:.3f} s instead of {seconds:.3f} s")
    if found.has_audio != (layout is not None):
        wrong.append("sound where none was planned" if found.has_audio else "no sound")
    if wrong:
        raise FFmpegFailed(f"FFmpeg reported success, but the joined film is wrong: {'; '.join(wrong)}")


class _Steps:
    """Tells the share of steps that are done; called after each."""

    def __init__(self, steps: int, tell: Callable[[float], None]) -> None:
        self._steps = steps
        self._tell = tell
        self._done = 0

    def __call__(self) -> None:
        self._done += 1
        self._tell(_SHARE_OF_PIECES * self._done / self._steps)
