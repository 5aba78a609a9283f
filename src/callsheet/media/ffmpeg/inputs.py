"""FFmpeg arguments for untrusted input files."""

from pathlib import Path

MEDIA_FORMATS = (
    "mov,matroska,mpegts,mpeg,avi,flv,asf,mxf,ivf,gif,apng,yuv4mpegpipe,"
    "wav,w64,mp3,ogg,flac,aac,aiff,amr,ac3,eac3,caf,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,jpegxl_pipe,exr_pipe"
)
"""Allowed demuxers: containers that hold only media. Playlist formats are excluded, because they make FFmpeg open
other files and URLs. FFmpeg detects them by content, whatever the file name."""

_JPEG = b"\xff\xd8\xff"
_DECODER_LEAD = 0.5
"""Seconds."""
_WAV_HEAD = 4096
"""Bytes in which the chunks of a WAV before its samples are expected."""
_NO_LENGTH = 1_500_000_000
"""Bytes. A WAV that states more, and has less than half of it, was not cut off: its length was unknown."""

MAX_PIXELS = 100_000_000
"""Limit of width times height: a small file can decompress into all of the memory."""


def media_input(path: Path, *, start: float | None = None, length: float | None = None) -> list[str]:
    """Return the arguments for one input file, read from `start` for `length` seconds (None: to the end)."""
    return [
        *("-protocol_whitelist", "file,pipe"),
        *("-format_whitelist", MEDIA_FORMATS),
        *("-max_pixels", str(MAX_PIXELS)),
        *(("-f", demuxer) if (demuxer := forced_demuxer(path)) else ()),
        *(part for name, value in demuxer_options(path).items() for part in (f"-{name}", value)),
        *(("-ss", f"{start:.6f}") if start else ()),
        *(("-t", f"{length:.6f}") if length is not None else ()),
        *("-i", file_url(path)),
    ]


def audio_input(path: Path, start: float, length: float | None = None) -> tuple[list[str], float]:
    """Return the arguments that read audio from `start` seconds on, and the seconds that it is read too early.

    A decoder that starts in the middle of a file gives silence first: most frames need those before them.
    """
    early = min(start, _DECODER_LEAD)
    length = None if length is None else length + early
    return media_input(path, start=start - early, length=length), early


def forced_demuxer(path: Path) -> str | None:
    """Return the demuxer to force, or None if FFmpeg detects the right one.

    A JPEG is forced: by the name `.jpg`, FFmpeg would take it for a numbered image sequence. So is a WAV with options
    of its demuxer.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_WAV_HEAD)
    except OSError:
        return None
    if head.startswith(_JPEG):
        return "jpeg_pipe"
    return "wav" if _states_no_length(head, path.stat().st_size) else None


def demuxer_options(path: Path) -> dict[str, str]:
    """Return the options of the demuxer that a file needs besides those of all inputs."""
    try:
        with path.open("rb") as file:
            head = file.read(_WAV_HEAD)
        return {"ignore_length": "1"} if _states_no_length(head, path.stat().st_size) else {}
    except OSError:
        return {}


def _states_no_length(head: bytes, size: int) -> bool:
    """Return whether a WAV was sent before its length was known, as speech services do.

    Its header then states no bytes, or as many as fit into the field, or any large number.
    """
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return False
    start = 12
    while start + 8 <= len(head):
        kind, stated = head[start : start + 4], int.from_bytes(head[start + 4 : start + 8], "little")
        if kind == b"data":
            return (stated == 0 and size > start + 8) or stated >= max(_NO_LENGTH, 2 * size)
        start += 8 + stated + stated % 2
    return False


def file_url(path: Path) -> str:
    """Return the path as a `file:` URL, so that no part of it is parsed as a protocol or an option."""
    return f"file:{path}"
