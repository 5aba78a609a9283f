"""Timestamps of SRT and WebVTT."""


def subtitle_timestamp(seconds: float, decimal_mark: str = ".") -> str:
    """Return a time as `hh:mm:ss.mmm`. WebVTT uses a point as the decimal mark, SRT a comma."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}{decimal_mark}{milliseconds % 1000:03d}"
