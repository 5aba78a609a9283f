"""Segments of a video: each one shows one scene, or one transition between two scenes.

Segments are encoded independently and joined without another encode.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from callsheet.media.rendering.schedule import Schedule, Shot

MAX_SEGMENT_SECONDS = 20
"""Maximum length of a segment. Longer scenes are split, so that all cores are busy until the end."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames `start` to `end` (not included) of the video. It has one shot, or two during a transition."""

    start: int
    end: int
    shots: tuple[Shot, ...]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.end - self.start

    @property
    def label(self) -> str:
        """Its name in messages."""
        return " and ".join(shot.label for shot in self.shots)


def split_segments(
    schedule: Schedule, *, unsplit: Container[int] = (), max_seconds: float = MAX_SEGMENT_SECONDS
) -> list[Segment]:
    """Return the segments of the video, in order and without gaps.

    Shots are split at `max_seconds`, except those whose indexes are in `unsplit`.
    """
    max_frames = max(1, round(max_seconds * schedule.rate))
    segments: list[Segment] = []
    for number, (shot, following) in enumerate(zip(schedule.shots, [*schedule.shots[1:], None], strict=True)):
        segments += _split_shot(shot, shot.frames if number in unsplit else max_frames)
        if shot.blend_out and following is not None:
            segments.append(Segment(following.start, shot.end, (shot, following)))
    return segments


def _split_shot(shot: Shot, max_frames: int) -> Iterator[Segment]:
    """Yield segments of about equal length for the part of a shot outside its transitions."""
    start, end = shot.start + shot.blend_in, shot.end - shot.blend_out
    parts = -(-(end - start) // max_frames)
    for part in range(parts):
        first, last = (start + (end - start) * n // parts for n in (part, part + 1))
        yield Segment(first, last, (shot,))


def group_segments(numbers: Iterable[int], segments: Sequence[Segment]) -> list[tuple[int, ...]]:
    """Return the numbers of segments to encode, in order, grouped by FFmpeg command.

    A transition is encoded together with the segment before it, so that their common source is decoded only once.
    """
    groups: list[tuple[int, ...]] = []
    for number in sorted(numbers):
        before = number - 1
        if groups and groups[-1] == (before,) and _continues(segments[before], segments[number]):
            groups[-1] = (before, number)
        else:
            groups.append((number,))
    return groups


def _continues(before: Segment, segment: Segment) -> bool:
    """Return whether a segment is a transition out of the video that the segment before shows."""
    shot = before.shots[-1]
    return len(segment.shots) > 1 and segment.shots[0] is shot and shot.is_video


def segment_stem(number: int) -> str:
    """Return the file name of a segment without its suffix."""
    return f"segment{number:05d}"
