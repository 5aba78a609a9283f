"""The frames of a video in presentation order, listed without decoding."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import inf

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.ffmpeg.progress import format_duration, is_overrun
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import MediaInfo

_DISCARDED = 0x4
_LIST_TIMEOUT = 3600.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The times of all frames, from 0 for the first, and the frames at which the video can be cut."""

    times: tuple[Fraction, ...]
    """Presentation times in seconds."""
    length: Fraction
    """Seconds to the end of the last frame."""
    key_frames: tuple[int, ...]
    """Numbers of the key frames that a part can start with, without frames from before."""
    clean_ends: tuple[int, ...]
    """Frame counts after which the video can be cut off without losing an earlier frame."""
    packets: Mapping[int, int] = field(default_factory=dict)
    """Packets before each of the clean ends, if there are more packets than frames."""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def longest_frame(self) -> float:
        """Seconds for which a frame is shown at most."""
        return float(max(after - before for before, after in pairwise((*self.times, self.length))))

    @property
    def last_frame(self) -> float:
        """Seconds for which the last frame is shown."""
        return float(self.length - self.times[-1])

    def nearest(self, time: float) -> int:
        """Return the number of the frame that starts nearest to a time. The end of the video counts as a frame."""
        borders = (*self.times, self.length)
        after = min(bisect_left(borders, time), len(borders) - 1)
        before = max(0, after - 1)
        return before if time - borders[before] <= borders[after] - time else after

    def nearest_key_frame(self, time: float) -> int:
        """Return the number of the key frame nearest to a time that a part can start with."""
        return min(self.key_frames, key=lambda number: abs(self.times[number] - Fraction(time)), default=0)

    def nearest_end(self, time: float) -> int:
        """Return the number of frames to keep so that the video ends near a time."""
        return min(self.clean_ends, key=lambda number: abs(self.time_of(number) - Fraction(time)))

    def packets_before(self, frame: int) -> int:
        """Return the number of packets of the frames before one of the clean ends."""
        return self.packets.get(frame, frame)

    def time_of(self, frame: int) -> Fraction:
        """Return the start time of a frame. For the number after the last frame, it is the end of the video."""
        return self.times[frame] if frame < len(self.times) else self.length


@dataclass(frozen=True, slots=True)
class _Packet:
    pts: int
    duration: int
    is_key: bool


async def read_frame_index(ffmpeg: FFmpeg, media: MediaInfo) -> FrameIndex:
    """Return the frame index of a video.

    Raises FFmpegFailed if the file has no timestamps, or is far longer than its stated duration.
    """
    # Of two fields in two packets, only the decoder knows that they belong together.
    packets, time_base = await _list_packets(ffmpeg, media, decode=media.field_coded)
    order = sorted(range(len(packets)), key=lambda number: packets[number].pts)
    first, last = packets[order[0]], packets[order[-1]]
    # The last of two fields would last half as long.
    last_frame = 1 / media.rate if media.field_coded else last.duration * time_base
    length = (last.pts - first.pts) * time_base + last_frame or 1 / media.rate
    _check_length(media, float(length))
    times = tuple((packets[number].pts - first.pts) * time_base for number in order)
    if media.field_coded:
        counts = _field_cuts(times, *await _list_packets(ffmpeg, media, decode=False))
        return FrameIndex(times, length, (), tuple(counts), counts)
    cuts = [*_cut_points(packets)]
    key_frames = tuple(number for number in cuts if number < len(packets) and packets[number].is_key)
    return FrameIndex(times, length, key_frames, tuple(number for number in cuts if number))


def _check_length(media: MediaInfo, length: float) -> None:
    stated = media.video_seconds or media.probe.duration or 0.0
    if is_overrun(length, stated):
        message = f"its video lasts {format_duration(length)}, but it states a duration of {format_duration(stated)}"
        raise FFmpegFailed(f"'{media.path.name}': {message}")


def _field_cuts(times: Sequence[Fraction], packets: list[_Packet], time_base: Fraction) -> dict[int, int]:
    """Return the frame counts after which a video of fields can be cut off, each with its number of packets."""
    tolerance = (times[1] - times[0]) / 4 if len(times) > 1 else Fraction(0)
    first = min(packet.pts for packet in packets)
    counts = {len(times): len(packets)}
    for number in _cut_points(packets):
        if not 0 < number < len(packets):
            continue
        time = (packets[number].pts - first) * time_base
        frame = bisect_left(times, time - tolerance)
        if 0 < frame < len(times) and abs(times[frame] - time) <= tolerance:
            counts[frame] = number
    return counts


async def _list_packets(ffmpeg: FFmpeg, media: MediaInfo, *, decode: bool) -> tuple[list[_Packet], Fraction]:
    """Return the packets of a video in decoding order, or its decoded frames, and the seconds of a tick.

    Raises FFmpegFailed if they have no timestamps.
    """
    assert media.video_index is not None  # noqa: S101 - it was probed as a video
    # genpts: program streams do not store a timestamp for each frame.
    args = ["-fflags", "+genpts", *media_input(media.path), "-map", f"0:{media.video_index}"]
    if decode:
        args += ["-fps_mode", "passthrough", "-vf", "scale=16:16", "-enc_time_base", "1/90000"]
    else:
        args += ["-c", "copy"]
    args += ["-f", "framecrc", "-"]
    captured = await ffmpeg.capture(args, timeout=_LIST_TIMEOUT)
    lines = captured.stdout.decode("ascii", "replace").splitlines()
    time_base = next((Fraction(line.split(":", 1)[1].strip()) for line in lines if line.startswith("#tb 0:")), None)
    packets = [*_parse_packets(lines)]
    if time_base is None or not packets:
        raise FFmpegFailed(f"'{media.path.name}': the video has no timestamps")
    return packets, time_base


def _parse_packets(lines: list[str]) -> Iterator[_Packet]:
    """Parse lines of `stream, dts, pts, duration, size, checksum[, F=0x…]`. Without flags it is a key frame."""
    for line in lines:
        if line.startswith("#"):
            continue
        fields = [part.strip() for part in line.split(",")]
        flags = next((int(part[2:], 16) for part in fields[6:] if part.startswith("F=")), 1)
        if not flags & _DISCARDED and fields[2].lstrip("-").isdigit():
            yield _Packet(int(fields[2]), int(fields[3]), bool(flags & 1))


def _cut_points(packets: list[_Packet]) -> Iterator[int]:
    """Yield the packet numbers before which all earlier packets are presented before all later ones.

    Inside an open GOP there are none. At a cut point, the decode order number equals the presentation order number.
    """
    earliest = [inf] * (len(packets) + 1)
    for number in range(len(packets) - 1, -1, -1):
        earliest[number] = min(earliest[number + 1], packets[number].pts)
    latest = -inf
    for number, following in enumerate(earliest):
        if latest < following:
            yield number
        latest = max(latest, packets[number].pts) if number < len(packets) else latest
