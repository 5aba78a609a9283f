"""The picture of a film in segments: a segment is either one scene by itself, or one transition.

Segments are joined without encoding again.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from callsheet.media.rendering.schedule import Schedule, Shot

LONGEST = 20
"""Seconds; longer scenes are cut further, so that all processors have work until the end."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames `start` to `end` (not included) of the film, in which one scene is seen, or two during a transition."""

    start: int
    end: int
    shots: tuple[Shot, ...]

    @property
    def frames(self) -> int:
        """How many pictures it has."""
        return self.end - self.start

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return " and ".join(shot.label for shot in self.shots)


def split_segments(plan: Schedule, *, whole: Container[int] = (), longest: float = LONGEST) -> list[Segment]:
    """Return the segments of the film, in order and without gaps; shots in `whole` are not cut further."""
    most = max(1, round(longest * plan.rate))
    segments: list[Segment] = []
    for number, (shot, following) in enumerate(zip(plan.shots, [*plan.shots[1:], None], strict=True)):
        segments += _alone(shot, shot.frames if number in whole else most)
        if shot.blend_out and following is not None:
            segments.append(Segment(following.start, shot.end, (shot, following)))
    return segments


def _alone(shot: Shot, most: int) -> Iterator[Segment]:
    start, end = shot.start + shot.blend_in, shot.end - shot.blend_out
    parts = -(-(end - start) // most)
    for part in range(parts):
        first, last = (start + (end - start) * n // parts for n in (part, part + 1))
        yield Segment(first, last, (shot,))


def group_segments(numbers: Iterable[int], segments: Sequence[Segment]) -> list[tuple[int, ...]]:
    """Return the numbers of segments to be made, in order, grouped by what one run of FFmpeg makes.

    A transition goes with the piece of the film before it, which is read only once then.
    """
    runs: list[tuple[int, ...]] = []
    for number in sorted(numbers):
        before = number - 1
        if runs and runs[-1] == (before,) and _goes_on(segments[before], segments[number]):
            runs[-1] = (before, number)
        else:
            runs.append((number,))
    return runs


def _goes_on(before: Segment, segment: Segment) -> bool:
    """Tell whether a segment is a transition that begins with the film seen before it."""
    shot = before.shots[-1]
    return len(segment.shots) > 1 and segment.shots[0] is shot and shot.moves


def stem_of(number: int) -> str:
    """Return the name of a segment's file, without its suffix."""
    return f"segment{number:05d}"
