"""Files that are cut off: their header states more than they contain."""

from dataclasses import replace

from callsheet.media.ffmpeg.inputs import demuxer_options
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Stream
from callsheet.media.probing.truncation import truncation

_MIN_MISSING = 0.25
"""Seconds. Less is rounding, or the last frame of another stream."""
_MISSING_SHARE = 0.01


def cut_off_notes(media: MediaInfo) -> list[str]:
    """Return a note if a part of a file is missing at its end. It must have been probed to its end."""
    if is_cut_off(media):
        stated = media.probe.duration or 0.0
        return [f"'{media.path.name}' is cut off: it has {stated - media.missing:.1f} of {stated:.1f} s"]
    missing = truncation(media.path) if not media.still and not demuxer_options(media.path) else None
    return [f"'{media.path.name}' is cut off: {missing}"] if missing else []


def is_cut_off(media: MediaInfo) -> bool:
    """Return whether a noticeable part of a file is missing at its end. It must have been probed to its end."""
    frame = 1 / media.probe.fps if media.probe.fps else 0.0
    return media.missing > max(_MIN_MISSING, _MISSING_SHARE * (media.probe.duration or 0.0), 1.5 * frame)


def without_missing_part(media: MediaInfo) -> MediaInfo:
    """Return a file with the durations of what is there."""
    if not is_cut_off(media):
        return media
    seconds = max(0.0, (media.probe.duration or 0.0) - media.missing)

    def shorten(stream: Stream) -> Stream:
        duration = None if stream.duration is None else min(stream.duration, seconds)
        return stream.model_copy(update={"duration": duration, "frames": None})

    return replace(
        media,
        probe=media.probe.model_copy(update={"duration": seconds, "frames": 1 if media.still else None}),
        video_seconds=None if media.video_seconds is None else min(media.video_seconds, seconds),
        streams=tuple(shorten(stream) for stream in media.streams),
    )
