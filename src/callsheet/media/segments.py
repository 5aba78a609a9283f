"""The picture of a film in pieces, each made by one encode with everything that is seen in it.

A piece is either one scene by itself or one transition. Pieces are joined without encoding again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from callsheet.media.encoders import Encoder
from callsheet.media.fonts import FONTS
from callsheet.media.graph import Graph
from callsheet.media.inputs import media_input
from callsheet.media.picture import Canvas, film_frames, seek_before
from callsheet.media.schedule import Schedule, Shot

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


@dataclass(frozen=True, slots=True)
class Script:
    """A subtitle script in the folder that FFmpeg runs in, with the times at which it shows something."""

    name: str
    shown: tuple[tuple[float, float], ...] | None = None
    """None: unknown, so it is drawn everywhere."""

    def shows_between(self, start: float, end: float) -> bool:
        """Tell whether anything of it is seen."""
        return self.shown is None or any(begin < end and start < finish for begin, finish in self.shown)


def cut(plan: Schedule, *, longest: float = LONGEST) -> list[Segment]:
    """Return the pieces of the film, in order and without gaps."""
    most = max(1, round(longest * plan.rate))
    pieces: list[Segment] = []
    for shot, following in zip(plan.shots, [*plan.shots[1:], None], strict=True):
        pieces += _alone(shot, most)
        if shot.blend_out and following is not None:
            pieces.append(Segment(following.start, shot.end, (shot, following)))
    return pieces


def _alone(shot: Shot, most: int) -> Iterator[Segment]:
    start, end = shot.start + shot.blend_in, shot.end - shot.blend_out
    parts = -(-(end - start) // most)
    for part in range(parts):
        first, last = (start + (end - start) * n // parts for n in (part, part + 1))
        yield Segment(first, last, (shot,))


def arguments(
    segment: Segment,
    canvas: Canvas,
    scripts: Sequence[Script],
    encoder: Encoder,
    *,
    threads: int,
    output: str,
) -> list[str]:
    """Return the words that make FFmpeg write one piece, without sound, as an MP4 named `output`."""
    graph = Graph()
    inputs: list[list[str]] = []
    views: list[str] = []
    for shot in segment.shots:
        first = segment.start - shot.start
        views.append(film_frames(graph, f"{len(inputs)}:v:0", shot, first, first + segment.frames, canvas))
        if shot.footage is not None:
            seek = seek_before(shot, first, canvas.rate) if shot.moves else None
            # Without -noaccurate_seek the picture that is still on the screen at the moment is dropped.
            inputs.append(["-threads", str(threads), "-noaccurate_seek", *media_input(shot.footage.path, start=seek)])
    picture = views[0] if len(views) == 1 else _blended(graph, views, segment, canvas.rate)
    picture = _with_text(graph, picture, segment, scripts, canvas.rate)
    picture = graph.chain(picture, ("format", {"pix_fmts": "yuv420p"}), ("trim", {"end_frame": segment.frames}))
    return [
        *("-copyts", "-start_at_zero"),
        *chain.from_iterable(inputs),
        *("-filter_complex", str(graph), "-map", f"[{picture}]", "-an", "-sn", "-dn"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-frames:v", str(segment.frames)),
        *("-r", f"{canvas.rate.numerator}/{canvas.rate.denominator}"),
        *encoder.words(rate=canvas.rate, threads=threads),
        *("-video_track_timescale", str(time_scale(canvas.rate)), "-f", "mp4", f"file:{output}"),
    ]


def time_scale(rate: Fraction) -> int:
    """Return the ticks per second of the output, of which every frame lasts a whole number."""
    return rate.numerator * max(1, -(-10_000 // rate.numerator))


def _blended(graph: Graph, views: list[str], segment: Segment, rate: Fraction) -> str:
    passing = segment.shots[0].scene.passing
    assert passing is not None  # noqa: S101 - two scenes share a piece only during a transition
    duration = float(segment.frames / rate)
    return graph.add("xfade", *views, transition=passing.type, duration=duration, offset=0)


def _with_text(graph: Graph, picture: str, segment: Segment, scripts: Sequence[Script], rate: Fraction) -> str:
    start, end = float(segment.start / rate), float(segment.end / rate)
    seen = [script for script in scripts if script.shows_between(start, end)]
    if not seen:
        return picture
    # Scripts tell the time of the film, not of the piece.
    picture = graph.add("setpts", picture, expr=f"PTS+{segment.start}")
    for script in seen:
        picture = graph.add("subtitles", picture, filename=script.name, fontsdir=str(FONTS))
    return graph.add("setpts", picture, expr=f"PTS-{segment.start}")
