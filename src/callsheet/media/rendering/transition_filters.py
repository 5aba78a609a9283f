"""Filters of transitions between scenes, such as the cross-fade: FFmpeg's xfade."""

from collections.abc import Sequence
from fractions import Fraction

from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.rendering.segments import Segment


def add_transition(graph: FilterGraph, segment: Segment, streams: Sequence[str], rate: Fraction) -> str:
    """Append the transition between the two scenes of a segment, and return the stream; one scene stays as it is."""
    if len(streams) == 1:
        return streams[0]
    transition = segment.shots[0].scene.effective_transition
    assert transition is not None  # noqa: S101 - two scenes share a segment only during a transition
    duration = float(segment.frames / rate)
    return graph.add("xfade", *streams, transition=transition.type, duration=duration, offset=0)
