"""FFmpeg arguments for untrusted input files."""

from pathlib import Path

MEDIA_FORMATS = (
    "mov,matroska,mpegts,mpeg,avi,flv,asf,mxf,ivf,gif,apng,yuv4mpegpipe,"
    "wav,w64,mp3,ogg,flac,aac,aiff,amr,ac3,eac3,caf,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,jpegxl_pipe"
)
"""Allowed demuxers: containers that hold only media. Playlist formats are excluded, because they make FFmpeg open
other files and URLs. FFmpeg detects them by content, whatever the file name."""

_JPEG = b"\xff\xd8\xff"

MAX_PIXELS = 100_000_000
"""Limit of width times height: a small file can decompress into all of the memory."""


def media_input(path: Path, *, start: float | None = None, length: float | None = None) -> list[str]:
    """Return the arguments for one input file, read from `start` for `length` seconds (None: to the end)."""
    return [
        *("-protocol_whitelist", "file,pipe"),
        *("-format_whitelist", MEDIA_FORMATS),
        *("-max_pixels", str(MAX_PIXELS)),
        *(("-f", demuxer) if (demuxer := forced_demuxer(path)) else ()),
        *(("-ss", f"{start:.6f}") if start else ()),
        *(("-t", f"{length:.6f}") if length is not None else ()),
        *("-i", file_url(path)),
    ]


def forced_demuxer(path: Path) -> str | None:
    """Return the demuxer to force, or None if FFmpeg detects the right one.

    A JPEG is forced: by the name `.jpg`, FFmpeg would take it for a numbered image sequence.
    """
    try:
        with path.open("rb") as file:
            return "jpeg_pipe" if file.read(3) == _JPEG else None
    except OSError:
        return None


def file_url(path: Path) -> str:
    """Return the path as a `file:` URL, so that no part of it is parsed as a protocol or an option."""
    return f"file:{path}"
