"""The frames of a video in the order they are shown, listed without decoding any."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import inf

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.ffmpeg.progress import format_duration, is_overrun
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import MediaInfo

_DISCARDED = 0x4


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """When each frame is shown, from 0 for the first one, and at which of them the video can be cut."""

    times: tuple[Fraction, ...]
    """Seconds."""
    length: Fraction
    """Seconds, to the end of the last frame."""
    key_frames: tuple[int, ...]
    """Numbers of the frames that a piece can begin with, by itself."""
    clean_ends: tuple[int, ...]
    """Numbers of frames that the video can be cut off after, without any being lost before."""

    def __len__(self) -> int:
        return len(self.times)

    def nearest(self, time: float) -> int:
        """Return the number of the frame that begins nearest to a time; one past the last for the end."""
        borders = (*self.times, self.length)
        after = min(bisect_left(borders, time), len(borders) - 1)
        before = max(0, after - 1)
        return before if time - borders[before] <= borders[after] - time else after

    def nearest_key_frame(self, time: float) -> int:
        """Return the number of the frame nearest to a time that a piece can begin with."""
        return min(self.key_frames, key=lambda number: abs(self.times[number] - Fraction(time)), default=0)

    def nearest_end(self, time: float) -> int:
        """Return how many frames to keep so that the video ends near a time."""
        return min(self.clean_ends, key=lambda number: abs(self.time_of(number) - Fraction(time)))

    def time_of(self, frame: int) -> Fraction:
        """Return when a frame begins; that after the last begins at the end."""
        return self.times[frame] if frame < len(self.times) else self.length


@dataclass(frozen=True, slots=True)
class _Packet:
    pts: int
    duration: int
    is_key: bool


async def read_frame_index(ffmpeg: FFmpeg, media: MediaInfo) -> FrameIndex:
    """Return the frames of a video. Raises FFmpegFailed when it does not tell when they are shown."""
    lines = await _list_packets(ffmpeg, media)
    unit = next((Fraction(line.split(":", 1)[1].strip()) for line in lines if line.startswith("#tb 0:")), None)
    packets = [*_parse_packets(lines)]
    if unit is None or not packets:
        raise FFmpegFailed(f"'{media.path.name}': it does not tell when its pictures are shown")
    order = sorted(range(len(packets)), key=lambda number: packets[number].pts)
    first, last = packets[order[0]], packets[order[-1]]
    length = (last.pts + last.duration - first.pts) * unit or 1 / media.rate
    told = media.video_seconds or media.probe.duration or 0.0
    if is_overrun(float(length), told):
        message = f"its pictures go on until {format_duration(float(length))}, though it tells a length of {format_duration(told)}"
        raise FFmpegFailed(f"'{media.path.name}': {message}")
    times = tuple((packets[number].pts - first.pts) * unit for number in order)
    borders = [*_cut_points(packets)]
    keys = tuple(number for number in borders if number < len(packets) and packets[number].is_key)
    return FrameIndex(times, length, keys, tuple(number for number in borders if number))


async def measure_longest_gop(ffmpeg: FFmpeg, found: MediaInfo) -> MediaInfo:
    """Return a file with the length of its longest group of frames, if it takes that to find a key frame in it."""
    if not (found.lacks_index and found.has_video):
        return found
    packets = [*_parse_packets(await _list_packets(ffmpeg, found))]
    keys = [number for number, packet in enumerate(packets) if packet.is_key]
    longest = max((after - key for key, after in pairwise([*keys, len(packets)])), default=0)
    return replace(found, longest_gop=max(longest, found.longest_gop))


async def _list_packets(ffmpeg: FFmpeg, video: MediaInfo) -> list[str]:
    assert video.video_index is not None  # noqa: S101 - it was read as a video
    # Program streams do not tell the time of each picture.
    words = ["-fflags", "+genpts", *media_input(video.path), "-map", f"0:{video.video_index}"]
    words += ["-c", "copy", "-f", "framecrc", "-"]
    captured = await ffmpeg.capture(words, timeout=3600)
    return captured.stdout.decode("ascii", "replace").splitlines()


def _parse_packets(lines: list[str]) -> Iterator[_Packet]:
    """Read `stream, dts, pts, duration, size, checksum[, F=0x…]`; without flags it is a key frame."""
    for line in lines:
        if line.startswith("#"):
            continue
        fields = [part.strip() for part in line.split(",")]
        flags = next((int(part[2:], 16) for part in fields[6:] if part.startswith("F=")), 1)
        if not flags & _DISCARDED and fields[2].lstrip("-").isdigit():
            yield _Packet(int(fields[2]), int(fields[3]), bool(flags & 1))


def _cut_points(packets: list[_Packet]) -> Iterator[int]:
    """Yield where all that comes before is shown before all that comes after, as within open groups it is not.

    There, a number in the order of packets is the same in the order of showing.
    """
    earliest = [inf] * (len(packets) + 1)
    for number in range(len(packets) - 1, -1, -1):
        earliest[number] = min(earliest[number + 1], packets[number].pts)
    latest = -inf
    for number, after in enumerate(earliest):
        if latest < after:
            yield number
        latest = max(latest, packets[number].pts) if number < len(packets) else latest
