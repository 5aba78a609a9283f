"""The frames of a video in the order they are shown, listed without decoding any."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import inf

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.ffmpeg.progress import clock, is_overrun
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
    keys: tuple[int, ...]
    """Numbers of the frames that a piece can begin with, by itself."""
    ends: tuple[int, ...]
    """Numbers of frames that the video can be cut off after, without any being lost before."""

    def __len__(self) -> int:
        return len(self.times)

    def nearest(self, time: float) -> int:
        """Return the number of the frame that begins nearest to a time; one past the last for the end."""
        borders = (*self.times, self.length)
        after = min(bisect_left(borders, time), len(borders) - 1)
        before = max(0, after - 1)
        return before if time - borders[before] <= borders[after] - time else after

    def nearest_key(self, time: float) -> int:
        """Return the number of the frame nearest to a time that a piece can begin with."""
        return min(self.keys, key=lambda number: abs(self.times[number] - Fraction(time)), default=0)

    def nearest_end(self, time: float) -> int:
        """Return how many frames to keep so that the video ends near a time."""
        return min(self.ends, key=lambda number: abs(self.time_of(number) - Fraction(time)))

    def time_of(self, frame: int) -> Fraction:
        """Return when a frame begins; that after the last begins at the end."""
        return self.times[frame] if frame < len(self.times) else self.length


@dataclass(frozen=True, slots=True)
class _Packet:
    shown: int
    duration: int
    key: bool


async def read_frame_index(ffmpeg: FFmpeg, video: MediaInfo) -> FrameIndex:
    """Return the frames of a video. Raises FFmpegFailed when it does not tell when they are shown."""
    lines = await _listing(ffmpeg, video)
    unit = next((Fraction(line.split(":", 1)[1].strip()) for line in lines if line.startswith("#tb 0:")), None)
    packets = [*_packets(lines)]
    if unit is None or not packets:
        raise FFmpegFailed(f"'{video.path.name}': it does not tell when its pictures are shown")
    order = sorted(range(len(packets)), key=lambda number: packets[number].shown)
    first, last = packets[order[0]], packets[order[-1]]
    length = (last.shown + last.duration - first.shown) * unit or 1 / video.rate
    told = video.picture_seconds or video.probe.duration or 0.0
    if is_overrun(float(length), told):
        message = f"its pictures go on until {clock(float(length))}, though it tells a length of {clock(told)}"
        raise FFmpegFailed(f"'{video.path.name}': {message}")
    times = tuple((packets[number].shown - first.shown) * unit for number in order)
    borders = [*_borders(packets)]
    keys = tuple(number for number in borders if number < len(packets) and packets[number].key)
    return FrameIndex(times, length, keys, tuple(number for number in borders if number))


async def with_groups(ffmpeg: FFmpeg, found: MediaInfo) -> MediaInfo:
    """Return a file with the length of its longest group of frames, if it takes that to find a key frame in it."""
    if not (found.lacks_index and found.has_picture):
        return found
    packets = [*_packets(await _listing(ffmpeg, found))]
    keys = [number for number, packet in enumerate(packets) if packet.key]
    longest = max((after - key for key, after in pairwise([*keys, len(packets)])), default=0)
    return replace(found, longest_group=max(longest, found.longest_group))


async def _listing(ffmpeg: FFmpeg, video: MediaInfo) -> list[str]:
    assert video.picture_index is not None  # noqa: S101 - it was read as a video
    # Program streams do not tell the time of each picture.
    words = ["-fflags", "+genpts", *media_input(video.path), "-map", f"0:{video.picture_index}"]
    words += ["-c", "copy", "-f", "framecrc", "-"]
    captured = await ffmpeg.capture(words, timeout=3600)
    return captured.stdout.decode("ascii", "replace").splitlines()


def _packets(lines: list[str]) -> Iterator[_Packet]:
    """Read `stream, dts, pts, duration, size, checksum[, F=0x…]`; without flags it is a key frame."""
    for line in lines:
        if line.startswith("#"):
            continue
        fields = [part.strip() for part in line.split(",")]
        flags = next((int(part[2:], 16) for part in fields[6:] if part.startswith("F=")), 1)
        if not flags & _DISCARDED and fields[2].lstrip("-").isdigit():
            yield _Packet(int(fields[2]), int(fields[3]), bool(flags & 1))


def _borders(packets: list[_Packet]) -> Iterator[int]:
    """Yield where all that comes before is shown before all that comes after, as within open groups it is not.

    There, a number in the order of packets is the same in the order of showing.
    """
    earliest = [inf] * (len(packets) + 1)
    for number in range(len(packets) - 1, -1, -1):
        earliest[number] = min(earliest[number + 1], packets[number].shown)
    latest = -inf
    for number, after in enumerate(earliest):
        if latest < after:
            yield number
        latest = max(latest, packets[number].shown) if number < len(packets) else latest
