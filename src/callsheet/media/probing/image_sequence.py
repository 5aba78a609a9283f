"""The tracks of an animated AVIF or HEIC (an image sequence of ISO 23008-12).

Such a file also has a still image for viewers without animation, which the demuxer lists as a stream before the tracks.
Its alpha channel is a track of its own.
"""

from pathlib import Path
from typing import NamedTuple

from av.container import InputContainer
from av.video.stream import VideoStream

from callsheet.media.probing.mp4_boxes import auxiliary_tracks

_BRANDS = frozenset({"avis", "msf1", "hevc", "hevx"})


class SequenceTracks(NamedTuple):
    """The streams of an animation."""

    color: VideoStream
    alpha: VideoStream | None


def sequence_tracks(container: InputContainer) -> SequenceTracks | None:
    """Return the tracks of an animated AVIF or HEIC; None for any other file."""
    if container.metadata.get("major_brand", "") not in _BRANDS:
        return None
    auxiliary = auxiliary_tracks(Path(container.name.removeprefix("file:")))
    tracks = [stream for stream in container.streams.video if stream.duration]  # a still image has none
    color = next((stream for stream in tracks if stream.id not in auxiliary), None)
    alpha = next((stream for stream in tracks if stream.id in auxiliary), None)
    return None if color is None else SequenceTracks(color, alpha)
