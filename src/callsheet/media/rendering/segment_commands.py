"""The FFmpeg command that makes segments, each by one encode with everything that is seen in it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path

from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.fonts import FONTS
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.layers import Layer
from callsheet.media.rendering.overlay_filters import add_overlay
from callsheet.media.rendering.overlays import Above, AssScript, TextLayer, is_seen, lines_seen
from callsheet.media.rendering.scene_filters import Canvas, Span, film_frames, moment_of, seek_before
from callsheet.media.rendering.schedule import Shot
from callsheet.media.rendering.segments import Segment
from callsheet.media.subtitles.ass import build_script
from callsheet.media.timeline.overlay import PictureOverlay

_NO_TIME = 1e-6
"""Frames by which a time may be off for its being written as a decimal number."""


@dataclass(slots=True)
class FFmpegCommand:
    """What a run of FFmpeg has to do."""

    args: list[str]
    """They follow its global flags."""
    scripts: dict[str, str] = field(default_factory=dict)
    """Files to be written into the folder that it runs in, by name."""


def compile_segments(
    run: Sequence[Segment],
    canvas: Canvas,
    above: Sequence[Above],
    encoder: Encoder,
    *,
    threads: int,
    stems: Sequence[str],
) -> FFmpegCommand:
    """Return what makes FFmpeg write segments that follow each other, without sound, each as the MP4 `<stem>.mp4`.

    `above` lies over the scenes, the last on top. Nothing in the outcome depends on where in the film a segment
    stands, so that what did not change is known again when something before it did; nor on what is made with it.
    """
    drawing = _Drawing(run, canvas, threads)
    pictures = [drawing.picture(segment, above, stem) for segment, stem in zip(run, stems, strict=True)]
    counting: list[str] = []
    if len(run) > 1:
        pictures, counting = drawing.counted(pictures)
    outputs: list[str] = []
    for segment, picture, stem in zip(run, pictures, stems, strict=True):
        last = drawing.graph.chain(picture, *encoder.last_filters)
        outputs += _writing(segment, last, canvas, encoder, threads, stem)
    graph = ["-filter_complex", str(drawing.graph)]
    arguments = [*encoder.device, "-copyts", *chain.from_iterable(drawing.inputs), *graph, *counting, *outputs]
    return FFmpegCommand(arguments, drawing.scripts)


def _writing(segment: Segment, picture: str, canvas: Canvas, encoder: Encoder, threads: int, stem: str) -> list[str]:
    return [
        *("-map", f"[{picture}]", "-an", "-sn", "-dn"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-frames:v", str(segment.frames)),
        *("-r", f"{canvas.rate.numerator}/{canvas.rate.denominator}"),
        *encoder.args(rate=canvas.rate, threads=threads, stitched=True),
        *("-video_track_timescale", str(time_scale(canvas.rate)), "-f", "mp4", file_url(Path(f"{stem}.mp4"))),
    ]


def time_scale(rate: Fraction) -> int:
    """Return the ticks per second of the output, of which every frame lasts a whole number."""
    return rate.numerator * max(1, -(-10_000 // rate.numerator))


class _Drawing:
    """Segments being put together that follow each other; a scene that several of them show is read once."""

    def __init__(self, run: Sequence[Segment], canvas: Canvas, threads: int) -> None:
        self.graph = FilterGraph()
        self.inputs: list[list[str]] = []
        self.scripts: dict[str, str] = {}
        self._run = run
        self._canvas = canvas
        self._threads = threads
        self._views = self._scenes()

    def picture(self, segment: Segment, above: Sequence[Above], stem: str) -> str:
        """Append the picture of the next segment."""
        picture = self._passing(segment, [next(self._views) for _ in segment.shots])
        for thing in above:
            if is_seen(thing, segment.start, segment.end, self._canvas.rate):
                picture = self._add(picture, thing, segment, stem)
        return self.graph.add("trim", picture, end_frame=segment.frames)

    def counted(self, pictures: list[str]) -> tuple[list[str], list[str]]:
        """Append what counts the frames of all pictures; return these, and the words of an output to nowhere.

        FFmpeg tells of its first output only how far it is.
        """
        written, counted = zip(*(self.graph.split("split", picture) for picture in pictures), strict=True)
        whole = self.graph.add("concat", *counted, n=len(counted))
        return list(written), ["-map", f"[{whole}]", "-f", "null", "-"]

    def _scenes(self) -> Iterator[str]:
        """Append the scenes, and give the views of one segment after the other."""
        seen = [(shot, segment) for segment in self._run for shot in segment.shots]
        for _, views in groupby(seen, key=lambda view: id(view[0])):
            shots, showing = zip(*views, strict=True)
            yield from self._views_of(shots[0], showing)

    def _views_of(self, shot: Shot, showing: Sequence[Segment]) -> Iterator[str]:
        start, end = showing[0].start, showing[-1].end
        picture = self._view(shot, Span(start - shot.start, end - shot.start))
        if len(showing) == 1:
            yield picture
            return
        for part, segment in zip(self.graph.split("split", picture, len(showing)), showing, strict=True):
            first, last = segment.start - start, segment.end - start
            trimmed = self.graph.add("trim", part, start_frame=first, end_frame=last)
            yield self.graph.add("setpts", trimmed, expr=f"PTS-{first}")

    def _passing(self, segment: Segment, views: Sequence[str]) -> str:
        """Append the passing from one scene to the other, if there are two."""
        if len(views) == 1:
            return views[0]
        passing = segment.shots[0].scene.passing
        assert passing is not None  # noqa: S101 - two scenes share a segment only during a transition
        duration = float(segment.frames / self._canvas.rate)
        return self.graph.add("xfade", *views, transition=passing.type, duration=duration, offset=0)

    def _add(self, picture: str, thing: Above, segment: Segment, stem: str) -> str:
        """Append something that lies above."""
        if isinstance(thing, TextLayer):
            return self._letter(picture, thing, segment, stem)
        if isinstance(thing, AssScript):
            return self._draw_script(picture, thing.name, segment.start)
        return self._cover(picture, thing, segment)

    def _view(self, shot: Shot, span: Span) -> str:
        stream = f"{len(self.inputs)}:v:0"
        if shot.footage is not None:
            moment = moment_of(shot.scene.trim_start, shot.scene.speed, span.first, self._canvas.rate)
            self._read(shot.footage, moment)
        return film_frames(self.graph, stream, shot, span, self._canvas)

    def _read(self, footage: MediaInfo, moment: float) -> None:
        seek = None if footage.still else seek_before(footage, moment)
        # Without -noaccurate_seek the picture that is still on the screen at the moment is dropped.
        words = ["-threads", str(self._threads), "-noaccurate_seek"]
        words += ["-c:v", footage.decoder] if footage.decoder else []
        words += media_input(footage.path, start=seek)
        self.inputs.append(words)

    def _cover(self, picture: str, layer: Layer, segment: Segment) -> str:
        overlay = layer.overlay
        assert isinstance(overlay, PictureOverlay) and layer.footage is not None  # noqa: S101 - texts are lettered
        start, end = max(segment.start, layer.start), min(segment.end, layer.end)
        span = Span(start - layer.start, end - layer.start)
        stream = f"{len(self.inputs)}:v:0"
        self._read(layer.footage, moment_of(overlay.trim_start, overlay.speed, span.first, self._canvas.rate))
        return add_overlay(self.graph, picture, stream, layer, span, start - segment.start, self._canvas)

    def _letter(self, picture: str, lettering: TextLayer, segment: Segment, stem: str) -> str:
        rate = self._canvas.rate
        seen = lines_seen(lettering, segment.start, segment.end, rate)
        # Lines keep their whole length, for the sake of what moves in them, and their distance from the segment.
        base = min(segment.start, math.floor(min(line.start for line in seen) * rate + _NO_TIME))
        before = float(base / rate)
        moved = [line.shifted(-before) for line in seen]
        name = f"{stem}-{len(self.scripts)}.ass"
        self.scripts[name] = build_script(moved, width=self._canvas.width, height=self._canvas.height)
        return self._draw_script(picture, name, segment.start - base)

    def _draw_script(self, picture: str, name: str, ahead: int) -> str:
        """Append the drawing of a script whose time is some frames ahead of the segment's."""
        drawn = {"filename": name, "fontsdir": str(FONTS)}
        if ahead == 0:
            return self.graph.add("subtitles", picture, **drawn)
        picture = self.graph.add("setpts", picture, expr=f"PTS+{ahead}")
        picture = self.graph.add("subtitles", picture, **drawn)
        return self.graph.add("setpts", picture, expr=f"PTS-{ahead}")
