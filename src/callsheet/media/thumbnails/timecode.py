"""Time codes on preview images."""

from callsheet.media.ffmpeg.progress import clock


def timecode(seconds: float) -> str:
    """Return a time as `0:07.5`, or `1:02:05.2` from one hour on."""
    tenths = round(seconds * 10)
    return f"{clock(tenths // 10)}.{tenths % 10}"
