"""The FFmpeg command that encodes segments: one filter graph with the scenes and all their layers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path

from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.filters.source_frames import picture_input, picture_stream
from callsheet.media.fonts import FONTS
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering.layers import AssScript, Layer, TextLayer, is_visible, visible_lines
from callsheet.media.rendering.overlay_filters import add_overlay
from callsheet.media.rendering.overlay_placement import OverlayPlacement
from callsheet.media.rendering.scene_filters import Canvas, FrameRange, scene_frames, seek_position, source_time
from callsheet.media.rendering.schedule import Shot
from callsheet.media.rendering.segments import Segment
from callsheet.media.rendering.transition_filters import add_transition
from callsheet.media.subtitles.ass import build_script
from callsheet.media.timeline.overlay import MediaOverlay

_ROUNDING_ERROR = 1e-6
"""Frames by which a time may be off because it was written as a decimal number."""


@dataclass(slots=True)
class FFmpegCommand:
    """One run of FFmpeg."""

    args: list[str]
    """Args after the global flags."""
    scripts: dict[str, str] = field(default_factory=dict)
    """Contents of the files that must be in the working folder, by name."""


def compile_segments(
    segments: Sequence[Segment],
    canvas: Canvas,
    layers: Sequence[Layer],
    encoder: Encoder,
    *,
    threads: int,
    stems: Sequence[str],
) -> FFmpegCommand:
    """Return the command that encodes consecutive segments without audio, each to the MP4 file `<stem>.mp4`.

    `layers` are drawn above the scenes, the last one on top. The encoded segment depends neither on its position in
    the video nor on the other segments of the command, so it stays cached when something before it changes.
    """
    builder = _GraphBuilder(segments, canvas, threads)
    videos = [builder.add_segment(segment, layers, stem) for segment, stem in zip(segments, stems, strict=True)]
    counter_output: list[str] = []
    if len(segments) > 1:
        videos, counter_output = builder.add_frame_counter(videos)
    outputs: list[str] = []
    for segment, video, stem in zip(segments, videos, stems, strict=True):
        final = builder.graph.chain(video, *encoder.last_filters)
        outputs += _output_args(segment, final, canvas, encoder, threads, stem)
    graph = ["-filter_complex", str(builder.graph)]
    args = [*encoder.device_args, "-copyts", *chain.from_iterable(builder.inputs), *graph, *counter_output, *outputs]
    return FFmpegCommand(args, builder.scripts)


def _output_args(segment: Segment, video: str, canvas: Canvas, encoder: Encoder, threads: int, stem: str) -> list[str]:
    return [
        *("-map", f"[{video}]", "-an", "-sn", "-dn"),
        *("-map_metadata", "-1", "-map_chapters", "-1", "-frames:v", str(segment.frames)),
        *("-r", f"{canvas.rate.numerator}/{canvas.rate.denominator}"),
        *encoder.args(rate=canvas.rate, threads=threads, stitchable=True),
        *("-video_track_timescale", str(timescale(canvas.rate)), "-f", "mp4", file_url(Path(f"{stem}.mp4"))),
    ]


def timescale(rate: Fraction) -> int:
    """Return the MP4 timescale (ticks per second) in which every frame lasts a whole number of ticks."""
    return rate.numerator * max(1, -(-10_000 // rate.numerator))


class _GraphBuilder:
    """Builder of the filter graph of consecutive segments. A scene that several of them show is read once."""

    def __init__(self, segments: Sequence[Segment], canvas: Canvas, threads: int) -> None:
        self.graph = FilterGraph()
        self.inputs: list[list[str]] = []
        self.scripts: dict[str, str] = {}
        self._segments = segments
        self._canvas = canvas
        self._threads = threads
        self._scene_streams = self._add_scenes()

    def add_segment(self, segment: Segment, layers: Sequence[Layer], stem: str) -> str:
        """Append the next segment with its layers, and return its stream."""
        video = add_transition(
            self.graph, segment, [next(self._scene_streams) for _ in segment.shots], self._canvas.rate
        )
        for layer in layers:
            if is_visible(layer, segment.start, segment.end, self._canvas.rate):
                video = self._add_layer(video, layer, segment, stem)
        return self.graph.add("trim", video, end_frame=segment.frames)

    def add_frame_counter(self, videos: list[str]) -> tuple[list[str], list[str]]:
        """Append a null output with all frames; return the streams to encode and the args of that output.

        FFmpeg reports the progress of its first output only. So the first output must contain all frames.
        """
        encoded, counted = zip(*(self.graph.split("split", video) for video in videos), strict=True)
        all_frames = self.graph.add("concat", *counted, n=len(counted))
        return list(encoded), ["-map", f"[{all_frames}]", "-f", "null", "-"]

    def _add_scenes(self) -> Iterator[str]:
        """Append the scenes. Yield the stream of each shot of each segment, in order."""
        pairs = [(shot, segment) for segment in self._segments for shot in segment.shots]
        for _, group in groupby(pairs, key=lambda pair: id(pair[0])):
            shots, segments = zip(*group, strict=True)
            yield from self._add_shot(shots[0], segments)

    def _add_shot(self, shot: Shot, segments: Sequence[Segment]) -> Iterator[str]:
        """Append a shot. Yield its stream for each of the segments that show it."""
        start, end = segments[0].start, segments[-1].end
        video = self._add_shot_frames(shot, FrameRange(start - shot.start, end - shot.start))
        if len(segments) == 1:
            yield video
            return
        for part, segment in zip(self.graph.split("split", video, len(segments)), segments, strict=True):
            first, last = segment.start - start, segment.end - start
            trimmed = self.graph.add("trim", part, start_frame=first, end_frame=last)
            yield self.graph.add("setpts", trimmed, expr=f"PTS-{first}")

    def _add_layer(self, video: str, layer: Layer, segment: Segment, stem: str) -> str:
        if isinstance(layer, TextLayer):
            return self._add_text(video, layer, segment, stem)
        if isinstance(layer, AssScript):
            return self._add_script(video, layer.name, segment.start)
        return self._add_overlay(video, layer, segment)

    def _add_shot_frames(self, shot: Shot, frames: FrameRange) -> str:
        stream = ""
        if shot.footage is not None:
            stream = picture_stream(shot.footage, len(self.inputs))
            time = source_time(shot.scene.trim_start, shot.scene.speed, frames.start, self._canvas.rate)
            self._add_input(shot.footage, time)
        return scene_frames(self.graph, stream, shot, frames, self._canvas)

    def _add_input(self, footage: MediaInfo, time: float) -> None:
        seek = None if footage.still else seek_position(footage, time)
        # Without -noaccurate_seek, FFmpeg drops the frame that started before the seek position and is still visible.
        args = ["-threads", str(self._threads), "-noaccurate_seek"]
        args += picture_input(footage, start=seek)
        self.inputs.append(args)

    def _add_overlay(self, video: str, placement: OverlayPlacement, segment: Segment) -> str:
        overlay, footage = placement.overlay, placement.footage
        assert isinstance(overlay, MediaOverlay) and footage is not None  # noqa: S101 - texts are in text layers
        start, end = max(segment.start, placement.start), min(segment.end, placement.end)
        frames = FrameRange(start - placement.start, end - placement.start)
        stream = picture_stream(footage, len(self.inputs))
        self._add_input(footage, source_time(overlay.trim_start, overlay.speed, frames.start, self._canvas.rate))
        return add_overlay(self.graph, video, stream, placement, frames, start - segment.start, self._canvas)

    def _add_text(self, video: str, layer: TextLayer, segment: Segment, stem: str) -> str:
        rate = self._canvas.rate
        lines = visible_lines(layer, segment.start, segment.end, rate)
        # Lines keep their full length, because their animations depend on it. Times are relative to the first line,
        # so that the script does not depend on the position of the segment in the video.
        origin = min(segment.start, math.floor(min(line.start for line in lines) * rate + _ROUNDING_ERROR))
        offset = float(origin / rate)
        moved = [line.shifted(-offset) for line in lines]
        name = f"{stem}-{len(self.scripts)}.ass"
        self.scripts[name] = build_script(moved, width=self._canvas.width, height=self._canvas.height)
        return self._add_script(video, name, segment.start - origin)

    def _add_script(self, video: str, name: str, start: int) -> str:
        """Append the filter that draws an ASS script. `start` is the frame of the script at the segment's start."""
        options = {"filename": name, "fontsdir": str(FONTS)}
        if start == 0:
            return self.graph.add("subtitles", video, **options)
        video = self.graph.add("setpts", video, expr=f"PTS+{start}")
        video = self.graph.add("subtitles", video, **options)
        return self.graph.add("setpts", video, expr=f"PTS-{start}")
