"""Time codes on preview images."""

from callsheet.media.ffmpeg.progress import format_duration


def timecode(seconds: float) -> str:
    """Return a time as `0:07.5`, or `1:02:05.2` from one hour on."""
    tenths = round(seconds * 10)
    return f"{format_duration(tenths // 10)}.{tenths % 10}"
