"""The picture of a film in segments, each made by one encode with everything that is seen in it.

A segment is either one scene by itself or one transition. Segments are joined without encoding again.
"""

import hashlib
import json
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path

from callsheet.media.edit.overlay import PictureOverlay
from callsheet.media.encoders import Encoder
from callsheet.media.film.covering import covered
from callsheet.media.film.layers import Layer
from callsheet.media.film.picture import Canvas, Span, film_frames, moment_of, seek_before
from callsheet.media.film.schedule import Schedule, Shot
from callsheet.media.fonts import FONTS
from callsheet.media.graph import Graph
from callsheet.media.inputs import file_url, media_input
from callsheet.media.probe import Footage
from callsheet.media.text.ass import Line, script

LONGEST = 20
"""Seconds; longer scenes are cut further, so that all processors have work until the end."""

_NO_TIME = 1e-6
"""Frames by which a time may be off for its being written as a decimal number."""

_RECIPE = 1
"""Part of every key: raise it when equal arguments come to make another picture."""


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


@dataclass(frozen=True, slots=True)
class Lettering:
    """Texts at one height above the scenes. Times are seconds of the film."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class GivenScript:
    """A subtitle script that somebody made, in the folder that FFmpeg runs in; it is drawn as it is."""

    name: str
    digest: str
    """Of its contents."""
    shown: tuple[tuple[float, float], ...]
    """The seconds of the film at which it shows something."""


Above = Layer | Lettering | GivenScript
"""Something that lies over the scenes."""


@dataclass(slots=True)
class Work:
    """What FFmpeg has to do for one segment."""

    arguments: list[str]
    """They follow its global flags."""
    scripts: dict[str, str] = field(default_factory=dict)
    """Files to be written into the folder that it runs in, by name."""


def cut(plan: Schedule, *, whole: Container[int] = (), longest: float = LONGEST) -> list[Segment]:
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


def is_seen(thing: Above, start: int, end: int, rate: Fraction) -> bool:
    """Tell whether something that lies above is seen between two frames."""
    if isinstance(thing, Layer):
        return thing.start < end and start < thing.end
    if isinstance(thing, Lettering):
        return bool(_seen(thing, start, end, rate))
    return any(begin * rate < end and start < finish * rate for begin, finish in thing.shown)


def _seen(lettering: Lettering, start: int, end: int, rate: Fraction) -> list[Line]:
    first, last = float(start / rate), float(end / rate)
    return [line for line in lettering.lines if line.start < last and first < line.end]


def compiled(
    segment: Segment, canvas: Canvas, above: Sequence[Above], encoder: Encoder, *, threads: int, stem: str
) -> Work:
    """Return what makes FFmpeg write one segment, without sound, as the MP4 `<stem>.mp4`.

    `above` lies over the scenes, the last on top. Nothing in the outcome depends on where in the film the segment
    stands, so that what did not change is known again when something before it did.
    """
    drawing = _Drawing(segment, canvas, threads, stem)
    picture = drawing.scenes()
    for thing in above:
        picture = drawing.add(picture, thing)
    graph = drawing.graph
    picture = graph.chain(picture, ("trim", {"end_frame": segment.frames}), *encoder.last_filters)
    arguments = [
        *encoder.device,
        "-copyts",
        *chain.from_iterable(drawing.inputs),
        *("-filter_complex", str(graph), "-map", f"[{picture}]", "-an", "-sn", "-dn"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-frames:v", str(segment.frames)),
        *("-r", f"{canvas.rate.numerator}/{canvas.rate.denominator}"),
        *encoder.words(rate=canvas.rate, threads=threads, stitched=True),
        *("-video_track_timescale", str(time_scale(canvas.rate)), "-f", "mp4", file_url(Path(f"{stem}.mp4"))),
    ]
    return Work(arguments, drawing.scripts)


def digest(
    segment: Segment,
    canvas: Canvas,
    above: Sequence[Above],
    encoder: Encoder,
    ffmpeg: str,
    contents: Mapping[Path, str],
) -> str:
    """Return what identifies the outcome of a segment: equal digests, equal pictures.

    `ffmpeg` is its version; `contents` are the digests of all files in use.
    """
    work = compiled(segment, canvas, above, encoder, threads=1, stem="segment")
    known = {file_url(path): told for path, told in contents.items()}
    arguments = [known.get(word, word) for word in work.arguments]
    given = [thing.digest for thing in above if isinstance(thing, GivenScript) and thing.name in str(arguments)]
    told = json.dumps([_RECIPE, ffmpeg, arguments, sorted(work.scripts.items()), given])
    return hashlib.sha256(told.encode()).hexdigest()


def time_scale(rate: Fraction) -> int:
    """Return the ticks per second of the output, of which every frame lasts a whole number."""
    return rate.numerator * max(1, -(-10_000 // rate.numerator))


class _Drawing:
    """One segment being put together."""

    def __init__(self, segment: Segment, canvas: Canvas, threads: int, stem: str) -> None:
        self.graph = Graph()
        self.inputs: list[list[str]] = []
        self.scripts: dict[str, str] = {}
        self._segment = segment
        self._canvas = canvas
        self._threads = threads
        self._stem = stem

    def scenes(self) -> str:
        """Append the scenes that are seen, passing from one to the other if there are two."""
        views = [self._view(shot) for shot in self._segment.shots]
        if len(views) == 1:
            return views[0]
        passing = self._segment.shots[0].scene.passing
        assert passing is not None  # noqa: S101 - two scenes share a segment only during a transition
        duration = float(self._segment.frames / self._canvas.rate)
        return self.graph.add("xfade", *views, transition=passing.type, duration=duration, offset=0)

    def add(self, picture: str, thing: Above) -> str:
        """Append something that lies above, if it is seen in this segment."""
        if not is_seen(thing, self._segment.start, self._segment.end, self._canvas.rate):
            return picture
        if isinstance(thing, Lettering):
            return self._letter(picture, thing)
        if isinstance(thing, GivenScript):
            return self._draw_script(picture, thing.name, self._segment.start)
        return self._cover(picture, thing)

    def _view(self, shot: Shot) -> str:
        first = self._segment.start - shot.start
        span = Span(first, first + self._segment.frames)
        stream = f"{len(self.inputs)}:v:0"
        if shot.footage is not None:
            moment = moment_of(shot.scene.trim_start, shot.scene.speed, first, self._canvas.rate)
            self._read(shot.footage, moment)
        return film_frames(self.graph, stream, shot, span, self._canvas)

    def _read(self, footage: Footage, moment: float) -> None:
        seek = None if footage.still else seek_before(footage, moment)
        # Without -noaccurate_seek the picture that is still on the screen at the moment is dropped.
        words = ["-threads", str(self._threads), "-noaccurate_seek"]
        words += ["-c:v", footage.decoder] if footage.decoder else []
        words += media_input(footage.path, start=seek)
        self.inputs.append(words)

    def _cover(self, picture: str, layer: Layer) -> str:
        segment, overlay = self._segment, layer.overlay
        assert isinstance(overlay, PictureOverlay) and layer.footage is not None  # noqa: S101 - texts are lettered
        start, end = max(segment.start, layer.start), min(segment.end, layer.end)
        span = Span(start - layer.start, end - layer.start)
        stream = f"{len(self.inputs)}:v:0"
        self._read(layer.footage, moment_of(overlay.trim_start, overlay.speed, span.first, self._canvas.rate))
        return covered(self.graph, picture, stream, layer, span, start - segment.start, self._canvas)

    def _letter(self, picture: str, lettering: Lettering) -> str:
        rate, segment = self._canvas.rate, self._segment
        seen = _seen(lettering, segment.start, segment.end, rate)
        # Lines keep their whole length, for the sake of what moves in them, and their distance from the segment.
        base = min(segment.start, math.floor(min(line.start for line in seen) * rate + _NO_TIME))
        before = float(base / rate)
        moved = [line.moved(-before) for line in seen]
        name = f"{self._stem}-{len(self.scripts)}.ass"
        self.scripts[name] = script(moved, width=self._canvas.width, height=self._canvas.height)
        return self._draw_script(picture, name, segment.start - base)

    def _draw_script(self, picture: str, name: str, ahead: int) -> str:
        """Append the drawing of a script whose time is some frames ahead of the segment's."""
        drawn = {"filename": name, "fontsdir": str(FONTS)}
        if ahead == 0:
            return self.graph.add("subtitles", picture, **drawn)
        picture = self.graph.add("setpts", picture, expr=f"PTS+{ahead}")
        picture = self.graph.add("subtitles", picture, **drawn)
        return self.graph.add("setpts", picture, expr=f"PTS-{ahead}")
